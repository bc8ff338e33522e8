/**
 * One source as the discipline keeps it: the reach register, the RFC's clock filter (what statistics files and ntpq show)
 * and the estimator (what the clock is set by).
 */
import {
  type ClockFilter,
  emptyClockFilter,
  filterMiss,
  filterOutput,
  type FilterOutput,
  filterSample
} from "./clock-filter.ts"
import type { OrphanRank } from "./orphan.ts"
import { MAXDISP, MAXSTRAT } from "./parameters.ts"
import type { ClockSample } from "./sample.ts"
import { SampleScreen, type ScreenedOut, type ScreenOptions } from "./sample-screen.ts"
import { type ClockEstimator, type OffsetEstimate, SourceEstimator, type SampleOutcome } from "./source-estimator.ts"
import type { SourceView } from "./system-peer.ts"

/** What a reply says of the source itself (RFC 5905 §7.3), in seconds. */
export interface SourceReport {
  readonly stratum: number
  readonly leap: number
  readonly rootDelay: number
  readonly rootDispersion: number
  /** Whether following it would close a loop; judged by the association. */
  readonly loop: boolean
  /** Of pulses: another source has to say which seconds they are. */
  readonly pulse?: boolean
  /** Its place among orphans, where orphan mode is on. */
  readonly rank?: OrphanRank
}

interface SourceConfiguration {
  readonly id: string
  readonly prefer: boolean
  readonly noselect: boolean
  readonly alwaysTrue: boolean
  /** log2 seconds. */
  readonly minpoll: number
  readonly maxpoll: number
  /** What is known of its path; undefined: nothing. */
  readonly screen?: ScreenOptions | undefined
}

/** Samples from which on a source can be followed: with fewer, nothing is known of its frequency and its scatter. */
export const SAMPLES_NEEDED = 3

/** Standard deviations that count as the error of an estimate: all but one in a thousand are within. */
export const DEVIATIONS = 3.3

export class TrackedSource {
  readonly configuration: SourceConfiguration
  readonly estimator: ClockEstimator
  filter: ClockFilter = emptyClockFilter
  /** The last eight polls, newest lowest (RFC 5905 §9.2). */
  reach = 0
  report: SourceReport = { stratum: MAXSTRAT, leap: 3, rootDelay: 0, rootDispersion: 0, loop: false }
  /** Requests so far. */
  asked = 0
  /** Nothing can be sent to it as it is, for want of keys: nobody waits for it. */
  isUnaskable = false
  /** When the last sample was used; seconds. */
  updated = 0
  /** Error of reading both clocks in the newest sample, seconds. */
  readingError = 0
  readonly #precision: number
  readonly #screen: SampleScreen | undefined
  /** As `reach`, of replies that gave no sample, too. */
  #heard = 0

  constructor(
    configuration: SourceConfiguration,
    precision: number,
    estimator: ClockEstimator = new SourceEstimator(precision)
  ) {
    this.configuration = configuration
    this.estimator = estimator
    this.#precision = precision
    this.#screen = configuration.screen === undefined ? undefined : new SampleScreen(configuration.screen)
  }

  /** A request was sent: shifts the registers, and lets a silent source's samples run out. */
  polled(): void {
    this.asked += 1
    this.reach = (this.reach << 1) & 0xff
    this.#heard = (this.#heard << 1) & 0xff
    if (this.reach !== 0 && (this.reach & 7) === 0) this.filter = filterMiss(this.filter)
  }

  /**
   * A reply came that says of itself that there is no time in it. It gives no reach (RFC 5905 A.5.1.1), but from now on the
   * source is what it says, and its verdict is that and not `unreachable`.
   */
  unusable(report: Omit<SourceReport, "loop">): void {
    this.#heard |= 1
    this.report = { ...this.report, ...report }
  }

  /** Whether one of the last eight requests was answered, with a measurement or without. */
  get isHeard(): boolean {
    return this.#heard !== 0
  }

