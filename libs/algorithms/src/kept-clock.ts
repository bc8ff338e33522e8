/**
 * What a discipline knew of its clock, for a process that comes after it on the same machine: the line goes on as it was, and
 * its bound grows as it does in holdover. Moments are readings of one boot's monotonic clock, seconds; offsets are of true
 * time over the uncorrected clock.
 */
import type { ClockLine } from "./clock-line.ts"
import type { CombinedEstimate } from "./combine-estimates.ts"

/** What a following server would have to know, besides the line: RFC 5905 §7.3 root values. */
export interface DisciplineRoot {
  readonly peer: string
  readonly stratum: number
  readonly leap: number
  /** Seconds. */
  readonly rootDelay: number
  /** Seconds at `at`, without what our own estimate adds. */
  readonly dispersion: number
  readonly at: number
}

export interface KeptClock {
  readonly line: ClockLine
  readonly root: DisciplineRoot
  readonly estimate: CombinedEstimate
  readonly estimatedAt: number
  /** Since when nobody is followed. */
  readonly since: number
}

/** The same over an uncorrected clock that shows `seconds` less. */
export const movedKept = ({ line, root, estimate, estimatedAt, since }: KeptClock, seconds: number): KeptClock => ({
  line: { ...line, offset: line.offset + seconds },
  root,
  estimate: { ...estimate, offset: estimate.offset + seconds },
  estimatedAt,
  since
})
