/**
 * The bank of Kalman filters behind an estimator: one for each guess of how much the oscillator wanders, how noisy the path is
 * and what a delay says. Each is weighted by how well it foretold the samples of late; the answer is the weighted mixture.
 */
import {
  ASYMMETRY_PRIOR,
  type ClockState,
  copyState,
  correct,
  expected,
  type FirstSample,
  moveLeastDelay,
  offsetVarianceAhead,
  predict,
  startFromTwo
} from "./kalman.ts"

/**
 * Frequency wander of the guesses, seconds per second per root second: from one that cannot be told from none in a month, over
 * a good oven oscillator, to a bad crystal in a draught.
 */
const WANDERS = [1e-14, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6] as const
/** Those that wander no more than this are taken for usual in their frequency, too. The others may have any. */
const STEADY = 1e-9
/** Noise of the guesses, as a multiple of what the delays suggest. */
const NOISES = [0.1, 0.3, 0.6, 1.2, 2.4] as const
/**
 * Logarithm of how likely each is before anything was seen: that all delay is on one way, to a tenth or a third, is rare, and three
 * samples look like it by chance. Forgotten with the past.
 */
const NOISE_PRIORS: Readonly<Record<(typeof NOISES)[number], number>> = { 0.1: -3, 0.3: -1.5, 0.6: 0, 1.2: 0, 2.4: 0 }
/** Those of them that queues at random can have; 1 where both ways are alike. */
const RANDOM_NOISES = [0.6, 1.2, 2.4] as const
/**
 * What a sample's delay may say of its offset; each filter believes one of these.
 *
 * `lever`: of which delay a share shows in the offset, all being on one way. Of all that is over the least; or of what late
 * packets have more than ordinary ones, while everyday jitter is on both ways alike: an upload; or of what packets in a row
 * have in common, a queue that stands for hours: what jitter says of its own ways says nothing of that queue's.
 *
 * `noise`: as much as queues cause that are split at random between the ways; or the level of an ordinary sample, whatever
 * the delay: that is so where a queue is on one way only, or where delays vary that are no queues; or a late packet's offset is
 * anywhere that its delay allows and so says nearly nothing, and the others' are the better the nearer they are to the least
 * delay, without end: radio, and queues at random on both ways; or as much as the delay over the standing queue says.
 *
 * `noises`: of which guesses it takes part in. Queues at random are never split to a tenth alike.
 */
const SHAPES = [
  { lever: "all", noise: "delay", noises: NOISES },
  { lever: "all", noise: "level", noises: NOISES },
  { lever: "late", noise: "delay", noises: NOISES },
  { lever: "late", noise: "level", noises: NOISES },
  { lever: "all", noise: "prompt", noises: RANDOM_NOISES },
  { lever: "late", noise: "prompt", noises: RANDOM_NOISES },
  { lever: "standing", noise: "over", noises: RANDOM_NOISES },
  { lever: "standing", noise: "level", noises: RANDOM_NOISES }
] as const
type Shape = (typeof SHAPES)[number]
/** Weight that past samples keep: an effective memory of forty. */
const FORGETTING = 0.975
/** A guess is never worse than e^-14 to the best, so that it can come back within a few samples. */
const LEAST_LOG_WEIGHT = -14
/** Samples farther off than this many standard deviations count as outliers, and pull no harder than at this distance. */
export const GATE = 4

/** Offset and frequency with their variances, and what the filters' guesses come to. */
export interface OffsetEstimate {
  /** The source's time minus our uncorrected clock, seconds. */
  readonly offset: number
  /** Seconds per second. */
  readonly frequency: number
  /** Variances and covariance of the two. */
  readonly offsetVariance: number
  readonly covariance: number
  readonly frequencyVariance: number
  /** Variance of the frequency's random walk, per second. */
  readonly wander: number
}