  /**
   * A valid reply came. What a server says of the time while it says that it does not know it is not measured, as in
   * RFC 5905 A.5.1.1; that a reference clock answers still counts as reach.
   */
  answered(measured: ClockSample, report: SourceReport): SampleOutcome | ScreenedOut | "unsynchronised" {
    this.reach |= 1
    this.#heard |= 1
    this.report = report
    if (report.leap === 3 || report.stratum >= MAXSTRAT) return "unsynchronised"
    const sample = this.#screened(measured)
    if (typeof sample === "string") return sample
    const outcome = this.estimator.add(sample)
    const filtered = filterSample(this.filter, sample)
    if (typeof filtered !== "string") this.filter = filtered
    if (outcome === "used" || outcome === "stepped") {
      this.updated = sample.time
      this.readingError = sample.dispersion
    }
    return outcome
  }

  #screened(sample: ClockSample): ClockSample | ScreenedOut {
    const estimate = this.estimate(sample.time)
    const foretold =
      this.ready && estimate !== undefined
        ? { offset: estimate.offset, deviation: Math.max(this.#precision, this.estimator.noise) }
        : undefined
    return this.#screen?.take(sample, foretold) ?? sample
  }

  /** Our uncorrected clock was stepped by `seconds`. */
  clockStepped(seconds: number): void {
    this.#screen?.clockStepped()
    this.estimator.clockStepped(seconds)
    this.filter = { stages: this.filter.stages.map((stage) => ({ ...stage, offset: stage.offset - seconds })) }
  }

  estimate(now: number): OffsetEstimate | undefined {
    return this.estimator.estimate(now)
  }

  /** Whether it has answered often enough to be judged. */
  get ready(): boolean {
    return this.estimator.samples >= SAMPLES_NEEDED
  }

  /** Whether it has begun to answer, and not yet often enough. */
  get pending(): boolean {
    return this.reach !== 0 && this.estimator.samples > 0 && !this.ready
  }

  /**
   * The RFC's peer variables, for statistics.
   * @param line what the clock that they are of adds to the uncorrected one at a moment, seconds: an uncorrected clock's
   * samples wander apart by its frequency error, and that is no jitter
   */
  peerVariables(now: number, line: (time: number) => number = () => 0): FilterOutput | undefined {
    const stages = this.filter.stages.map((stage) => ({ ...stage, offset: stage.offset - line(stage.time) }))
    return filterOutput({ stages }, now, this.#precision)
  }

  /**
   * How far the estimate is from what the sample of least delay of the last eight said, seconds. The truth is within half of
   * that delay of that sample; from the estimate it may be so much farther.
   */
  offBest(now: number): number {
    const best = this.peerVariables(now)
    const estimate = this.estimate(now)
    if (best === undefined || estimate === undefined) return 0
    return Math.abs(estimate.offset - estimate.frequency * (now - best.time) - best.offset)
  }

  /** What the system process judges it by. The offset is against the uncorrected clock. */
  view(now: number, pollInterval: number): SourceView {
    const { id, prefer, noselect, alwaysTrue } = this.configuration
    const estimate = this.estimate(now)
    const ready = this.ready && estimate !== undefined
    return {
      id,
      prefer,
      noselect,
      alwaysTrue,
      ...this.report,
      reach: this.reach,
      heard: this.isHeard,
      offset: estimate?.offset ?? 0,
      delay: this.peerVariables(now)?.delay ?? 0,
      dispersion: ready ? this.#precision + DEVIATIONS * Math.sqrt(estimate.offsetVariance) : MAXDISP,
      jitter: Math.max(this.#precision, this.estimator.noise, this.estimator.scatter),
      frequency: ready ? { value: estimate.frequency, deviation: Math.sqrt(estimate.frequencyVariance) } : undefined,
      // The estimate is of now: its variance has grown by what it knows of the oscillator, and not by PHI.
      updated: ready ? now : this.updated,
      pollInterval
    }
  }
}
