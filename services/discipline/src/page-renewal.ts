/** When the line on the clock page is to be written anew, at the latest: it ages, and its slope may end. */

/** Between two renewals of a line that goes on as it is, seconds; a little less than four ticks. */
const RENEWAL = 0.9

/** Times are CLOCK_MONOTONIC's, seconds. */
export class PageRenewal {
  private at = Number.NEGATIVE_INFINITY
  private until = Number.NEGATIVE_INFINITY

  /** @param until when its slope is over */
  written(at: number, until: number): void {
    this.at = at
    this.until = until
  }

  /** What stands on the page must not stay. */
  forget(): void {
    this.written(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY)
  }

  /** Whether the line has the slope it is to have for so many seconds more. */
  holdsFor(seconds: number, now: number): boolean {
    return this.until - now > seconds
  }

  /** Whether a line that goes on as it is can stay for now. */
  isFresh(now: number): boolean {
    return now - this.at < RENEWAL && this.holdsFor(RENEWAL, now)
  }
}
