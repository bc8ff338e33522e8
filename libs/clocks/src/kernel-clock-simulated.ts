/**
 * A CLOCK_REALTIME of its own with the semantics of Linux's timekeeping, for tests and simulations: rate limits and their
 * granularity, steps, leap seconds at the end of the UTC day, an error bound that grows. What the oscillator under it does
 * is the caller's business.
 */
import {
  CONSTANT,
  ESTIMATED_ERROR,
  FRACTION,
  FREQUENCY,
  FREQUENCY_LIMIT,
  FREQUENCY_UNITS,
  GREATEST_ERROR,
  GREATEST_TICK,
  LEAST_TICK,
  MAX_ERROR,
  Mode,
  MODES,
  NOMINAL_TICK,
  OFFSET,
  SECONDS,
  STATE,
  Status,
  STATUS,
  STATUS_READ_ONLY,
  TAI,
  TICK,
  TimeState
} from "./kernel-clock-record.ts"
import { type KernelClock, kernelClock } from "./kernel-clock.ts"

const DAY = 86_400
/** The bound grows by so much a second (MAXFREQ), seconds. */
const ERROR_GROWTH = 500e-6
/** How fast adjtime(3) works off what it was given, seconds per second. */
const ADJTIME_RATE = 500e-6

interface SimulatedKernelOptions {
  /** Seconds that the uncorrected oscillator has counted: never goes back. */
  readonly raw: () => number
  /** CLOCK_REALTIME when `raw` is 0, Unix seconds. */
  readonly epoch: number
  /** Whether the caller has CAP_SYS_TIME. */
  readonly privileged?: boolean
}

const errno = (code: string): Error => Object.assign(new Error(`clock_adjtime: ${code}`), { code })

export class SimulatedKernel {
  /** What it is asked with, as a program would. */
  readonly clock: KernelClock = kernelClock("simulated", (record) => this.adjtime(record))
  readonly #options: SimulatedKernelOptions
  #raw: number
  #seconds: number
  #fraction: number
  /** CLOCK_MONOTONIC less `raw`. */
  #slewed = 0
  #frequency = 0
  #tick = NOMINAL_TICK
  #status: number = Status.unsynchronised
  #maxError = GREATEST_ERROR
  #estimatedError = GREATEST_ERROR
  #tai = 0
  #state: number = TimeState.ok
  #leapAt = Infinity
  /** Left over from adjtime(3), and the part of it that this second works off. */
  #left = 0
  #working = 0

  constructor(options: SimulatedKernelOptions) {
    this.#options = options
    this.#raw = options.raw()
    this.#seconds = Math.floor(options.epoch + this.#raw)
    this.#fraction = options.epoch + this.#raw - this.#seconds
  }

