/**
 * What one source says of our clock, with honest uncertainty: a bank of Kalman filters, one for each guess of how much the
 * oscillator wanders and how noisy the path is. Neither is known beforehand and both change; each filter is weighted by
 * how well it foretold the samples of late, and the answer is the weighted mixture, whose variance includes how much the
 * filters differ. A quiet path and a good oscillator thus average over hours, a warm morning over minutes, unasked.
 *
 * The other candidate was linear regression with a runs test. Measured over the scenario table the bank errs a third as much
 * on a settled clock and three quarters as much from a cold start, on the geometric mean; behind a satellite, where noise
 * hides the oscillator, regression errs less. `npm run scenarios -- --against regression` repeats it.
 *
 * How wrong a single sample may be is known from its delay: with extra delay D over the least of the path its offset is
 * off by at most D/2, on the average by D/√12 (RFC 5905 §8 has the bound).
 */
import { DelayFloor } from "./delay-floor.ts"
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
import { Leaps } from "./leaps.ts"
import { Scatter } from "./scatter.ts"
import { type ClockSample, LEAST_INTERVAL, sampleRejection, type SampleRejection } from "./sample.ts"

/** Frequency wander of the guesses, seconds per second per root second: from a good oven oscillator to a bad crystal in a draught. */
const WANDERS = [1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6] as const
/** Noise of the guesses, as a multiple of what the delays suggest. */
const NOISES = [0.1, 0.3, 0.6, 1.2, 2.4] as const
/**
 * What a sample's delay may say of its offset; each filter believes one of these.
 *
 * `lever`: of which delay a share shows in the offset, all being on one way. Of all that is over the least; or of late packets
 * only, while everyday jitter is on both ways alike: an upload.
 *
 * `noise`: as much as queues cause that are split at random between the ways; or the level of an ordinary sample, whatever
 * the delay: that is so where a queue is on one way only, or where delays vary that are no queues.
 */
const SHAPES = [
  { lever: "all", noise: "delay" },
  { lever: "all", noise: "level" },
  { lever: "late", noise: "delay" },
  { lever: "late", noise: "level" }
] as const
type Shape = (typeof SHAPES)[number]
/** Packets over the least by more than this many lower quarters are late: of two exponential queues one in a hundred is. */
const LATE = 6
/** Extra delay of an ordinary sample in lower quarters. */
const ORDINARY = 1.75
/** Weight that past samples keep: an effective memory of forty. */
const FORGETTING = 0.975
/** A guess is never worse than e^-14 to the best, so that it can come back within a few samples. */
const LEAST_LOG_WEIGHT = -14
/** Samples farther off than this many standard deviations count as outliers, and pull no harder than at this distance. */
const GATE = 4
/** Outliers in a row, agreeing with each other, that are believed: the clock or the source was stepped. */
const STEP_AFTER = 4
/** Samples within which a lower delay has all of them judged anew. */
const YOUNG = 24
/** Frequency error of an oscillator of which nothing is known, seconds per second. */
const FREQUENCY_PRIOR = 1e-4

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

export type SampleOutcome = "used" | "outlier" | "stepped" | "time-not-later" | SampleRejection

/** What estimates a source: {@link SourceEstimator}, or another that is measured against it. */
export interface ClockEstimator {
  /** Samples used since the start or the last step. */
  readonly samples: number
  /** Typical noise of a sample, seconds. */
  readonly noise: number
  /** How far samples scatter about a straight line, seconds. */
  readonly scatter: number
  /** The farthest it has leapt in the last day with nothing in its delays to show for it, seconds. */
  readonly leapt: number
  /** Takes in a sample; says what became of it. */
  readonly add: (sample: ClockSample) => SampleOutcome
  /** Offset and frequency at a time, or undefined while nothing is known. */
  readonly estimate: (time: number) => OffsetEstimate | undefined
  /** Our own uncorrected clock was stepped by `seconds`. */
  readonly clockStepped: (seconds: number) => void
}

interface Model {
  readonly wander: number
  readonly shape: Shape
  readonly noise: number
  readonly state: ClockState
  logWeight: number
  weight: number
  /** How badly it has foretold of late: mean of squared normalised innovations. */
  missing: number
}

