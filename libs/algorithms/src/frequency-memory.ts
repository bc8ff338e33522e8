/**
 * What frequency to go on with when there is nothing to follow any more. The newest value is best for the next minutes; the
 * longer one must do without, the more it matters what the oscillator did on the average: a heater that cycles, a day that
 * warms up. So averages over ever longer times are kept, and after an absence of a seconds the one over about a seconds is
 * used.
 */

/** Averaging times, log2 seconds: four minutes to a week. */
const EXPONENTS = [8, 10, 12, 14, 16, 18, 19] as const

/** Which of them drift is read from: over an hour and over four and a half. */
const DRIFT_SHORT = 12
const DRIFT_LONG = 14

/** Weight of an average that has seen as much time as it is over. */
const FULL = 1 - Math.exp(-1)

/** chrony's `fallbackdrift MIN MAX`: averages over 2^min to 2^max seconds, each once it has seen so much. */
export interface FallbackDrift {
  /** log2 seconds; min is at most max. */
  readonly min: number
  readonly max: number
}

interface Average {
  /** What it averages over, seconds. */
  readonly time: number
  value: number
  /** Weight of what was seen: below one while less than the averaging time has been. */
  weight: number
  /** Mean square of the frequency about the average. */
  variance: number
}

export class FrequencyMemory {
  readonly #averages: readonly Average[]
  readonly #fallback: FallbackDrift | undefined

  /** @param fallback which averages an absence may go on with; undefined: all that there are, however little they have seen */
  constructor(fallback?: FallbackDrift) {
    this.#fallback = fallback
    const asked = fallback === undefined ? [] : range(fallback)
    const exponents = [...new Set([...EXPONENTS, ...asked])].toSorted((a, b) => a - b)
    this.#averages = exponents.map((exponent) => ({ time: 2 ** exponent, value: 0, weight: 0, variance: 0 }))
  }

  /** The clock ran at `frequency` (seconds per second) for `seconds`. */
  add(frequency: number, seconds: number): void {
    if (!(seconds > 0) || !Number.isFinite(frequency)) return
    for (const average of this.#averages) {
      const kept = Math.exp(-seconds / average.time)
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
    for (const average of this.#averages)
      if (average.weight > 0 && seconds >= average.time) variance = Math.max(variance, average.variance)
    return Math.sqrt(variance)
  }

  /**
   * How the frequency changes of late, seconds per second squared. An average over T seconds lags a frequency that changes
   * steadily by T, so two averages know the rate. For people and for plots: a change is not carried on into the future.
   */
  drift(): number {
    const [short, long] = [DRIFT_SHORT, DRIFT_LONG].map((it) => this.#averages.find(({ time }) => time === 2 ** it))
    if (short === undefined || long === undefined || long.weight < 0.5) return 0
    return (short.value - long.value) / (long.time - short.time)
  }

  /** The average that suits an absence of `seconds`; `newest` for a short one, and while nothing is remembered. */
  after(seconds: number, newest: number): number {
    let best = newest
    for (const average of this.#averages) if (seconds >= average.time && this.#isFit(average)) best = average.value
    return best
  }

  #isFit({ time, weight }: Average): boolean {
    if (this.#fallback === undefined) return weight > 0
    const { min, max } = this.#fallback
    return time >= 2 ** min && time <= 2 ** max && weight >= FULL
  }
}

const range = ({ min, max }: FallbackDrift): readonly number[] =>
  Array.from({ length: Math.max(0, max - min + 1) }, (_, i) => min + i)
