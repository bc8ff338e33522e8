/** One measurement of a source, and the check that refuses numbers that are no measurements. */
import { MAXDISP } from "./parameters.ts"

/** The farthest two NTP timestamps can be apart, 68 years (RFC 5905 §6), in seconds. */
export const OFFSET_MAX = 2 ** 31

/** The longest delay that is one, seconds: what the NTP short format can say. */
const DELAY_MAX = 2 ** 16

/** Readings of a monotonic clock are below this, seconds: thirty thousand years of uptime. */
const TIME_MAX = 1e12

/** Samples closer in time than this are one and the same, seconds. */
export const LEAST_INTERVAL = 1e-6

/** What one exchange says (RFC 5905 §8). */
export interface ClockSample {
  /** When it was taken: seconds of a clock that nobody steps (CLOCK_MONOTONIC). */
  readonly time: number
  /** theta: the source's time minus ours, seconds. */
  readonly offset: number
  /** delta: round trip, seconds. */
  readonly delay: number
  /** epsilon: error of reading both clocks, and of ours during the exchange, seconds. */
  readonly dispersion: number
}

/** Why a sample is not one. */
export type SampleRejection =
  | "time-not-finite"
  | "time-out-of-range"
  | "offset-not-finite"
  | "offset-out-of-range"
  | "delay-not-finite"
  | "delay-negative"
  | "delay-out-of-range"
  | "dispersion-out-of-range"

/**
 * The reason to reject a sample, or undefined when it is fit. A delay may be a little below zero when the two clocks run
 * at different rates; RFC 5905 §8 clamps it, so the caller does, and what is still negative here is nonsense.
 */
export const sampleRejection = (sample: ClockSample): SampleRejection | undefined => {
  if (!Number.isFinite(sample.time)) return "time-not-finite"
  if (Math.abs(sample.time) > TIME_MAX) return "time-out-of-range"
  if (!Number.isFinite(sample.offset)) return "offset-not-finite"
  if (Math.abs(sample.offset) > OFFSET_MAX) return "offset-out-of-range"
  if (!Number.isFinite(sample.delay)) return "delay-not-finite"
  if (sample.delay < 0) return "delay-negative"
  if (sample.delay > DELAY_MAX) return "delay-out-of-range"
  if (!(sample.dispersion >= 0 && sample.dispersion < MAXDISP)) return "dispersion-out-of-range"
  return undefined
}