interface MaybeLeap {
  readonly time: number
  readonly size: number
  /** Offset less what was foretold, seconds. */
  readonly off: number
  readonly line: { readonly offset: number; readonly frequency: number }
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

export class SourceEstimator implements ClockEstimator {
  /** Samples used since the start or the last step. */
  samples = 0
  /** Typical noise of a sample, seconds: for jitter and for the choice of poll interval. */
  noise = 0
  readonly floor = new DelayFloor()
  #scatter = new Scatter()
  readonly #precision: number
  readonly #models: readonly Model[]
  #time = 0
  #priorFrequency: number
  #priorVariance: number
  readonly #leaps = new Leaps()
  /** What may be a leap, as the next sample will tell, and how the past goes on without it. */
  #maybeLeap: MaybeLeap | undefined
  #outliers: ClockSample[] = []
  /** The samples so far, while they are few and the least delay is hardly known. */
  #young: ClockSample[] | undefined = []
  /** The first sample, while it is the only one. */
  #first: FirstSample | undefined

  /**
   * @param precision reading error of our clock, seconds
   * @param frequency what a drift file says, with its standard deviation, both in seconds per second
   */
  constructor(precision: number, frequency?: { readonly value: number; readonly deviation: number }) {
    this.#precision = precision
    this.#priorFrequency = frequency?.value ?? 0
    this.#priorVariance = (frequency?.deviation ?? FREQUENCY_PRIOR) ** 2
    this.#models = WANDERS.flatMap((wander) =>
      NOISES.flatMap((noise) =>
        SHAPES.map((shape): Model => ({
          wander: wander ** 2,
          shape,
          noise: noise ** 2,
          state: blankState(),
          logWeight: 0,
          weight: 0,
          missing: 1
        }))
      )
    )
  }

