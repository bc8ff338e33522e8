/**
 * The least delay of a path: what a packet needs that met no queue. A packet's delay over it bounds how wrong its offset
 * can be.
 *
 * Queues come and go with the day, so the floor is the least of a whole day, whatever number of samples that is. Routes
 * change all the same, and a longer one shows as a leap: from one sample to the next every delay is higher, by more than
 * delays scatter, and stays so. A queue that grows slowly passes through all delays between, and is no new route.
 */

/** For how long a least delay is remembered, in spans of equal length: seconds. */
const SPAN = 3600
const SPANS = 24
/** Samples after a leap, and as many before, that decide whether it is one. */
const ROUTE_WINDOW = 8
/** Samples that the spread of delays is read from. */
const RECENT = 32

/** What the newest sample did to the floor: `change` is the new floor less the old one, seconds. */
export interface FloorChange {
  readonly change: number
  readonly route: boolean
}

interface Span {
  readonly since: number
  least: number
}

export class DelayFloor {
  /** Seconds; 0 until the first sample. */
  least = 0
  /**
   * How far the lower quarter of the recent delays lies over the least, seconds: by about as much the least that was seen
   * is over the least possible. Packets in the worse three quarters do not count.
   */
  unseen = 0
  #spans: Span[] = []
  #recent: number[] = []

  /** Takes in a delay (seconds, not negative) of a sample of this time (seconds, never going back). */
  add(time: number, delay: number): FloorChange {
    const before = this.#spans.length === 0 ? delay : this.least
    this.#recent = [...this.#recent.slice(1 - RECENT), delay]
    const route = this.#leapt()
    if (route) {
      this.#recent = this.#recent.slice(-ROUTE_WINDOW)
      this.#spans = [{ since: time, least: Math.min(...this.#recent) }]
    } else this.#keep(time, delay)
    this.least = Math.min(...this.#spans.map((span) => span.least))
    const sorted = this.#recent.toSorted((a, b) => a - b)
    this.unseen = Math.max(0, (sorted[sorted.length >> 2] ?? 0) - this.least)
    return { change: this.least - before, route }
  }

  #keep(time: number, delay: number): void {
    const newest = this.#spans.at(-1)
    if (newest === undefined || time >= newest.since + SPAN) this.#spans.push({ since: time, least: delay })
    else newest.least = Math.min(newest.least, delay)
    while ((this.#spans[0]?.since ?? time) < time - SPAN * SPANS) this.#spans.shift()
  }

  /** Whether the last samples all lie over those before them, by more than either scatter. */
  #leapt(): boolean {
    const after = this.#recent.slice(-ROUTE_WINDOW)
    const before = this.#recent.slice(-2 * ROUTE_WINDOW, -ROUTE_WINDOW)
    if (before.length < ROUTE_WINDOW) return false
    const spread = Math.max(Math.max(...after) - Math.min(...after), Math.max(...before) - Math.min(...before))
    return Math.min(...after) - Math.max(...before) > 2 * spread
  }
}