interface Model {
  readonly wander: number
  readonly shape: Shape
  readonly noise: number
  readonly prior: number
  readonly state: ClockState
  logWeight: number
  weight: number
  /** How badly it has foretold of late: mean of squared normalised innovations. */
  missing: number
}

/** Variance of a sample in two parts: one that a filter multiplies by its guess, and one that is there whatever it guesses. */
interface NoiseMeaning {
  readonly suggested: number
  readonly certain: number
}

/** What a sample's delay means to filters of each lever and each noise: seconds, and seconds squared. */
export interface SampleMeaning {
  /** Extra delay that asymmetry acts on. */
  readonly lever: Readonly<Record<Shape["lever"], number>>
  /** Variance of the sample. */
  readonly noise: Readonly<Record<Shape["noise"], NoiseMeaning>>
  /** Variance that is there whatever a filter takes noise for: a server that leaps by habit. */
  readonly habitual: number
}

/** What is known of the oscillator's frequency beforehand: seconds per second, and variances of that. */
export interface FrequencyPrior {
  readonly frequency: number
  /** Of a usual oscillator, and of any. */
  readonly usual: number
  readonly most: number
}

const blankState = (): ClockState => ({
  offset: 0,
  frequency: 0,
  asymmetry: 0,
  oo: 0,
  of: 0,
  oa: 0,
  ff: 0,
  fa: 0,
  aa: ASYMMETRY_PRIOR
})

