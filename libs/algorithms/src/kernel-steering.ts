/**
 * Steers a kernel clock after the line that the discipline serves (clock-line.ts). The discipline goes on measuring the
 * uncorrected clock, that is the one that would be there had nobody steered: here is counted what steering has added to it
 * since. So an estimator sees no step and no slew of our own making, and served time is what it would be without steering:
 * the steered clock, plus what is not yet worked off.
 *
 * There is no loop filter: the line is known, and the rate is set so that the clock meets it a moment ahead. What a kernel
 * cannot do (over 500 ppm, a phase over the step threshold that nobody believes in yet) stays in the residue, and in it
 * alone.
 */
import { stepThreshold, type StepThresholds } from "./clock-line.ts"

/** How the kernel holds a rate: the clock gains `(tick - 10000) / 10000 + frequency` seconds a second. */
export interface SteeringRate {
  /** Seconds per second, at most 500 ppm either way. */
  readonly frequency: number
  /** Microseconds for each hundredth of a second: 9000 to 11000. */
  readonly tick: number
}

/** Residues over the step threshold are stepped, not slewed; where it is 0 only the first setting may be stepped. */
export interface SteeringOptions extends StepThresholds {
  /** How long a residue over `step` that the discipline did not ask for must last, seconds: another program set the clock. */
  readonly stepout: number
  /** Such residues over this are left to a person; 0: none is. Seconds. */
  readonly panic: number
  /** The fastest rate at which a residue is worked off, seconds per second. */
  readonly slewRate: number
}

/** Where the clock should be. */
export interface SteeringAim {
  /** What is to be added to the uncorrected clock at a moment, seconds: the served line. */
  readonly offsetAt: (now: number) => number
  /** Its slope once nothing is left to be slewed, seconds per second. */
  readonly frequency: number
  /** Set where the discipline jumped since the last call. */
  readonly jump: "first" | "step" | undefined
  /** Whether there are sources now: without them, somebody who sets the clock may know better. */
  readonly following: boolean
}

export interface SteeringDecision {
  /** Seconds to step by before the rate is set; 0 mostly. The caller reports it with {@link KernelSteering.stepped}. */
  readonly step: number
  readonly rate: SteeringRate
  /**
   * - `locked`: rate and residue within what slewing does
   * - `limited`: the oscillator is off by more than the kernel can correct
   * - `disputed`: another program set the clock by more than the step threshold; it is stepped back after the stepout
   * - `panic`: it set it by more than the panic threshold, and nothing is done about it
   */
  readonly state: "locked" | "limited" | "disputed" | "panic"
}

/** The rate is set for the clock to meet the line so many seconds ahead: longer than it takes until the next call. */
const AHEAD = 2
const FREQUENCY_LIMIT = 500e-6
/** A base frequency over this is taken by the tick, so that there is room left to slew. */
const TICK_FROM = 400e-6
const NOMINAL_TICK = 10_000
const GREATEST_TICK_CHANGE = 1_000
/** A first setting over this is stepped even where no later one may be. RFC 5905 STEPT, seconds. */
const FIRST_STEP = 0.128
/** Changes of rate that a measurement just made may lie behind. */
const HISTORY = 64

const gainOf = ({ frequency, tick }: SteeringRate): number => (tick - NOMINAL_TICK) / NOMINAL_TICK + frequency

interface Segment {
  readonly at: number
  readonly added: number
  /** Seconds per second of the steered clock. */
  readonly slope: number
}

const within = (value: number, limit: number): number => Math.max(-limit, Math.min(limit, value))

/** All times are readings of a monotonic clock that the kernel slews too, as CLOCK_MONOTONIC; seconds. */
export class KernelSteering {
  readonly #options: SteeringOptions
  #segments: Segment[] = []
  #rate: SteeringRate
  #disputedSince: number | undefined

  /** @param rate what the kernel has now, whoever set it */
  constructor(options: SteeringOptions, now: number, rate: SteeringRate) {
    this.#options = options
    this.#rate = rate
    this.#begin(now, 0)
  }

