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
import { DelayFloor, LATE } from "./delay-floor.ts"
import { FilterBank, type FrequencyPrior, GATE, type OffsetEstimate, type SampleMeaning } from "./filter-bank.ts"
import { Leaps } from "./leaps.ts"
import { Scatter } from "./scatter.ts"
import { type ClockSample, LEAST_INTERVAL, sampleRejection, type SampleRejection } from "./sample.ts"

export type { OffsetEstimate } from "./filter-bank.ts"

/** Extra delay of an ordinary sample in lower quarters: the usual one's, and the mean of two exponential queues. */
const ORDINARY = 1.75
const EVERYDAY = 2.08
/** Samples that the noise of the better ones is read from; which of them in order, and by how much the usual one is larger. */
const MISSES = 16
const BETTER_SHARE = 0.3
const USUAL_BY_BETTER = 3
/**
 * Of an exponential jitter the mean is the deviation. The samples that count most are those of low delay, which have less of
 * it: half. As a factor of an asymmetry, which is a half at most.
 */
const CLEAN_WAY = 0.5
/** Outliers in a row, agreeing with each other, that are believed: the clock or the source was stepped. */
const STEP_AFTER = 4
/** Samples within which a lower delay has all of them judged anew. */
const YOUNG = 24
/**
 * Noise of the first sample, once its delay can be compared with the second's, as a multiple of what delays suggest: variance.
 * What the path is like is not known yet, and a daemon that starts sends its first packet at its busiest.
 */
const FIRST_NOISE = 2
/** Frequency error of an oscillator of which nothing is known, seconds per second. */
const FREQUENCY_PRIOR = 1e-4
/** The same of a usual one. A few samples of a burst say nothing of it, and what they say is gone on with until the next poll. */
const USUAL_FREQUENCY = 5e-5

export type SampleOutcome = "used" | "outlier" | "stepped" | "time-not-later" | SampleRejection

/** What estimates a source: {@link SourceEstimator}, or another that is measured against it. */
export interface ClockEstimator {
  /** Samples used since the start or the last step. */
  readonly samples: number
  /** Typical noise of a sample, seconds. */
  readonly noise: number
  /** The same of a sample that was not late, seconds. */
  readonly quietNoise: number
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

/** A sample, and the least delay that it and those right before it had: seconds. */
interface QueuedSample extends ClockSample {
  readonly common: number
}

interface MaybeLeap {
  readonly time: number
  readonly size: number
  /** Offset less what was foretold, seconds. */
  readonly off: number
  readonly line: { readonly offset: number; readonly frequency: number }
}

export class SourceEstimator implements ClockEstimator {
  /** Samples used since the start or the last step. */
  samples = 0
  /** Typical noise of a sample, seconds: for jitter and for the choice of poll interval. */
  noise = 0
  readonly floor = new DelayFloor()
  #scatter = new Scatter()
  readonly #precision: number
  readonly #bank = new FilterBank()
  #time = 0
  #prior: FrequencyPrior
  readonly #leaps = new Leaps()
  /** What may be a leap, as the next sample will tell, and how the past goes on without it. */
  #maybeLeap: MaybeLeap | undefined
  #outliers: QueuedSample[] = []
  /** By how much the last samples were off what was foretold, seconds. */
  #misses: readonly number[] = []
  /** The samples so far, while they are few and the least delay is hardly known. */
  #young: QueuedSample[] | undefined = []
  /** The first sample, while it is the only one. */
  #first: { readonly sample: QueuedSample; readonly meaning: SampleMeaning } | undefined

  /**
   * @param precision reading error of our clock, seconds
   * @param frequency what a drift file says, with its standard deviation, both in seconds per second
   */
  constructor(precision: number, frequency?: { readonly value: number; readonly deviation: number }) {
    this.#precision = precision
    const most = (frequency?.deviation ?? FREQUENCY_PRIOR) ** 2
    this.#prior = { frequency: frequency?.value ?? 0, usual: Math.min(most, USUAL_FREQUENCY ** 2), most }
  }

