/** Simulated servers: how far their clocks are from true time, and what they say of themselves. */
import type { RandomStream } from "./sim-random.ts"
import type { SimulationRecord } from "./sim-record.ts"

interface ServerReport {
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

/** A server that swings evenly between the right time and `height` seconds ahead, once in each period. */
export const swingingServer = (height: number, period: number): ServerModel =>
  wrongServer((t) => (height / 2) * (1 - Math.cos((2 * Math.PI * t) / period)))

/** A server that gains `height` seconds in each period and is then set right: an SNTP client that serves. */
export const sawtoothServer = (height: number, period: number): ServerModel =>
  wrongServer((t) => (height * (t % period)) / period)

/** A server that says from `from` to `to` that it has no time. */
export const unsynchronisedServer = (from: number, to: number): ServerModel => ({
  error: () => 0,
  report: (t) => (t >= from && t < to ? { ...primary, stratum: 16, leap: 3 } : primary)
})

/** A server whose clock trembles: independent normal errors of this standard deviation, seconds. */
export const tremblingServer = (
  deviation: number,
  random: RandomStream,
  report: Partial<ServerReport> = {}
): ServerModel => ({
  error: () => deviation * random.normal(),
  report: () => ({ ...primary, ...report })
})

/** A server that is what another simulation's client was. */
export const recordedServer = (record: SimulationRecord): ServerModel => {
  const at = (series: Float64Array, t: number): number =>
    series[Math.max(0, Math.min(series.length - 1, Math.floor(t) - 1))] as number
  return {
    error: (t) => at(record.error, t) + (at(record.error, t + 1) - at(record.error, t)) * (t - Math.floor(t)),
    report: (t) => {
      const stratum = record.stratum[Math.max(0, Math.min(record.stratum.length - 1, Math.floor(t) - 1))] as number
      return stratum >= 16
        ? { ...primary, stratum: 16, leap: 3 }
        : { stratum, leap: 0, rootDelay: at(record.rootDelay, t), rootDispersion: at(record.rootDispersion, t) }
    }
  }
}
