/** One reading of a reference clock, and the check that refuses impossible readings by name. */
import { type UnixTime, unixDifferenceSeconds } from "@meridian/time/timestamp"
import { OFFSET_MAX } from "./sample.ts"

/** A reference clock and CLOCK_REALTIME at one instant. */
export interface ReferenceReading {
  /** CLOCK_REALTIME, as nobody corrected it. */
  readonly system: UnixTime
  /** True time minus that, seconds; of a pulse, up to any whole number of seconds. */
  readonly offset: number
  /** 0 … 3 (RFC 5905 §7.3). */
  readonly leap: number
  /** What the clock claims, log2 seconds. */
  readonly precision: number
  /** Whether it marks a second without saying which. */
  readonly pulse: boolean
}

/**
 * - `not-finite`: a number that is none
 * - `nanoseconds`: not 0 … 999 999 999
 * - `leap`: not 0 … 3
 * - `precision`: not -64 … 16, where a clock's precision could lie
 * - `stale`, `future`: not taken just now, by CLOCK_REALTIME
 * - `repeated`: not later than the one before
 * - `difference`: farther from CLOCK_REALTIME than is allowed
 */
export type ReadingRejection =
  | "not-finite"
  | "nanoseconds"
  | "leap"
  | "precision"
  | "stale"
  | "future"
  | "repeated"
  | "difference"

/** Readings older than this are not used, as in ntpd's SHM driver; seconds. */
export const LONGEST_AGE = 5
/** Of datagrams, as in chronyd, whose senders they are: twice its look at a driver each second. */
export const LONGEST_AGE_OF_DATAGRAMS = 2
/** A reading may be this much ahead, since clocks are not read at one instant; seconds. */
const MOST_AHEAD = 0.1

/**
 * The reason to turn a reading away, or undefined.
 * @param now CLOCK_REALTIME
 * @param previous of the last reading that was taken
 * @param difference the farthest that true time may be from CLOCK_REALTIME, seconds
 * @param longestAge seconds
 */
export const readingRejection = (
  reading: ReferenceReading,
  now: UnixTime,
  previous: UnixTime | undefined,
  difference: number,
  longestAge = LONGEST_AGE
): ReadingRejection | undefined => {
  const { system, offset, leap, precision } = reading
  if (!Number.isFinite(system.seconds) || !Number.isFinite(offset)) return "not-finite"
  if (!(system.nanoseconds >= 0 && system.nanoseconds < 1e9)) return "nanoseconds"
  if (leap !== 0 && leap !== 1 && leap !== 2 && leap !== 3) return "leap"
  if (!(precision >= -64 && precision <= 16)) return "precision"
  const age = unixDifferenceSeconds(now, system)
  if (age > longestAge) return "stale"
  if (age < -MOST_AHEAD) return "future"
  if (previous !== undefined && unixDifferenceSeconds(system, previous) <= 0) return "repeated"
  if (!reading.pulse && Math.abs(offset) > Math.min(difference, OFFSET_MAX)) return "difference"
  return undefined
}
