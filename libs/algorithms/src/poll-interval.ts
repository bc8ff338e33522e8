/**
 * The system poll interval. A longer one costs the servers less; it may be as long as the clock, left alone for that time,
 * still errs less than a single sample does: asking sooner would tell little. RFC 5905 §13 compares offset and jitter to
 * the same end; here the estimator foretells both.
 */
import type { OffsetEstimate } from "./source-estimator.ts"

export interface PollState {
  /** log2 seconds. */
  readonly exponent: number
  /** Evidence for a longer (above zero) or shorter interval. */
  readonly count: number
}

/** Decisions of one mind before the interval changes, so that it does not flutter. */
const PATIENCE = 6

/** Share of a sample's noise that the foretold error may reach. */
const SHARE = 0.4

/** @param noise typical noise of a sample, seconds */
export const adaptPoll = (
  poll: PollState,
  estimate: OffsetEstimate,
  noise: number,
  minpoll: number,
  maxpoll: number
): PollState => {
  const deviationAhead = (seconds: number): number =>
    Math.sqrt(
      estimate.offsetVariance +
        seconds * (2 * estimate.covariance + seconds * estimate.frequencyVariance) +
        (estimate.wander * seconds ** 3) / 3
    )
  const interval = 2 ** poll.exponent
  const longer = deviationAhead(2 * interval) < SHARE * noise
  const shorter = deviationAhead(interval) > 2 * SHARE * noise
  const count = longer ? poll.count + 1 : shorter ? poll.count - 2 : 0
  if (count >= PATIENCE && poll.exponent < maxpoll) return { exponent: poll.exponent + 1, count: 0 }
  if (count <= -PATIENCE && poll.exponent > minpoll) return { exponent: poll.exponent - 1, count: 0 }
  return {
    exponent: Math.max(minpoll, Math.min(maxpoll, poll.exponent)),
    count: Math.max(-PATIENCE, Math.min(PATIENCE, count))
  }
}
