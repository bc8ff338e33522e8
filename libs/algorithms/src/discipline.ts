/**
 * The clock discipline. It steers nothing: it holds a line (see clock-line.ts) with an error bound, which a service
 * publishes, or steers a kernel clock by. Each decision is a function of the sources, the time and what was decided last.
 *
 * Where RFC 5905 §11.3 filters the combined offset through a phase-locked loop, this takes each source's estimate of offset
 * and frequency (source-estimator.ts), combines those of the survivors by how sure they are, and turns to the result. The
 * averaging is all in the estimators, which know how sure they are; a loop behind them could only add lag.
 */
import { PHI } from "@meridian/time/clock-curve"
import {
  bestOffset,
  type ClockLine,
  jumpTo,
  residueAt,
  type ServedLine,
  servedLine,
  stepThreshold,
  type StepThresholds,
  turnTo
} from "./clock-line.ts"
import { combineEstimates, type CombinedEstimate } from "./combine-estimates.ts"
import { type FallbackDrift, FrequencyMemory } from "./frequency-memory.ts"
import type { DisciplineRoot, KeptClock } from "./kept-clock.ts"
import { adaptPoll, type PollState } from "./poll-interval.ts"
import type { CorrectnessInterval } from "./selection.ts"
import {
  decideSystemPeer,
  defaultSystemOptions,
  noSystemPeer,
  type Survivor,
  type SystemDecision,
  type SystemMemory,
  type SystemOptions
} from "./system-peer.ts"
import { agrees } from "./verdict.ts"
import { DEVIATIONS, type TrackedSource } from "./tracked-source.ts"

/** The `tinker` values of ntp.conf, in seconds. */
export interface DisciplineOptions extends StepThresholds {
  readonly system: SystemOptions
  /** How long a correction over the step threshold must last before it is believed. */
  readonly stepout: number
  /** Corrections over this are refused. 0: none is. */
  readonly panic: number
  /** Whether the first setting may be over the panic threshold (`ntpd -g`). */
  readonly firstMayPanic: boolean
  /** The fastest rate at which a correction is worked off, seconds per second. */
  readonly slewRate: number
  /** How fast the error bound of an oscillator grows that nobody corrects, seconds per second. */
  readonly dispersionRate: number
  readonly minpoll: number
  readonly maxpoll: number
  /** Which averages of the frequency an absence goes on with; undefined: those that suit it. */
  readonly fallbackDrift?: FallbackDrift | undefined
  /** The frequency stays as it is while it is known no better than this, seconds per second: chrony's `maxupdateskew`. */
  readonly maxUpdateSkew: number
}

export const defaultDisciplineOptions: DisciplineOptions = {
  system: defaultSystemOptions,
  step: 0.128,
  stepout: 300,
  panic: 1000,
  firstMayPanic: false,
  slewRate: 500e-6,
  dispersionRate: PHI,
  minpoll: 6,
  maxpoll: 10,
  maxUpdateSkew: Number.POSITIVE_INFINITY
}

/** Where the clock stands. `unset`: never set; `holdover`: set, and nothing to follow now; `spike`: a step is in question. */
type DisciplineState = "unset" | "synchronised" | "spike" | "holdover"

export type DisciplineAction =
  | { readonly _tag: "Waiting" }
  | { readonly _tag: "Set"; readonly offset: number }
  | { readonly _tag: "Slewed"; readonly offset: number }
  | { readonly _tag: "Stepped"; readonly offset: number }
  /** Over the step threshold since `since`: not followed yet. */
  | { readonly _tag: "Spike"; readonly offset: number; readonly since: number }
  /** Over the panic threshold: never followed; a person must look. */
  | { readonly _tag: "Panic"; readonly offset: number }
  | { readonly _tag: "Holdover"; readonly since: number }

export interface DisciplineOutcome {
  readonly action: DisciplineAction
  readonly decision: SystemDecision
}

