/** Told so often: a little less than four seconds, as timers come a little early. Whoever looks meanwhile asks for a report. */
const TOLD_SECONDS = 3.9

/**
 * How many requests came, as far as it is news: that some come again, or none any more, and each four seconds how many. A report costs the node
 * as much as a hundred requests, and each second of one that nobody looks at has few more.
 */
export class ReceivedNews {
  #seen = 0
  #isIdle = true
  #told = 0
  #at = Number.NEGATIVE_INFINITY

  /** Whether none came between the last two looks. */
  get isIdle(): boolean {
    return this.#isIdle
  }

  /** Changes with the news. */
  get text(): string {
    return `${this.#told} ${this.#isIdle}`
  }

  /**
   * @param received requests since the start
   * @param now seconds, monotonic
   */
  look(received: number, now: number): void {
    this.#isIdle = received === this.#seen
    this.#seen = received
    if (now - this.#at >= TOLD_SECONDS && received !== this.#told) this.tell(received, now)
  }

  /** They are told now, asked for or not. */
  tell(received: number, now: number): void {
    this.#told = received
    this.#at = now
  }
}
