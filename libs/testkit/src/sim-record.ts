/** A simulated client's doings, so that it can be the server of another simulation. */
import type { SimulatedClient } from "./sim-client.ts"

/** What a client did, second by second, so that it can be the server of another simulation. */
export interface SimulationRecord {
  /** Error of its time at the end of each second, seconds. */
  readonly error: Float64Array
  readonly rootDelay: Float64Array
  readonly rootDispersion: Float64Array
  /** Stratum at the end of each second, 16 while unsynchronised. */
  readonly stratum: Uint8Array
}

export const emptyRecord = (duration: number): SimulationRecord => ({
  error: new Float64Array(duration),
  rootDelay: new Float64Array(duration),
  rootDispersion: new Float64Array(duration),
  stratum: new Uint8Array(duration)
})

/** Writes down one second. */
export const keepInRecord = (
  record: SimulationRecord,
  second: number,
  error: number,
  client: SimulatedClient,
  now: number
): void => {
  const root = client.root(now)
  record.error[second] = error
  record.rootDelay[second] = root.delay
  record.rootDispersion[second] = root.dispersion
  record.stratum[second] = root.stratum
}
