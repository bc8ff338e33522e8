/**
 * The published clock. It is a curve, not a value: whoever disciplines the clock publishes it a few times a second, and
 * whoever serves time evaluates it for each reply. It is a line over CLOCK_MONOTONIC, which nobody can step; the error bound
 * grows by formula, so a server that hears nothing more claims less and less, and nothing at all past `deadline`. This is
 * the shape that the discipline works on; what stands on the page is the same in integers (clock-line.ts).
 */
import { shiftInPlace, type UnixTime } from "./timestamp.ts"

/** The leap indicator, RFC 5905 §7.3. */
export const Leap = { none: 0, insert: 1, delete: 2, unsynchronised: 3 } as const
export type Leap = (typeof Leap)[keyof typeof Leap]

/** How far the error bound of an undisciplined oscillator grows, RFC 5905 PHI: 15 ppm. */
export const PHI = 15e-6

/** Stratum 16 means unsynchronised inside the program; on the wire it is written as 0 (RFC 5905 §7.3). */
export const STRATUM_UNSYNCHRONISED = 16

export interface ClockCurve {
  /** Unix time by the writer's own clock when the curve was made: what its origin has come to (timeSinceOrigin in clock-line.ts). */
  baseSeconds: number
  baseNanoseconds: number
  /** CLOCK_MONOTONIC at the same instant, seconds. Ages and the deadline are counted on it: nobody can step it. */
  baseMonotonic: number
  /** Served time minus that, at base, seconds. */
  offset: number
  /** What served time gains on CLOCK_MONOTONIC, seconds per second. */
  frequency: number
  leap: Leap
  /** 1 … 15, or 16 when unsynchronised. */
  stratum: number
  /** Reference identifier as 32 bits: an IPv4 address, a hash of an IPv6 address, or four characters (RFC 5905 §7.3). */
  referenceId: number
  /** When the clock was last set or corrected, Unix seconds and nanoseconds; both 0: never. */
  referenceSeconds: number
  referenceNanoseconds: number
  /** Seconds, to the primary source. */
  rootDelay: number
  /** Seconds, at base. */
  rootDispersion: number
  /** Seconds per second, {@link PHI} unless the writer knows better. */
  dispersionRate: number
  /** CLOCK_MONOTONIC seconds past which nothing here may be served as good time. */
  deadline: number
}

/** A curve that vouches for nothing: what a reader holds before it has read a page. */
export const unsynchronisedCurve = (): ClockCurve => ({
  baseSeconds: 0,
  baseNanoseconds: 0,
  baseMonotonic: 0,
  offset: 0,
  frequency: 0,
  leap: Leap.unsynchronised,
  stratum: STRATUM_UNSYNCHRONISED,
  referenceId: 0,
  referenceSeconds: 0,
  referenceNanoseconds: 0,
  rootDelay: 0,
  rootDispersion: 0,
  dispersionRate: PHI,
  deadline: -Infinity
})

/** Served time at a reading of CLOCK_MONOTONIC (seconds), as good as doubles have it. */
export const servedTimeAt = (curve: ClockCurve, monotonic: number): UnixTime => {
  const elapsed = monotonic - curve.baseMonotonic
  const time = { seconds: curve.baseSeconds, nanoseconds: curve.baseNanoseconds }
  shiftInPlace(time, curve.offset + elapsed * (1 + curve.frequency))
  return time
}

/** Root dispersion in seconds at a reading of CLOCK_MONOTONIC (seconds). */
export const rootDispersionAt = (curve: ClockCurve, monotonic: number): number =>
  curve.rootDispersion + curve.dispersionRate * Math.max(0, monotonic - curve.baseMonotonic)

/** Whether time may be served as good at this reading of CLOCK_MONOTONIC (seconds). */
export const isSynchronised = (curve: ClockCurve, monotonic: number): boolean =>
  monotonic <= curve.deadline && curve.leap !== Leap.unsynchronised && curve.stratum < STRATUM_UNSYNCHRONISED
