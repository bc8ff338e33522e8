/**
 * The least delay of a path: what a packet needs that met no queue. A packet's delay over it bounds how wrong its offset
 * can be.
 *
 * Queues come and go with the day and the week, so the floor is the least of a whole week, whatever number of samples that
 * is: polls of a quarter of an hour meet a queue that drains every two hours nearly full for a day on end. Routes change all
 * the same, and a longer one shows as a leap: from one sample to the next every delay is higher, by more than
 * delays scatter, and stays so. A queue that grows slowly passes through all delays between, and is no new route.
 */

/** For how long a least delay is remembered, in spans of equal length: seconds. */
const SPAN = 6 * 3600
const SPANS = 28
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
/**
 * Packets over the least by more than this many lower quarters are late, and what they have more is no everyday jitter: of two
 * exponential queues one in fifty is.
 */
export const LATE = 6
/** How many of the others there have to be for their quarter to be told. */
const PROMPT = 8
/** What so many samples in a row all have over the least is a queue that stands, and no jitter. It is gone when one meets none. */
const COMMON = 4
/** So many of the least delays of all say how near to each other they lie. */
const LOWEST = 4
/**
 * Of fewer samples the fourth least is one of the worst: the second tells it. Three at least, as of two the other one is all that is
 * known; two of them lie together by luck, so that it is a tenth of everyday jitter at least.
 */
const FEW = 8
const FEWEST = 3
const ALIKE = 10

/** What the newest sample did to the floor: `change` is the new floor less the old one, seconds. */
interface FloorChange {
  readonly change: number
  readonly route: boolean
}

interface Span {
  readonly since: number
  /** The least of its delays, in order. */
  lowest: readonly number[]
}

export class DelayFloor {
  /** Seconds; 0 until the first sample. */
  least = 0
  /**
   * How far the lower quarter of the recent delays lies over the least, seconds: everyday jitter. Packets in the worse three
   * quarters do not count, nor late ones, be they more than half, nor what a queue adds to all that grows or that neighbours
   * hardly differ by.
   */
  unseen = 0
  /**
   * By how much the least that was seen may be over the least possible, seconds: about as far as the least ones lie apart.
   * As long as nothing else is known as much as everyday jitter.
   */
  excess = 0
  /** The least delay of the last few samples, seconds: what is over the floor in it was there for all of them. */
  common = 0
  #spans: Span[] = []
  #recent: number[] = []

  /** Takes in a delay (seconds, not negative) of a sample of this time (seconds, never going back). */
  add(time: number, delay: number): FloorChange {
    const before = this.#spans.length === 0 ? delay : this.least
    this.#recent = [...this.#recent.slice(1 - RECENT), delay]
    const route = this.#leapt()
    if (route) {
      this.#recent = this.#recent.slice(-ROUTE_WINDOW)
      this.#spans = [{ since: time, lowest: lowestOf(this.#recent) }]
    } else this.#keep(time, delay)
    const lowest = lowestOf(this.#spans.flatMap((span) => span.lowest))
    this.least = lowest[0] as number
    this.common = Math.min(...this.#recent.slice(-COMMON))
    this.unseen = this.#everyday()
    this.excess = this.#overLeast(lowest)
    return { change: this.least - before, route }
  }

  #everyday(): number {
    const quarter = Math.max(0, lowerQuarter(this.#recent) - this.least)
    const prompt = this.#recent.filter((delay) => delay - this.least <= LATE * quarter)
    const over = prompt.length < PROMPT ? quarter : Math.max(0, lowerQuarter(prompt) - this.least)
    const differences = this.#recent.slice(1).map((delay, i) => delay - (this.#recent[i] as number))
    if (differences.length < DIFFERENCES || !dependent(this.#recent)) return over
    const grown = growth(differences)
    const apart = lowerQuarter(differences.map((difference) => Math.abs(difference - grown)))
    return Math.min(over, Math.max(over / MOST_HIDDEN, QUARTER_BY_DIFFERENCE * apart))
  }

  #overLeast(lowest: readonly number[]): number {
    const samples = this.#recent.length
    if (samples < FEWEST) return this.unseen
    const apart = (lowest[samples < FEW ? 1 : LOWEST - 1] ?? Number.POSITIVE_INFINITY) - this.least
    return Math.min(this.unseen, samples < FEW ? Math.max(this.unseen / ALIKE, apart) : apart)
  }

  #keep(time: number, delay: number): void {
    const newest = this.#spans.at(-1)
    if (newest === undefined || time >= newest.since + SPAN) this.#spans.push({ since: time, lowest: [delay] })
    else newest.lowest = lowestOf([...newest.lowest, delay])
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

const ascending = (values: readonly number[]): readonly number[] => values.toSorted((a, b) => a - b)

const lowestOf = (delays: readonly number[]): readonly number[] => ascending(delays).slice(0, LOWEST)

/**
 * Whether neighbours are more alike than any two (von Neumann's ratio, of ranks: 2 ± 2/√n where they are not). Then something
 * slow is in all of them.
 */
const dependent = (delays: readonly number[]): boolean => {
  const n = delays.length
  const order = delays.map((_, i) => i).toSorted((a, b) => (delays[a] as number) - (delays[b] as number))
  const ranks: number[] = []
  for (const [rank, i] of order.entries()) ranks[i] = rank
  const squares = ranks.slice(1).reduce((sum, rank, i) => sum + (rank - (ranks[i] as number)) ** 2, 0)
  return squares / ((n ** 3 - n) / 12) < 2 - 2 / Math.sqrt(n)
}

/** What a queue that grows adds from each sample to the next: nothing, unless more of them grow than luck has it. */
const growth = (differences: readonly number[]): number => {
  const surplus = differences.filter((it) => it > 0).length - differences.length / 2
  return Math.abs(surplus) < Math.sqrt(differences.length)
    ? 0
    : (ascending(differences)[differences.length >> 1] as number)
}

const lowerQuarter = (values: readonly number[]): number =>
  ascending(values)[Math.max(values.length >> 2, Math.min(LUCK, values.length - 1))] ?? 0