  /** CLOCK_REALTIME: Unix seconds and their fraction. */
  realtime(): { readonly seconds: number; readonly fraction: number } {
    this.#advance()
    return { seconds: this.#seconds, fraction: this.#fraction }
  }

  /** CLOCK_MONOTONIC, seconds: slewed as CLOCK_REALTIME is, and never stepped. */
  monotonic(): number {
    this.#advance()
    return this.#raw + this.#slewed
  }

  /** Seconds that CLOCK_REALTIME has gained on the uncorrected oscillator. */
  gained(): number {
    this.#advance()
    return this.#seconds - this.#options.epoch - this.#raw + this.#fraction
  }

  /** Another program sets CLOCK_REALTIME: settimeofday(2). */
  setByOther(seconds: number): void {
    this.#advance()
    const whole = Math.floor(seconds)
    this.#step(whole, seconds - whole)
  }

  /** Another program calls adjtime(3). */
  adjtimeByOther(seconds: number): void {
    this.#advance()
    this.#left = seconds
  }

  adjtime(record: Float64Array): void {
    this.#advance()
    const modes = record[MODES]!
    if (modes !== 0 && this.#options.privileged === false) throw errno("EPERM")
    if (modes === Mode.singleShot) this.#left = record[OFFSET]! / 1e6
    else this.#change(modes, record)
    this.#report(record)
  }

  #change(modes: number, record: Float64Array): void {
    const nano = (modes & Mode.nano) !== 0
    if ((modes & Mode.tick) !== 0 && !(record[TICK]! >= LEAST_TICK && record[TICK]! <= GREATEST_TICK))
      throw errno("EINVAL")
    if ((modes & Mode.setOffset) !== 0) {
      if (!(record[FRACTION]! >= 0 && record[FRACTION]! < (nano ? 1e9 : 1e6))) throw errno("EINVAL")
      if (this.#seconds + record[SECONDS]! < 0) throw errno("EINVAL")
      this.#step(record[SECONDS]!, record[FRACTION]! / (nano ? 1e9 : 1e6))
    }
    if ((modes & Mode.status) !== 0) this.#setStatus(record[STATUS]!)
    if (nano) this.#status |= Status.nano
    if ((modes & Mode.frequency) !== 0) {
      const most = FREQUENCY_LIMIT * FREQUENCY_UNITS
      this.#frequency = Math.max(-most, Math.min(most, Math.trunc(record[FREQUENCY]!)))
    }
    if ((modes & Mode.maxError) !== 0) this.#maxError = Math.min(GREATEST_ERROR, record[MAX_ERROR]! / 1e6)
    if ((modes & Mode.estimatedError) !== 0) this.#estimatedError = record[ESTIMATED_ERROR]! / 1e6
    if ((modes & Mode.tai) !== 0 && record[CONSTANT]! >= 0) this.#tai = record[CONSTANT]!
    if ((modes & Mode.offset) !== 0 && (this.#status & Status.pll) !== 0) this.#left = record[OFFSET]! / 1e6
    if ((modes & Mode.tick) !== 0) this.#tick = record[TICK]!
  }

  #setStatus(status: number): void {
    if ((this.#status & Status.pll) !== 0 && (status & Status.pll) === 0) {
      this.#state = TimeState.ok
      this.#leapAt = Infinity
    }
    this.#status = (this.#status & STATUS_READ_ONLY) | (status & ~STATUS_READ_ONLY)
  }

  #report(record: Float64Array): void {
    record[OFFSET] = 0
    record[FREQUENCY] = this.#frequency
    record[MAX_ERROR] = this.#maxError * 1e6
    record[ESTIMATED_ERROR] = this.#estimatedError * 1e6
    record[STATUS] = this.#status
    record[TICK] = this.#tick
    record[SECONDS] = this.#seconds
    record[FRACTION] = Math.floor(this.#fraction * ((this.#status & Status.nano) === 0 ? 1e6 : 1e9))
    record[TAI] = this.#tai
    record[STATE] = (this.#status & Status.unsynchronised) === 0 ? this.#state : TimeState.error
  }

  #step(seconds: number, fraction: number): void {
    this.#seconds += seconds
    this.#fraction += fraction
    if (this.#fraction >= 1) {
      this.#seconds += 1
      this.#fraction -= 1
    }
    // As ntp_clear(): a clock that was stepped is not synchronised until somebody says so, and an armed leap second is lost
    // until it is disarmed and armed again.
    this.#status |= Status.unsynchronised
    this.#maxError = GREATEST_ERROR
    this.#estimatedError = GREATEST_ERROR
    this.#left = 0
    this.#leapAt = Infinity
  }

  #advance(): void {
    const until = this.#options.raw()
    while (this.#raw < until) {
      const gain = this.#tick / NOMINAL_TICK - 1 + this.#frequency / FREQUENCY_UNITS + this.#working
      const toBoundary = (1 - this.#fraction) / (1 + gain)
      const seconds = Math.min(until - this.#raw, toBoundary)
      this.#slewed += gain * seconds
      if (seconds < toBoundary) {
        this.#raw = until
        this.#fraction += (1 + gain) * seconds
      } else {
        this.#raw += seconds
        this.#fraction = 0
        this.#seconds += 1
        this.#secondOverflow()
      }
    }
  }

  /** What the kernel does as each second begins. */
  #secondOverflow(): void {
    this.#working = Math.max(-ADJTIME_RATE, Math.min(ADJTIME_RATE, this.#left))
    this.#left -= this.#working
    this.#maxError = Math.min(GREATEST_ERROR, this.#maxError + ERROR_GROWTH)
    if (this.#maxError >= GREATEST_ERROR) this.#status |= Status.unsynchronised
    const asked = this.#status & (Status.insert | Status.delete)
    switch (this.#state) {
      case TimeState.ok:
        if ((asked & Status.insert) !== 0) this.#arm(TimeState.insert, 0)
        else if ((asked & Status.delete) !== 0) this.#arm(TimeState.delete, 1)
        break
      case TimeState.insert:
        if ((asked & Status.insert) === 0) this.#state = TimeState.ok
        else if (this.#seconds === this.#leapAt) this.#leap(-1, TimeState.leaping)
        break
      case TimeState.delete:
        if ((asked & Status.delete) === 0) this.#state = TimeState.ok
        else if (this.#seconds === this.#leapAt) this.#leap(1, TimeState.leapt)
        break
      case TimeState.leaping:
        this.#state = TimeState.leapt
        break
      case TimeState.leapt:
        if (asked === 0) this.#state = TimeState.ok
    }
  }

  #arm(state: number, early: number): void {
    this.#state = state
    this.#leapAt = this.#seconds + DAY - ((this.#seconds + early) % DAY)
  }

  #leap(seconds: number, state: number): void {
    this.#seconds += seconds
    this.#tai -= seconds
    this.#state = state
    this.#leapAt = Infinity
  }
}
