/**
 * How far a source has leapt of late with nothing in its delays to show for it: a server that is stepped, again and again
 * an SNTP client that gains and is set right. What it did it may do again, so as much has to be vouched for; and one that
 * does it all the time is followed no closer than that.
 */

/** How long a leap is remembered, seconds. */
const MEMORY = 86_400
/** Leaps within that time that make a habit. */
const HABIT = 3

interface Leap {
  readonly time: number
  /** Seconds. */
  readonly size: number
}

export class Leaps {
  #leaps: readonly Leap[] = []

  /** Takes in that at `time` a sample was `size` off what was foretold, seconds, beyond what its delay explains. */
  add(time: number, size: number): void {
    this.#leaps = [...this.#leaps.filter((leap) => leap.time > time - MEMORY), { time, size }].slice(-64)
  }

  /** The largest of the last day, seconds. */
  get largest(): number {
    return Math.max(0, ...this.#leaps.map((leap) => leap.size))
  }

  /** The size that was reached three times in the last day, seconds; 0 while nothing was. */
  get habit(): number {
    return this.#leaps.map((leap) => leap.size).toSorted((a, b) => b - a)[HABIT - 1] ?? 0
  }
}
