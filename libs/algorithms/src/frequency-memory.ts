/**
 * What frequency to go on with when there is nothing to follow any more. The newest value is best for the next minutes; the
 * longer one must do without, the more it matters what the oscillator did on the average: a heater that cycles, a day that
 * warms up. So averages over ever longer times are kept, and after an absence of a seconds the one over about a seconds is
 * used.
 */

/** Averaging times, seconds: four minutes to a week. */
const TIMES = [2 ** 8, 2 ** 10, 2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 19] as const

/** Which of them drift is read from: over an hour and over four and a half. */
const DRIFT_SHORT = 2
const DRIFT_LONG = 3

interface Average {
  value: number
  /** Weight of what was seen: below one while less than the averaging time has been. */
  weight: number
  /** Mean square of the frequency about the average. */
  variance: number
}

export class FrequencyMemory {
  readonly #averages: readonly Average[] = TIMES.map(() => ({ value: 0, weight: 0, variance: 0 }))

  /** The clock ran at `frequency` (seconds per second) for `seconds`. */
  add(frequency: number, seconds: number): void {
    if (!(seconds > 0) || !Number.isFinite(frequency)) return
    for (const [index, average] of this.#averages.entries()) {
      const kept = Math.exp(-seconds / (TIMES[index] as number))
      const weight = average.weight * kept + (1 - kept)
      const share = (1 - kept) / weight
      const difference = frequency - average.value
      average.value += share * difference
      average.variance = (1 - share) * (average.variance + share * difference ** 2)
      average.weight = weight
    }
  }

  /** Standard deviation of the frequency over about as long as an absence of `seconds`, seconds per second. */
  deviation(seconds: number): number {
    let variance = this.#averages[0]?.variance ?? 0
    for (const [index, average] of this.#averages.entries())
      if (average.weight > 0 && seconds >= (TIMES[index] as number)) variance = Math.max(variance, average.variance)
    return Math.sqrt(variance)
  }

  /**
   * How the frequency changes of late, seconds per second squared. An average over T seconds lags a frequency that changes
   * steadily by T, so two averages know the rate. For people and for plots: a change is not carried on into the future.
   */
  drift(): number {
    const [short, long] = [this.#averages[DRIFT_SHORT], this.#averages[DRIFT_LONG]]
    if (short === undefined || long === undefined || long.weight < 0.5) return 0
    return (short.value - long.value) / ((TIMES[DRIFT_LONG] as number) - (TIMES[DRIFT_SHORT] as number))
  }

  /** The average that suits an absence of `seconds`; `newest` for a short one, and while nothing is remembered. */
  after(seconds: number, newest: number): number {
    let best = newest
    for (const [index, average] of this.#averages.entries())
      if (average.weight > 0 && seconds >= (TIMES[index] as number)) best = average.value
    return best
  }
}
