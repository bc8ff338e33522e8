/**
 * A clock that does not go back: what this node has activated or let go stays so when its clock is stepped back. It does not
 * stand still then either, so that heartbeats and rotations go on: it runs at half speed until the clock has caught up.
 * Milliseconds since 1970.
 */
const CATCH_UP_SPEED = 0.5

export class ForwardClock {
  readonly #clock: () => number
  readonly #monotonic: () => number
  #seen = Number.NEGATIVE_INFINITY
  #seenAt = 0

  /** `monotonic`: milliseconds of a clock that nobody steps. */
  constructor(clock: () => number, monotonic: () => number) {
    this.#clock = clock
    this.#monotonic = monotonic
  }

  readonly now = (): number => {
    const at = this.#monotonic()
    this.#seen = Math.max(this.#clock(), this.#seen + (at - this.#seenAt) * CATCH_UP_SPEED)
    this.#seenAt = at
    return Math.floor(this.#seen)
  }

  /** It has been at least that late already, as this node's own records say. */
  notBefore(moment: number): void {
    if (moment > this.now()) this.#seen = moment
  }

  /** It is this late, whatever was seen before. */
  set(moment: number): void {
    this.#seen = moment
    this.#seenAt = this.#monotonic()
  }
}