  /** Takes in a sample; says what became of it. */
  add(sample: ClockSample): SampleOutcome {
    const rejection = sampleRejection(sample)
    if (rejection !== undefined) return rejection
    if (this.samples > 0 && sample.time < this.#time + LEAST_INTERVAL) return "time-not-later"
    const { change, route } = this.floor.add(sample.time, sample.delay)
    const young = this.#young
    if (young === undefined) return this.#take(sample, change, route)
    young.push(sample)
    if (young.length >= YOUNG) this.#young = undefined
    if (change === 0) return this.#take(sample, change, route)
    // What was taken for a packet that met no queue was none: the few samples so far are judged anew.
    this.#forget()
    return young.reduce<SampleOutcome>((_, one) => this.#take(one, 0, false), "used")
  }

  #forget(): void {
    this.samples = 0
    this.#scatter = new Scatter()
    this.#outliers = []
  }

  #take(sample: ClockSample, change: number, route: boolean): SampleOutcome {
    const extra = Math.max(0, sample.delay - this.floor.least)
    const suggested = this.#sampleVariance(sample, extra)
    this.#scatter.add(sample.time, sample.offset, suggested)
    if (this.samples === 0) {
      this.#begin(sample)
      return "used"
    }
    const seconds = sample.time - this.#time
    this.#advance(sample.time)
    this.#moveFloor(change, route)
    const habitual = this.#leaps.habit ** 2 / 3
    const noise = suggested + this.#scatter.unexplained
    if (this.samples === 1 && this.#second(sample, seconds, extra, noise)) {
      this.samples = 2
      return "used"
    }
    const lever = this.#lever(extra)
    const foretold = this.#mixtureExpectation(lever)
    const innovation = sample.offset - foretold.offset
    const deviation = Math.sqrt(foretold.variance + noise + habitual)
    const outlier = this.samples > 3 && Math.abs(innovation) > GATE * deviation
    // A delay over the least explains half of it, the ways being what they may.
    const leap = Math.abs(innovation) - extra / 2 - this.floor.unseen
    const habit = this.#leaps.habit
    this.#judgeLeap(sample)
    if (habit > 0 && leap > habit / 2) this.#leaps.add(sample.time, leap)
    else if (outlier && leap > 0 && this.samples > YOUNG && this.#outliers.length === 0) {
      const frequency = this.estimate(this.#time)?.frequency ?? 0
      this.#maybeLeap = { time: sample.time, size: leap, off: innovation, line: { offset: foretold.offset, frequency } }
    }
    this.#outliers = outlier ? [...this.#outliers, sample] : []
    if (this.#outliers.length >= STEP_AFTER) return this.#restart()
    const level = this.#sampleVariance(sample, ORDINARY * this.floor.unseen) + this.#scatter.unexplained
    for (const model of this.#models)
      this.#learn(model, sample.offset, lever(model.shape), model.shape.noise === "level" ? level : noise, habitual)
    this.#weigh()
    this.samples += 1
    this.noise += (Math.min(Math.abs(innovation), GATE * deviation) * 1.25 - this.noise) / Math.min(this.samples, 16)
    return outlier ? "outlier" : "used"
  }

  /** Offset and frequency at `time` (seconds, the samples' clock), or undefined before the first sample. */
  estimate(time: number): OffsetEstimate | undefined {
    if (this.samples === 0) return undefined
    const ahead = Math.max(0, time - this.#time)
    // About one of them, so that an offset of years costs the sum no digits.
    const about = this.#models[0]?.state.offset ?? 0
    let offset = about
    let frequency = 0
    let wander = 0
    for (const { state, weight, wander: q } of this.#models) {
      offset += weight * (state.offset - about + state.frequency * ahead)
      frequency += weight * state.frequency
      wander += weight * q
    }
    let [offsetVariance, covariance, frequencyVariance] = [0, 0, 0]
    for (const { state, weight, wander: q } of this.#models) {
      const [dOffset, dFrequency] = [state.offset + state.frequency * ahead - offset, state.frequency - frequency]
      offsetVariance += weight * (offsetVarianceAhead(state, ahead, q) + dOffset * dOffset)
      covariance += weight * (state.of + ahead * state.ff + (q * ahead * ahead) / 2 + dOffset * dFrequency)
      frequencyVariance += weight * (state.ff + q * ahead + dFrequency * dFrequency)
    }
    return { offset, frequency, offsetVariance, covariance, frequencyVariance, wander }
  }

  get leapt(): number {
    return this.#leaps.largest
  }

  /** How far samples scatter about a straight line, seconds: known from the third sample on, and not of frequency. */
  get scatter(): number {
    return this.#scatter.deviation
  }

  /** The share of extra delay that shows in the offset, -0.5 … 0.5. */
  asymmetry(): number {
    return this.#models.reduce((sum, { state, weight }) => sum + weight * state.asymmetry, 0)
  }

  /** Our own uncorrected clock was stepped by `seconds`: every offset changes by as much the other way. */
  clockStepped(seconds: number): void {
    for (const { state } of this.#models) state.offset -= seconds
    this.#scatter.shift(seconds)
    this.#young = this.#young?.map((sample) => ({ ...sample, offset: sample.offset - seconds }))
    this.#outliers = []
    this.#maybeLeap = undefined
  }

  /** Variance of the sample's noise as its delay and dispersion suggest. */
  #sampleVariance(sample: ClockSample, extra: number): number {
    // The least delay seen is itself a little over the least possible.
    return (extra + this.floor.unseen) ** 2 / 12 + (this.#precision + sample.dispersion / 3) ** 2
  }

  #begin(sample: ClockSample): void {
    const extra = Math.max(0, sample.delay - this.floor.least)
    const noise = this.#sampleVariance(sample, extra)
    const variance = noise + (sample.delay / 4) ** 2
    for (const model of this.#models) {
      copyState(
        {
          ...blankState(),
          offset: sample.offset,
          frequency: this.#priorFrequency,
          oo: variance,
          ff: this.#priorVariance
        },
        model.state
      )
      model.logWeight = 0
      model.weight = 1 / this.#models.length
      model.missing = 1
    }
    this.#first = { offset: sample.offset, extra, noise }
    this.#time = sample.time
    this.samples = 1
    this.noise = Math.sqrt(variance)
  }

  #advance(time: number): void {
    const seconds = time - this.#time
    for (const { state, wander } of this.#models) predict(state, seconds, wander)
    this.#time = time
  }

  /**
   * The second sample is the first word on frequency. Where the prior knows nearly nothing beside it, or cannot explain it
   * and so is wrong, the two samples alone decide.
   */
  #second(sample: ClockSample, seconds: number, extra: number, noise: number): boolean {
    const first = this.#first
    if (first === undefined) return false
    const lever = this.#lever(extra)
    const foretold = this.#mixtureExpectation(lever)
    const surprised = (sample.offset - foretold.offset) ** 2 > 9 * (foretold.variance + noise)
    const vague = this.#priorVariance * seconds ** 2 > 1e6 * (first.noise + noise)
    if (!surprised && !vague) return false
    for (const model of this.#models) {
      const scaled = { offset: sample.offset, extra: lever(model.shape), noise: noise * model.noise }
      const before = { ...first, extra: this.#lever(first.extra)(model.shape), noise: first.noise * model.noise }
      startFromTwo(model.state, before, scaled, seconds, model.wander)
    }
    return true
  }

  #moveFloor(change: number, route: boolean): void {
    if (!route) {
      if (change === 0) return
      for (const { state, shape } of this.#models) if (shape.lever === "all") moveLeastDelay(state, change)
      return
    }
    // The new route may be longer on one way only, which shifts the offset by up to half of the change.
    for (const { state } of this.#models) {
      state.oo += change ** 2 / 12
      state.oa = 0
      state.fa = 0
      state.aa = ASYMMETRY_PRIOR
    }
  }

  /** The part of a sample's extra delay that asymmetry acts on. */
  #lever(extra: number): (shape: Shape) => number {
    const late = extra > LATE * this.floor.unseen ? extra : 0
    return (shape) => (shape.lever === "late" ? late : extra)
  }

  #mixtureExpectation(lever: (shape: Shape) => number): { readonly offset: number; readonly variance: number } {
    const about = this.#models[0]?.state.offset ?? 0
    let offset = about
    let variance = 0
    for (const { state, weight, shape } of this.#models)
      offset += weight * (expected(state, lever(shape)).offset - about)
    for (const { state, weight, shape } of this.#models) {
      const guess = expected(state, lever(shape))
      variance += weight * (guess.variance + (guess.offset - offset) ** 2)
    }
    return { offset, variance }
  }

  /** One filter takes the sample in. An outlier pulls as if it stood at the gate; likelihood has the tails of Student's t. */
  #learn(model: Model, offset: number, extra: number, sampleVariance: number, habitual: number): void {
    const guess = expected(model.state, extra)
    const noise = sampleVariance * model.noise + habitual
    const variance = guess.variance + noise
    const innovation = offset - guess.offset
    const squared = innovation ** 2 / variance
    model.logWeight = FORGETTING * model.logWeight - 0.5 * Math.log(variance) - 2.5 * Math.log1p(squared / 4)
    model.missing += (Math.min(squared, 25) - model.missing) / 8
    const inflated = squared > GATE ** 2 && this.samples > 3 ? noise + variance * (squared / GATE ** 2 - 1) : noise
    correct(model.state, innovation, extra, inflated)
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

  /** A leap is all at once: the next sample lies as far off. Where it runs away farther our oscillator turned. */
  #judgeLeap(next: ClockSample): void {
    const leap = this.#maybeLeap
    this.#maybeLeap = undefined
    if (leap === undefined) return
    const off = next.offset - leap.line.offset - leap.line.frequency * (next.time - leap.time)
    if (Math.abs(off - leap.off) < leap.size / 2) this.#leaps.add(leap.time, leap.size)
  }

  /** Several samples agree with each other and not with the past: begins anew from them, keeping what is known of frequency. */
  #restart(): SampleOutcome {
    const before = this.estimate(this.#time)
    const samples = this.#outliers
    const [first, ...rest] = samples as [ClockSample, ...ClockSample[]]
    this.#outliers = []
    this.#young = undefined
    this.#priorFrequency = before?.frequency ?? this.#priorFrequency
    this.#priorVariance = Math.max(before?.frequencyVariance ?? 0, 1e-5 ** 2)
    this.#begin(first)
    for (const sample of rest) {
      this.#advance(sample.time)
      const extra = Math.max(0, sample.delay - this.floor.least)
      const noise = this.#sampleVariance(sample, extra)
      const lever = this.#lever(extra)
      for (const model of this.#models) this.#learn(model, sample.offset, lever(model.shape), noise, 0)
      this.#weigh()
      this.samples += 1
    }
    return "stepped"
  }
}
