/** The popcorn spike suppressor (RFC 5905 §10 and A.5.2). */

/** How many jitters away a lone sample must be to be taken for a spike (RFC 5905 A.5.2, SGATE). */
const SGATE = 3

interface PopcornQuestion {
  /** Offset that was used last and offset that is offered now, seconds. */
  readonly lastOffset: number
  readonly offset: number
  /** Jitter, seconds. */
  readonly jitter: number
  /** Seconds since the last offset that was used. */
  readonly interval: number
  /** Poll interval, seconds. */
  readonly pollInterval: number
}

/**
 * Whether the offer is a lone spike, to be left unused. After two poll intervals without use the same leap is believed:
 * what lasts is a step, not a spike.
 */
export const isPopcornSpike = ({ lastOffset, offset, jitter, interval, pollInterval }: PopcornQuestion): boolean =>
  Math.abs(offset - lastOffset) > SGATE * jitter && interval < 2 * pollInterval