  /** Takes in a sample; says what became of it. */
  add(measured: ClockSample): SampleOutcome {
    const rejection = sampleRejection(measured)
    if (rejection !== undefined) return rejection
    if (this.samples > 0 && measured.time < this.#time + LEAST_INTERVAL) return "time-not-later"
    const { change, route } = this.floor.add(measured.time, measured.delay)
    const sample = { ...measured, common: this.floor.common }
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

  #take(sample: QueuedSample, change: number, route: boolean): SampleOutcome {
    const extra = Math.max(0, sample.delay - this.floor.least)
    const suggested = this.#sampleVariance(sample, extra)
    this.#scatter.add(sample.time, sample.offset, suggested, (extra + this.floor.unseen) / 2)
    if (this.samples === 0) {
      this.#begin(sample)
      return "used"
    }
    const seconds = sample.time - this.#time
    if (this.samples === 1) this.#firstAnew()
    this.#advance(sample.time)
    if (route) this.#bank.changeRoute(change)
    else if (change !== 0) this.#bank.moveLeastDelay(change)
    const meaning = this.#meaning(sample, this.#leaps.habit ** 2 / 3)
    if (this.samples === 1 && this.#second(sample, seconds, meaning)) {
      this.samples = 2
      return "used"
    }
    const foretold = this.#bank.expectation(meaning)
    const innovation = sample.offset - foretold.offset
    const deviation = Math.sqrt(foretold.variance + meaning.noise.delay.suggested + meaning.habitual)
    const outlier = this.samples > 3 && Math.abs(innovation) > GATE * deviation
    this.#watchLeaps(sample, innovation, foretold.offset, outlier)
    this.#outliers = outlier ? [...this.#outliers, sample] : []
    if (this.#outliers.length >= STEP_AFTER) return this.#restart()
    this.#bank.learn(sample.offset, meaning, this.samples > 3)
    this.samples += 1
    this.#misses = [...this.#misses.slice(1 - MISSES), Math.abs(innovation)]
    this.noise += (Math.min(Math.abs(innovation), GATE * deviation) * 1.25 - this.noise) / Math.min(this.samples, 16)
    return outlier ? "outlier" : "used"
  }

  /** Offset and frequency at `time` (seconds, the samples' clock), or undefined before the first sample. */
  estimate(time: number): OffsetEstimate | undefined {
    if (this.samples === 0) return undefined
    const found = this.#bank.estimate(Math.max(0, time - this.#time))
    return { ...found, offset: found.offset + this.#cleanWay() }
  }

  /**
   * Where all queues are on one way, the other way's own jitter is in every sample, and is never negative: by so much the
   * filters, which take noise for as often positive, are off. Seconds.
   */
  #cleanWay(): number {
    return CLEAN_WAY * this.#bank.asymmetryOfAll() * this.quietNoise
  }

  /** Noise of an ordinary sample as the better third tell it, seconds: late packets, be they half of all, are not in it. */
  get quietNoise(): number {
    const better = this.#misses.toSorted((a, b) => a - b)[Math.floor(BETTER_SHARE * this.#misses.length)]
    return better === undefined ? this.noise : Math.min(this.noise, USUAL_BY_BETTER * better)
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
    return this.#bank.asymmetry()
  }

  /** Our own uncorrected clock was stepped by `seconds`: every offset changes by as much the other way. */
  clockStepped(seconds: number): void {
    this.#bank.shift(seconds)
    this.#scatter.shift(seconds)
    this.#young = this.#young?.map((sample) => ({ ...sample, offset: sample.offset - seconds }))
    const first = this.#first
    if (first !== undefined)
      this.#first = { ...first, sample: { ...first.sample, offset: first.sample.offset - seconds } }
    this.#outliers = []
    this.#maybeLeap = undefined
  }

  /** Variance of the sample's noise as its delay and dispersion suggest. */
  #sampleVariance(sample: ClockSample, extra: number): number {
    // The least delay seen is itself a little over the least possible.
    return (extra + this.floor.unseen) ** 2 / 12 + (this.#precision + sample.dispersion / 3) ** 2
  }

  /** What its delay says, to filters of each belief. */
  #meaning(sample: QueuedSample, habitual: number): SampleMeaning {
    const all = Math.max(0, sample.delay - this.floor.least)
    const { unexplained } = this.#scatter
    const { unseen, excess } = this.floor
    const standing = Math.max(0, sample.common - this.floor.least)
    const everyday = EVERYDAY * unseen
    const late = all > LATE * unseen ? all - everyday : 0
    const ordinary = this.#sampleVariance(sample, ORDINARY * unseen) + unexplained
    return {
      lever: { all, late, standing },
      noise: {
        delay: { suggested: this.#sampleVariance(sample, all) + unexplained, certain: 0 },
        // What everyday jitter has in a late packet's delay is not seen: the next late one has as much too much or too little.
        level: { suggested: ordinary, certain: late > 0 ? everyday ** 2 : 0 },
        over: { suggested: this.#sampleVariance(sample, all - standing) + unexplained, certain: 0 },
        prompt:
          late > 0
            ? { suggested: ordinary, certain: late ** 2 / 4 }
            : { suggested: this.#sampleVariance(sample, all + excess - unseen) + unexplained, certain: 0 }
      },
      habitual
    }
  }

  #begin(sample: QueuedSample): void {
    const meaning = this.#meaning(sample, 0)
    const variance = meaning.noise.delay.suggested + (sample.delay / 4) ** 2
    this.#first = { sample, meaning }
    this.#bank.begin(sample.offset, variance, this.#prior)
    this.#time = sample.time
    this.samples = 1
    this.noise = Math.sqrt(variance)
  }

  #advance(time: number): void {
    this.#bank.advance(time - this.#time)
    this.#time = time
  }

  /**
   * Alone, the first sample may have met any queue, and is hardly believed. Now there is one to compare its delay with: it counts as
   * any other does, to filters of each guess alike.
   */
  #firstAnew(): void {
    if (this.#first === undefined) return
    const { sample } = this.#first
    const variance = FIRST_NOISE * this.#meaning(sample, 0).noise.delay.suggested
    this.#bank.begin(sample.offset, variance, this.#prior)
  }

  /**
   * The second sample is the first word on frequency. Where the prior knows nearly nothing beside it, or cannot explain it
   * and so is wrong, the two samples alone decide.
   */
  #second(second: QueuedSample, seconds: number, meaning: SampleMeaning): boolean {
    const first = this.#first
    if (first === undefined) return false
    const { offset, delay } = first.sample
    const foretold = this.#bank.expectation(meaning)
    // Two that met queues are no reason to doubt what is known of the frequency.
    const queued = (delay / 4) ** 2 + (second.delay / 4) ** 2
    const allowed = foretold.variance + meaning.noise.delay.suggested + queued
    const surprised = (second.offset - foretold.offset) ** 2 > 9 * allowed
    const noise = first.meaning.noise.delay.suggested + meaning.noise.delay.suggested
    const vague = this.#prior.most * seconds ** 2 > 1e6 * noise
    if (!surprised && !vague) return false
    this.#bank.beginFromTwo({ offset, meaning: first.meaning }, { offset: second.offset, meaning }, seconds)
    return true
  }

  /** @param foretold what the sample's offset should have been, seconds */
  #watchLeaps(sample: ClockSample, innovation: number, foretold: number, outlier: boolean): void {
    // A delay over the least explains half of it, the ways being what they may.
    const explained = Math.max(0, sample.delay - this.floor.least) / 2 + this.floor.unseen
    const leap = Math.abs(innovation) - explained
    const { habit } = this.#leaps
    this.#judgeLeap(sample)
    if (habit > 0 && leap > habit / 2) this.#leaps.add(sample.time, leap)
    else if (outlier && leap > 0 && this.samples > YOUNG && this.#outliers.length === 0) {
      const frequency = this.estimate(this.#time)?.frequency ?? 0
      this.#maybeLeap = { time: sample.time, size: leap, off: innovation, line: { offset: foretold, frequency } }
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
    const [first, ...rest] = samples as [QueuedSample, ...QueuedSample[]]
    this.#outliers = []
    this.#young = undefined
    const variance = Math.max(before?.frequencyVariance ?? 0, 1e-5 ** 2)
    this.#prior = { frequency: before?.frequency ?? this.#prior.frequency, usual: variance, most: variance }
    this.#begin(first)
    for (const sample of rest) {
      this.#advance(sample.time)
      this.#bank.learn(sample.offset, this.#meaning(sample, 0), this.samples > 3)
      this.samples += 1
    }
    return "stepped"
  }
}
