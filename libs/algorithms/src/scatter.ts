/**
 * Noise that delays do not show: a reference clock's own jitter, or a server whose clock trembles. Each sample is compared
 * with the line through its two neighbours, so that neither offset nor frequency enters. The median of the last squares
 * is used; a spike does not move it.
 *
 * Only the better half of the samples takes part, by what their delays suggest: what a late packet adds is that packet's
 * noise, and where many are late hardly three neighbours in a row are on time. What trembles does so in all of them. Where more
 * than half are late the better half is late, too: only as much counts as no split of the delays between the ways can explain.
 */
const WINDOW = 15
/** Samples whose median says which are the better half. */
const RECENT = 16
/** What is found has to be so many times what delays foresee before it counts: the medians of a few squares differ by luck. */
const SURPRISE = 3
/** Median of the square of a standard normal variable. */
const MEDIAN_OF_SQUARES = 0.455

interface Point {
  readonly time: number
  readonly offset: number
  /** Variance that the sample's delay suggests, seconds squared. */
  readonly suggested: number
  /** The most that its delay can have put it off, seconds. */
  readonly possible: number
}

interface Residual {
  readonly square: number
  /** The square of what no split of the delays between the ways can explain. */
  readonly beyond: number
  readonly suggested: number
  /** Sum of the squared weights of the three samples in it. */
  readonly weight: number
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

export class Scatter {
  /** Variance over what the delays suggest and can explain, seconds squared. */
  unexplained = 0
  /** Standard deviation of the last few samples about straight lines, seconds. */
  deviation = 0
  #points: Point[] = []
  #residuals: Residual[] = []
  #suggested: number[] = []

  /**
   * Takes in a sample.
   * @param suggested variance that its delay suggests, seconds squared
   * @param possible the most that its delay can have put it off, seconds
   */
  add(time: number, offset: number, suggested: number, possible: number): void {
    this.#suggested = [...this.#suggested.slice(1 - RECENT), suggested]
    if (suggested > median(this.#suggested)) return
    this.#points = [...this.#points.slice(-2), { time, offset, suggested, possible }]
    const [before, middle, after] = this.#points
    if (before === undefined || middle === undefined || after === undefined) return
    const late = (middle.time - before.time) / (after.time - before.time)
    const early = 1 - late
    const residual = middle.offset - early * before.offset - late * after.offset
    const explained = middle.possible + early * before.possible + late * after.possible
    const beyond = Math.max(0, Math.abs(residual) - explained)
    this.#residuals = [
      ...this.#residuals.slice(1 - WINDOW),
      {
        square: residual ** 2,
        beyond: beyond ** 2,
        suggested: middle.suggested + early ** 2 * before.suggested + late ** 2 * after.suggested,
        weight: 1 + early ** 2 + late ** 2
      }
    ]
    const last = this.#residuals.slice(-4)
    this.deviation = Math.sqrt(last.reduce((sum, it) => sum + it.square / it.weight, 0) / last.length)
    const found = median(this.#residuals.map((it) => it.beyond / it.weight)) / MEDIAN_OF_SQUARES
    const foreseen = median(this.#residuals.map((it) => it.suggested / it.weight))
    this.unexplained = this.#residuals.length < 4 ? 0 : Math.max(0, found - SURPRISE * foreseen)
  }

  clear(): void {
    this.#points = []
  }

  /** Our clock was stepped by `seconds`: offsets are that much lower. */
  shift(seconds: number): void {
    this.#points = this.#points.map((point) => ({ ...point, offset: point.offset - seconds }))
  }
}