export class FilterBank {
  readonly #models: readonly Model[] = WANDERS.flatMap((wander) =>
    SHAPES.flatMap((shape) =>
      shape.noises.map((noise): Model => ({
        wander: wander ** 2,
        shape,
        noise: noise ** 2,
        prior: NOISE_PRIORS[noise],
        state: blankState(),
        logWeight: 0,
        weight: 0,
        missing: 1
      }))
    )
  )

  /** Starts all filters from one sample and what is known of the frequency. */
  begin(offset: number, variance: number, { frequency, usual, most }: FrequencyPrior): void {
    for (const model of this.#models) {
      const ff = model.wander <= STEADY ** 2 ? usual : most
      copyState({ ...blankState(), offset, frequency, oo: variance, ff }, model.state)
      model.logWeight = model.prior
      model.missing = 1
    }
    this.#weigh()
  }

  /** Starts all filters from two samples, `seconds` apart. */
  beginFromTwo(
    first: { readonly offset: number; readonly meaning: SampleMeaning },
    second: { readonly offset: number; readonly meaning: SampleMeaning },
    seconds: number
  ): void {
    for (const model of this.#models) {
      const seen = ({ offset, meaning }: typeof first): FirstSample => ({
        offset,
        extra: meaning.lever[model.shape.lever],
        noise: meaning.noise.delay.suggested * model.noise
      })
      startFromTwo(model.state, seen(first), seen(second), seconds, model.wander)
    }
  }

  advance(seconds: number): void {
    for (const { state, wander } of this.#models) predict(state, seconds, wander)
  }

  /** Mixture of the filters `ahead` seconds after the last sample. */
  estimate(ahead: number): OffsetEstimate {
    // About one of them, and added to it once, so that an offset of years costs the sum no digits.
    const about = this.#models[0]?.state.offset ?? 0
    let beside = 0
    let frequency = 0
    let wander = 0
    for (const { state, weight, wander: q } of this.#models) {
      beside += weight * (state.offset - about + state.frequency * ahead)
      frequency += weight * state.frequency
      wander += weight * q
    }
    const offset = about + beside
    let [offsetVariance, covariance, frequencyVariance] = [0, 0, 0]
    for (const { state, weight, wander: q } of this.#models) {
      const [dOffset, dFrequency] = [state.offset + state.frequency * ahead - offset, state.frequency - frequency]
      offsetVariance += weight * (offsetVarianceAhead(state, ahead, q) + dOffset * dOffset)
      covariance += weight * (state.of + ahead * state.ff + (q * ahead * ahead) / 2 + dOffset * dFrequency)
      frequencyVariance += weight * (state.ff + q * ahead + dFrequency * dFrequency)
    }
    return { offset, frequency, offsetVariance, covariance, frequencyVariance, wander }
  }

  /** What a sample with this delay should say, and the variance of that without its own noise. */
  expectation({ lever }: SampleMeaning): { readonly offset: number; readonly variance: number } {
    const about = this.#models[0]?.state.offset ?? 0
    let beside = 0
    let variance = 0
    for (const { state, weight, shape } of this.#models)
      beside += weight * (expected(state, lever[shape.lever]).offset - about)
    const offset = about + beside
    for (const { state, weight, shape } of this.#models) {
      const guess = expected(state, lever[shape.lever])
      variance += weight * (guess.variance + (guess.offset - offset) ** 2)
    }
    return { offset, variance }
  }

  /** All filters take a sample in. @param gated whether they know enough for one that is far off to be an outlier */
  learn(offset: number, meaning: SampleMeaning, gated: boolean): void {
    for (const model of this.#models) learn(model, offset, meaning, gated)
    this.#weigh()
  }

  /** The least delay is another by `change`, seconds. */
  moveLeastDelay(change: number): void {
    for (const { state, shape } of this.#models) if (shape.lever !== "late") moveLeastDelay(state, change)
  }

  /** A new route may be longer on one way only, which shifts the offset by up to half of the change. */
  changeRoute(change: number): void {
    for (const { state } of this.#models) {
      state.oo += change ** 2 / 12
      state.oa = 0
      state.fa = 0
      state.aa = ASYMMETRY_PRIOR
    }
  }

  /** The share of extra delay that shows in the offset, -0.5 … 0.5. */
  asymmetry(): number {
    return this.#models.reduce((sum, { state, weight }) => sum + weight * state.asymmetry, 0)
  }

  /** The same, of those filters alone that take all that is over the least delay for a queue; the others count as 0. */
  asymmetryOfAll(): number {
    return this.#models.reduce(
      (sum, { state, weight, shape }) => (shape.lever === "all" ? sum + weight * state.asymmetry : sum),
      0
    )
  }

  /** Every offset is lower by `seconds`. */
  shift(seconds: number): void {
    for (const { state } of this.#models) state.offset -= seconds
  }

  #weigh(): void {
    const best = Math.max(...this.#models.map((model) => model.logWeight))
    let total = 0
    for (const model of this.#models) {
      model.logWeight = Math.max(model.logWeight - best, LEAST_LOG_WEIGHT)
      model.weight = Math.exp(model.logWeight)
      total += model.weight
    }
    let leader = this.#models[0] as Model
    for (const model of this.#models) {
      model.weight /= total
      if (model.weight > leader.weight) leader = model
    }
    // A filter that has lost the clock would stay lost, being sure of itself: it starts again from the best one.
    for (const model of this.#models) {
      if (model.missing < 6 || model === leader) continue
      copyState(leader.state, model.state)
      model.missing = 1
    }
  }
}

/** One filter takes the sample in. An outlier pulls as if it stood at the gate; likelihood has the tails of Student's t. */
const learn = (model: Model, offset: number, meaning: SampleMeaning, gated: boolean): void => {
  const extra = meaning.lever[model.shape.lever]
  const guess = expected(model.state, extra)
  const { suggested, certain } = meaning.noise[model.shape.noise]
  const noise = suggested * model.noise + certain + meaning.habitual
  const variance = guess.variance + noise
  const innovation = offset - guess.offset
  const squared = innovation ** 2 / variance
  model.logWeight = FORGETTING * model.logWeight - 0.5 * Math.log(variance) - 2.5 * Math.log1p(squared / 4)
  model.missing += (Math.min(squared, 25) - model.missing) / 8
  const inflated = squared > GATE ** 2 && gated ? noise + variance * (squared / GATE ** 2 - 1) : noise
  correct(model.state, innovation, extra, inflated)
}
