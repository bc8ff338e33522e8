/** Simulated servers: how far their clocks are from true time, and what they say of themselves. */

export interface ServerReport {
  readonly stratum: number
  readonly leap: number
  /** Seconds. */
  readonly rootDelay: number
  readonly rootDispersion: number
}

export interface ServerModel {
  /** The server's clock less true time at true time `t`, seconds. */
  readonly error: (t: number) => number
  readonly report: (t: number) => ServerReport
}

const primary: ServerReport = { stratum: 1, leap: 0, rootDelay: 0, rootDispersion: 1e-6 }

/** A server with the time of a primary reference. */
export const goodServer = (report: Partial<ServerReport> = {}): ServerModel => ({
  error: () => 0,
  report: () => ({ ...primary, ...report })
})

/** A server that is wrong as a function of time, and claims otherwise. */
export const wrongServer = (error: (t: number) => number, report: Partial<ServerReport> = {}): ServerModel => ({
  error,
  report: () => ({ ...primary, ...report })
})

/** A server that says from `from` to `to` that it has no time. */
export const unsynchronisedServer = (from: number, to: number): ServerModel => ({
  error: () => 0,
  report: (t) => (t >= from && t < to ? { ...primary, stratum: 16, leap: 3 } : primary)
})
