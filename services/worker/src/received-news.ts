/** Told so often at most: a report at rest comes as often. A little less than four seconds, as timers come a little early. */
const PROBES_TOLD_SECONDS = 3.9

/** How many requests came, as far as it is news: the node's own probes are none each second, or a node that announces a route would never rest. */
export class ReceivedNews {
  #told = 0
  #at = Number.NEGATIVE_INFINITY

  /**
   * @param received requests since the start
   * @param probes requests a second that are the node's own, at most; 0: none
   * @param now seconds, monotonic
   * @returns requests since the start, as they were last news
   */
  told(received: number, probes: number, now: number): number {
    const seconds = now - this.#at
    const areProbes = received - this.#told <= probes * (1 + Math.ceil(seconds))
    if (areProbes && seconds < PROBES_TOLD_SECONDS && probes > 0) return this.#told
    this.#at = now
    return (this.#told = received)
  }
}
