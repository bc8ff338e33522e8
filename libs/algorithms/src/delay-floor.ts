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
/** Delays below which two that are nearly alike are luck: the lower quarter of a few is no lower than the third. */
const LUCK = 2
/** Differences of neighbours from which on they tell the spread. */
const DIFFERENCES = 8
/** The lower quarter of exponential queues over their least, in lower quarters of what two in a row differ by. */
const QUARTER_BY_DIFFERENCE = 1.8
/** A queue that grows in steps smaller than jitter hides at most so much of the spread. */
const MOST_HIDDEN = 16

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
   * is over the least possible. Packets in the worse three quarters do not count, nor does what a slow queue adds to all of
   * them, since neighbours hardly differ by it: it is everyday jitter that is looked for.
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
    this.unseen = this.#everyday()
    return { change: this.least - before, route }
  }

  #everyday(): number {
    const over = Math.max(0, lowerQuarter(this.#recent) - this.least)
    const differences = this.#recent.slice(1).map((delay, i) => Math.abs(delay - (this.#recent[i] as number)))
    if (differences.length < DIFFERENCES) return over
    return Math.min(over, Math.max(over / MOST_HIDDEN, QUARTER_BY_DIFFERENCE * lowerQuarter(differences)))
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

const lowerQuarter = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.max(values.length >> 2, Math.min(LUCK, values.length - 1))] ?? 0
