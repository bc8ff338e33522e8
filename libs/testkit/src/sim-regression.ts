/**
 * The other way to estimate a clock, kept to be measured against: weighted linear regression over the last samples, their
 * number chosen by a runs test. Residuals of a straight clock change sign at random; too few runs of one sign mean that
 * the clock bends, and the oldest samples are dropped until they do not. chrony describes the method in its manual.
 */
import type { ClockSample, ClockEstimator, OffsetEstimate, SampleOutcome } from "@meridian/algorithms"
import { DelayFloor, sampleRejection } from "@meridian/algorithms"

const LONGEST = 64
const SHORTEST = 3

interface Fit {
  readonly time: number
  readonly offset: number
  readonly frequency: number
  readonly offsetVariance: number
  readonly frequencyVariance: number
  readonly deviation: number
  readonly runs: number
}

export class RegressionEstimator implements ClockEstimator {
  samples = 0
  noise = 0
  quietNoise = 0
  scatter = 0
  leapt = 0
  readonly #floor = new DelayFloor()
  readonly #precision: number
  #kept: ClockSample[] = []
  #fit: Fit | undefined

  constructor(precision: number) {
    this.#precision = precision
  }

  add(sample: ClockSample): SampleOutcome {
    const rejection = sampleRejection(sample)
    if (rejection !== undefined) return rejection
    const newest = this.#kept.at(-1)
    if (newest !== undefined && sample.time <= newest.time) return "time-not-later"
    this.#floor.add(sample.time, sample.delay)
    this.#kept = [...this.#kept, sample].slice(-LONGEST)
    let fit = this.#regress()
    while (this.#kept.length > SHORTEST && fit !== undefined && fit.runs < fewestRuns(this.#kept.length)) {
      this.#kept = this.#kept.slice(1)
      fit = this.#regress()
    }
    this.#fit = fit
    this.samples = this.#kept.length
    this.noise = fit?.deviation ?? sample.delay / 4
    this.scatter = this.noise
    this.quietNoise = this.noise
    return "used"
  }

  estimate(time: number): OffsetEstimate | undefined {
    const fit = this.#fit
    if (fit === undefined) return undefined
    const ahead = time - fit.time
    return {
      offset: fit.offset + fit.frequency * ahead,
      frequency: fit.frequency,
      offsetVariance: fit.offsetVariance + fit.frequencyVariance * ahead ** 2,
      covariance: fit.frequencyVariance * ahead,
      frequencyVariance: fit.frequencyVariance,
      wander: 0
    }
  }

  clockStepped(seconds: number): void {
    this.#kept = this.#kept.map((sample) => ({ ...sample, offset: sample.offset - seconds }))
    this.#fit = this.#regress()
  }

  #variance(sample: ClockSample): number {
    const extra = Math.max(0, sample.delay - this.#floor.least) + this.#floor.unseen
    return extra ** 2 / 12 + (this.#precision + sample.dispersion / 3) ** 2
  }

  #regress(): Fit | undefined {
    const [first, second] = this.#kept
    if (first === undefined || second === undefined) return undefined
    const weights = this.#kept.map((sample) => 1 / this.#variance(sample))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const mean = (of: (sample: ClockSample) => number): number =>
      this.#kept.reduce((sum, sample, i) => sum + (weights[i] as number) * of(sample), 0) / total
    const time = mean((sample) => sample.time)
    const offset = mean((sample) => sample.offset)
    const spread = mean((sample) => (sample.time - time) ** 2)
    const frequency = mean((sample) => (sample.time - time) * (sample.offset - offset)) / spread
    const residuals = this.#kept.map((sample) => sample.offset - offset - frequency * (sample.time - time))
    const squares = residuals.reduce((sum, residual, i) => sum + (weights[i] as number) * residual ** 2, 0)
    const scale = this.#kept.length > 2 ? squares / (this.#kept.length - 2) : 1
    const runs = residuals.filter(
      (residual, i) => i === 0 || Math.sign(residual) !== Math.sign(residuals[i - 1] as number)
    ).length
    return {
      time,
      offset,
      frequency,
      offsetVariance: scale / total,
      frequencyVariance: scale / (total * spread),
      deviation: Math.sqrt((scale * this.#kept.length) / total),
      runs
    }
  }
}

/** Fewest runs of sign that one in twenty straight clocks goes under: normal approximation. */
const fewestRuns = (samples: number): number => 1 + samples / 2 - 1.645 * (Math.sqrt(samples - 1) / 2)
