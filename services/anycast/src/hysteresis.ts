/** Good and bad health count when they last. Pure. */

interface HysteresisTimes {
  /** Seconds. */
  readonly rise: number
  readonly fall: number
}

/**
 * Follows health: on after `rise` seconds of good health without a break, off after `fall` seconds of bad. Until one of the two
 * has come to pass for the first time nothing is decided: a process that was restarted leaves the route as it found it.
 */
export class Hysteresis {
  /** Undefined before the first decision. */
  state: boolean | undefined
  private readonly times: HysteresisTimes
  private last: boolean | undefined
  private since = 0

  constructor(times: HysteresisTimes) {
    this.times = times
  }

  /**
   * Takes a look into account. Returns whether the decision is another than before.
   * @param now CLOCK_MONOTONIC, seconds
   * @param fall seconds of bad health that are enough this time; never more than the usual
   */
  look(isGood: boolean, now: number, fall = this.times.fall): boolean {
    if (isGood !== this.last) this.since = now
    this.last = isGood
    const needed = isGood ? this.times.rise : Math.min(fall, this.times.fall)
    if (this.state === isGood || now - this.since < needed) return false
    this.state = isGood
    return true
  }

  /** Off at once, whatever health says: an order. Returns whether that is another decision. */
  drop(now: number): boolean {
    const isNew = this.state !== false
    this.state = false
    this.last = false
    this.since = now
    return isNew
  }
}