  /** The rate in force. */
  get rate(): SteeringRate {
    return this.#rate
  }

  /** Seconds that steering has added to the uncorrected clock, at a moment that may be a little past. */
  added(now: number): number {
    const { added, slope, at } =
      this.#segments.findLast((segment) => segment.at <= now) ?? (this.#segments[0] as Segment)
    return added + slope * (now - at)
  }

  /** How fast that grows, seconds per second of the steered clock. */
  slope(): number {
    return (this.#segments.at(-1) as Segment).slope
  }

  /** The kernel runs at this rate from now on. */
  applied(now: number, rate: SteeringRate): void {
    const added = this.added(now)
    this.#rate = rate
    this.#begin(now, added)
  }

  /** The steered clock was stepped by `seconds`: by us, by another program, or by the kernel's own leap second. */
  stepped(now: number, seconds: number): void {
    const added = this.added(now) + seconds
    this.#segments = []
    this.#begin(now, added)
  }

  /** What to do now. Call it at least once a second, and when the line turned. */
  steer(now: number, aim: SteeringAim): SteeringDecision {
    const residue = aim.offsetAt(now) - this.added(now)
    const { state, step } = this.#judge(now, residue, aim)
    const added = this.added(now) + step
    const isHeld = state === "disputed" || state === "panic"
    const slewing = isHeld
      ? 0
      : within((aim.offsetAt(now + AHEAD) - added) / AHEAD - aim.frequency, this.#options.slewRate)
    const rate = this.#rateFor(aim.frequency, slewing)
    const isLimited = Math.abs(gainFor(aim.frequency)) > GREATEST_TICK_CHANGE / NOMINAL_TICK + FREQUENCY_LIMIT
    return { step, rate, state: isLimited && state === "locked" ? "limited" : state }
  }

  /** The rate without slewing: what to leave behind when nobody steers any more. */
  resting(frequency: number): SteeringRate {
    return this.#rateFor(frequency, 0)
  }

  #judge(
    now: number,
    residue: number,
    { jump, following }: SteeringAim
  ): { readonly state: SteeringDecision["state"]; readonly step: number } {
    const { stepout, panic } = this.#options
    const step = stepThreshold(this.#options, residue)
    const size = Math.abs(residue)
    const threshold = step > 0 ? step : jump === "first" ? FIRST_STEP : Infinity
    if (!(size > threshold)) {
      this.#disputedSince = undefined
      return { state: "locked", step: 0 }
    }
    // The discipline has done its own waiting and its own panic.
    if (jump !== undefined) {
      this.#disputedSince = undefined
      return { state: "locked", step: residue }
    }
    if (panic > 0 && size > panic) return { state: "panic", step: 0 }
    this.#disputedSince ??= now
    if (!following || now - this.#disputedSince < stepout) return { state: "disputed", step: 0 }
    this.#disputedSince = undefined
    return { state: "locked", step: residue }
  }

  #rateFor(frequency: number, slewing: number): SteeringRate {
    const base = gainFor(frequency)
    const near = (tick: number): boolean => Math.abs(base - (tick - NOMINAL_TICK) / NOMINAL_TICK) <= TICK_FROM
    const tick = near(this.#rate.tick)
      ? this.#rate.tick
      : near(NOMINAL_TICK)
        ? NOMINAL_TICK
        : NOMINAL_TICK + within(Math.round(base * NOMINAL_TICK), GREATEST_TICK_CHANGE)
    const rest = gainFor(frequency + slewing) - (tick - NOMINAL_TICK) / NOMINAL_TICK
    return { tick, frequency: within(rest, FREQUENCY_LIMIT) }
  }

  #begin(now: number, added: number): void {
    const gain = gainOf(this.#rate)
    this.#segments = [
      ...this.#segments.filter(({ at }) => at < now).slice(1 - HISTORY),
      { at: now, added, slope: gain / (1 + gain) }
    ]
  }
}

/** The kernel's gain, per second of the oscillator, that adds `slope` seconds to each second of the steered clock. */
const gainFor = (slope: number): number => slope / (1 - slope)
