/** Root distance (RFC 5905 §11.1, A.5.5.2): the most by which a source's time can be wrong, by its own account and ours. */
import { PHI } from "@meridian/time/clock-curve"
import { MINDISP } from "./parameters.ts"

export interface RootDistanceTerms {
  /** Of the source, from its reply: seconds. */
  readonly rootDelay: number
  readonly rootDispersion: number
  /** Of our measurement of it: seconds. */
  readonly delay: number
  readonly dispersion: number
  readonly jitter: number
  /** When it was measured, seconds of the clock that `now` is read from. */
  readonly updated: number
}

/** Seconds. Dispersion grows by PHI since the measurement; delays under MINDISP are not believed. */
export const rootDistance = (terms: RootDistanceTerms, now: number): number =>
  Math.max(MINDISP, terms.rootDelay + terms.delay) / 2 +
  terms.rootDispersion +
  terms.dispersion +
  PHI * Math.max(0, now - terms.updated) +
  terms.jitter