/** Requests, and poll intervals, for which the first setting waits for silent sources, and for those that have begun to answer. */
const PATIENCE_SILENT = 4
const PATIENCE_PENDING = 16

export class ClockDiscipline {
  state: DisciplineState = "unset"
  /** Undefined until the clock is first set. Kept in holdover. */
  root: DisciplineRoot | undefined
  poll: PollState
  readonly #options: DisciplineOptions
  #line: ClockLine
  #estimate: CombinedEstimate | undefined
  #memory: SystemMemory = noSystemPeer
  readonly #frequencies: FrequencyMemory
  #estimatedAt = 0
  #since = 0
  #firstAsked: number | undefined
  /** Size of a correction in question, which the bound must include; seconds. */
  #disputed = 0

  /** @param frequency what a drift file says, seconds per second: served from the start, before the time is known */
  constructor(options: DisciplineOptions, now = 0, frequency = 0) {
    this.#options = options
    this.#frequencies = new FrequencyMemory(options.fallbackDrift)
    this.#line = jumpTo(now, 0, frequency)
    this.poll = { exponent: options.minpoll, count: 0 }
  }

  /** Decides anew at `now`: call it when a sample came, and when a source fell silent. */
  decide(sources: readonly TrackedSource[], now: number): DisciplineOutcome {
    const interval = 2 ** this.poll.exponent
    const decision = decideSystemPeer(
      sources.map((source) => source.view(now, interval)),
      now,
      this.#options.system,
      { ...this.#memory, own: this.#ownClaim(now) }
    )
    this.#memory = decision.memory
    const byId = new Map(sources.map((source) => [source.configuration.id, source]))
    const members = decision.used.flatMap(({ source }) => {
      const estimate = byId.get(source.id)?.estimate(now)
      return estimate === undefined ? [] : [{ estimate, delay: source.delay + source.rootDelay }]
    })
    const combined = this.#certain(combineEstimates(members))
    const leader = decision.used[0]?.source
    if (combined === undefined || leader === undefined) return { action: this.#nobody(now), decision }
    if (this.state === "unset" && this.#mustWait(sources, decision, now))
      return { action: { _tag: "Waiting" }, decision }
    const action = this.#follow(combined, now)
    if (action._tag === "Set" || action._tag === "Slewed" || action._tag === "Stepped") {
      if (this.#estimate !== undefined) this.#frequencies.add(this.#line.frequency, now - this.#estimatedAt)
      this.#estimate = combined
      this.#estimatedAt = now
      const leading = byId.get(leader.id)
      const doubted =
        Math.max(Math.abs(combined.offset - leader.offset), majorityApart(decision.used, combined.offset)) +
        (leading?.estimator.leapt ?? 0)
      this.root = {
        peer: leader.id,
        stratum: leader.stratum + 1,
        leap: leader.leap,
        rootDelay: leader.rootDelay + leader.delay,
        dispersion: leader.rootDispersion + doubted + (leading?.readingError ?? 0) + (leading?.offBest(now) ?? 0),
        at: now
      }
      const noise = leading?.estimator.quietNoise ?? 0
      this.poll = adaptPoll(
        this.poll,
        combined,
        noise,
        this.root.rootDelay + 2 * doubted,
        this.#options.minpoll,
        this.#options.maxpoll
      )
    }
    return { action, decision }
  }

  /** What is known at `now`, to go on from in another process; undefined while `unset`. */
  kept(now: number): KeptClock | undefined {
    const { root } = this
    const estimate = this.#estimate
    if (this.state === "unset" || root === undefined || estimate === undefined) return undefined
    return {
      line: this.#line,
      root: { ...root, dispersion: root.dispersion + this.#disputed },
      estimate,
      estimatedAt: this.#estimatedAt,
      since: this.state === "holdover" ? this.#since : now
    }
  }

  /** Goes on from there, in holdover until somebody can be followed. Before the first decision. */
  resume({ line, root, estimate, estimatedAt, since }: KeptClock): void {
    this.state = "holdover"
    this.root = root
    this.#line = line
    this.#estimate = estimate
    this.#estimatedAt = estimatedAt
    this.#since = since
  }

  /** Whom the clock was set by is not to be believed: nothing is known. */
  forget(): void {
    this.state = "unset"
    this.root = undefined
    this.#estimate = undefined
    this.#memory = noSystemPeer
    this.#disputed = 0
    this.#firstAsked = undefined
  }

  /** Our uncorrected clock was stepped by `seconds` (somebody set CLOCK_REALTIME): served time stays what it was. */
  clockStepped(seconds: number): void {
    this.#line = { ...this.#line, offset: this.#line.offset - seconds }
  }

  /** What is served at `now`. Meaningless while `unset`. */
  served(now: number): ServedLine {
    return servedLine(this.#line, now)
  }

  /**
   * Best estimate at `now`, with its standard deviations, and the drift of the frequency over the last hours in seconds per
   * second squared; undefined while `unset`.
   */
  tracking(now: number):
    | {
        readonly offset: number
        readonly frequency: number
        readonly offsetDeviation: number
        readonly frequencyDeviation: number
        readonly drift: number
      }
    | undefined {
    const estimate = this.#estimate
    if (estimate === undefined) return undefined
    return {
      offset: bestOffset(this.#line, now),
      frequency: this.#line.frequency,
      drift: this.#frequencies.drift(),
      offsetDeviation: Math.sqrt(varianceAt(estimate, now - this.#estimatedAt)),
      frequencyDeviation: Math.sqrt(estimate.frequencyVariance + estimate.wander * Math.max(0, now - this.#estimatedAt))
    }
  }

  /**
   * Root dispersion at `now`, seconds: with half the root delay, all but one in a thousand errors are within it. Infinity
   * while `unset`. It grows by the dispersion rate, and by what the estimate itself does not know.
   */
  rootDispersion(now: number): number {
    const { root } = this
    const estimate = this.#estimate
    if (root === undefined || estimate === undefined) return Number.POSITIVE_INFINITY
    const age = Math.max(0, now - this.#estimatedAt)
    return (
      root.dispersion +
      this.#options.dispersionRate * age +
      DEVIATIONS * (Math.sqrt(varianceAt(estimate, age)) + this.#holdoverDeviation(now)) +
      Math.abs(residueAt(this.#line, now)) +
      this.#disputed
    )
  }

  /** Half the root delay and the root dispersion: the most by which served time is wrong, seconds. */
  rootDistance(now: number): number {
    return (this.root?.rootDelay ?? 0) / 2 + this.rootDispersion(now)
  }

  /** Growth of the root dispersion, seconds per second, that covers it until `now + horizon`: the curve is convex. */
  dispersionRate(now: number, horizon: number): number {
    return (this.rootDispersion(now + horizon) - this.rootDispersion(now)) / horizon
  }

  /**
   * The first setting waits until most of all sources agree: the first to be ready may be the false ones. Not for ever,
   * since a source may be gone, or answer once and never again; longer for those that have begun to answer.
   */
  #mustWait(sources: readonly TrackedSource[], decision: SystemDecision, now: number): boolean {
    this.#firstAsked ??= now
    const polls = (now - this.#firstAsked) / 2 ** Math.max(0, this.#options.minpoll)
    const eligible = sources.filter((source) => !source.configuration.noselect && !source.isUnaskable)
    const ready = eligible.filter((source) => source.ready).length
    const agreeing = decision.verdicts.filter(({ verdict }) => agrees(verdict)).length
    if (2 * agreeing > eligible.length) return false
    const isAwaited = ({ asked }: TrackedSource, patience: number): boolean => asked < patience && polls < patience
    const pending = eligible.some((source) => source.pending && isAwaited(source, PATIENCE_PENDING))
    const silent = eligible.some((source) => !source.ready && isAwaited(source, PATIENCE_SILENT))
    return pending || (2 * ready < eligible.length && silent)
  }

  /**
   * An estimate whose frequency is too unsure is followed in its offset alone. What the frequency may be wrong by is then
   * how far it is from the estimate's, too.
   */
  #certain(estimate: CombinedEstimate | undefined): CombinedEstimate | undefined {
    if (estimate === undefined || DEVIATIONS * Math.sqrt(estimate.frequencyVariance) <= this.#options.maxUpdateSkew)
      return estimate
    const { frequency } = this.#line
    const frequencyVariance = estimate.frequencyVariance + (estimate.frequency - frequency) ** 2
    return { ...estimate, frequency, frequencyVariance }
  }

  #ownClaim(now: number): CorrectnessInterval | undefined {
    const distance = this.rootDistance(now)
    return Number.isFinite(distance) ? { offset: servedLine(this.#line, now).offset, distance } : undefined
  }

  #nobody(now: number): DisciplineAction {
    if (this.state === "unset") return { _tag: "Waiting" }
    if (this.state !== "holdover") this.#since = now
    this.state = "holdover"
    this.#coast(now)
    return { _tag: "Holdover", since: this.#since }
  }

  /** What the oscillator's frequency has varied of late, over the time it has been left alone: seconds. */
  #holdoverDeviation(now: number): number {
    if (this.state !== "holdover") return 0
    const absence = Math.max(0, now - this.#since)
    return this.#frequencies.deviation(absence) * absence
  }

  /** In holdover the slope turns, by and by, to what the oscillator did on the average. */
  #coast(now: number): void {
    const estimate = this.#estimate
    if (estimate === undefined) return
    const frequency = this.#frequencies.after(now - this.#since, estimate.frequency)
    if (frequency === this.#line.frequency) return
    const offset = bestOffset(this.#line, now)
    this.#line = turnTo(this.#line, now, offset, frequency, this.#options.slewRate)
  }

  #follow(combined: CombinedEstimate, now: number): DisciplineAction {
    const { stepout, panic, firstMayPanic, slewRate } = this.#options
    const first = this.state === "unset"
    const offset = combined.offset - servedLine(this.#line, now).offset
    const size = Math.abs(offset)
    const step = stepThreshold(this.#options, offset)
    if (panic > 0 && size > panic && !(first && firstMayPanic)) {
      this.#disputed = first ? 0 : size
      return { _tag: "Panic", offset }
    }
    if (!first && step > 0 && size > step) {
      if (this.state !== "spike") this.#since = now
      this.state = "spike"
      this.#disputed = size
      if (now - this.#since < stepout) return { _tag: "Spike", offset, since: this.#since }
    }
    const jump = first || (this.state === "spike" && step > 0 && size > step)
    this.state = "synchronised"
    this.#disputed = 0
    this.#line = jump
      ? jumpTo(now, combined.offset, combined.frequency)
      : turnTo(this.#line, now, combined.offset, combined.frequency, slewRate)
    return { _tag: first ? "Set" : jump ? "Stepped" : "Slewed", offset }
  }
}

/**
 * How far the bound must reach for most of the offsets to be in it, seconds. One near source may claim little and be false:
 * while most of the others say something else, as little is not vouched for.
 */
const majorityApart = (used: readonly Survivor[], from: number): number => {
  const near = used[0]?.distance ?? 0
  const apart = used.map(({ source }) => {
    const distance = Math.abs(source.offset - from)
    return distance > near ? distance + source.dispersion : distance
  })
  return apart.toSorted((a, b) => a - b)[apart.length >> 1] ?? 0
}

/** Variance of the combined offset `age` seconds later, nobody correcting it. */
const varianceAt = (estimate: CombinedEstimate, age: number): number => {
  const seconds = Math.max(0, age)
  return (
    estimate.offsetVariance +
    seconds * (2 * estimate.covariance + seconds * estimate.frequencyVariance) +
    (estimate.wander * seconds ** 3) / 3
  )
}
