/**
 * The system poll interval. A longer one costs the servers less; it may be as long as the clock, left alone for that time,
 * still errs less than a single sample does, or by little beside what the path's asymmetry hides: asking sooner would tell
 * little. RFC 5905 §13 compares offset and jitter to the same end; here the estimator foretells both.
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

/** Error, as a share of the path's delay, that is little beside its asymmetry: a third of what combining assumes. */
const HIDDEN = 0.03
/** Error that nothing is asked oftener for, seconds: who wants better from a switch's port sets `maxpoll`. */
const FINEST = 20e-6

/**
 * @param noise of a sample that was not late, seconds: late packets are no reason to ask rarely
 * @param delay of the path to the primary reference, seconds
 */
export const adaptPoll = (
  poll: PollState,
  estimate: OffsetEstimate,
  noise: number,
  delay: number,
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
  const enough = Math.max(SHARE * noise, HIDDEN * delay, FINEST)
  const longer = deviationAhead(2 * interval) < enough
  const shorter = deviationAhead(interval) > 2 * enough
  const count = longer ? poll.count + 1 : shorter ? poll.count - 2 : 0
  if (count >= PATIENCE && poll.exponent < maxpoll) return { exponent: poll.exponent + 1, count: 0 }
  if (count <= -PATIENCE && poll.exponent > minpoll) return { exponent: poll.exponent - 1, count: 0 }
  return {
    exponent: Math.max(minpoll, Math.min(maxpoll, poll.exponent)),
    count: Math.max(-PATIENCE, Math.min(PATIENCE, count))
  }
}
