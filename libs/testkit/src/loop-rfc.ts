/**
 * The clock discipline of RFC 5905 §11.3 (A.5.5.6 and A.5.6.1): a hybrid of a phase-locked and a frequency-locked loop.
 * Meridian does not serve by it; it is the reference that its own discipline (`ClockDiscipline` of libs/algorithms) is measured against.
 *
 * One constant differs from the RFC's listing: with its PLL gain of 65536 the time constant would be weeks. The 16 used here
 * is ntpd's, and gives the response that the loop is known for: an offset is worked off in 50 minutes at 64 s.
 */

/** Seconds: step threshold, stepout, panic threshold, Allan intercept (RFC 5905 A.5.5.6). */
const STEPT = 0.128
const WATCH = 900
const PANICT = 1000
const ALLAN = 1500
const PLL = 16
const FLL = 18
const AVG = 4
const LIMIT = 30
const MAXFREQ = 500e-6
const PGATE = 4

type RfcLoopState = "NSET" | "FSET" | "SPIK" | "FREQ" | "SYNC"
type RfcLoopOutcome = "ignore" | "slew" | "step" | "panic"

export interface RfcLoopOptions {
  readonly minpoll: number
  readonly maxpoll: number
  /** Reading error of the clock, seconds. */
  readonly precision: number
  /** Frequency from a drift file, seconds per second; undefined to measure it first. */
  readonly frequency: number | undefined
  /** Whether the first offset may exceed the panic threshold (ntpd -g). */
  readonly panicGate: boolean
}

/**
 * The loop with its state. It owns a correction, in seconds, that is added to an oscillator nobody else corrects: what the
 * RFC's step_time and adjust_time do to a kernel clock. All times are seconds of a monotonic clock.
 */
export class RfcLoop {
  state: RfcLoopState
  /** System poll exponent, log2 seconds. */
  poll: number
  /** Seconds per second. */
  frequency: number
  /** RMS of offset differences, seconds. */
  jitter: number
  readonly #options: RfcLoopOptions
  #correction = 0
  #offset = 0
  #last = 0
  #base = 0
  #count = 0
  #updated = 0
  #advanced: number
  #first = true

  constructor(options: RfcLoopOptions, now: number) {
    this.#options = options
    this.state = options.frequency === undefined ? "NSET" : "FSET"
    this.poll = options.minpoll
    this.frequency = options.frequency ?? 0
    this.jitter = options.precision
    this.#advanced = now
  }

  /** The correction at `now`, seconds: the once-a-second clock_adjust of A.5.6.1 summed in closed form. */
  correction(now: number): number {
    const seconds = Math.max(0, now - this.#advanced)
    const kept = (1 - 1 / (PLL * Math.min(2 ** this.poll, ALLAN))) ** seconds
    this.#correction += this.frequency * seconds + this.#offset * (1 - kept)
    this.#offset *= kept
    this.#advanced = Math.max(now, this.#advanced)
    return this.#correction
  }

  /** The correction's slope at `now`, seconds per second. */
  slope(now: number): number {
    this.correction(now)
    return this.frequency + this.#offset / (PLL * Math.min(2 ** this.poll, ALLAN))
  }

  /** Seconds still to be slewed. */
  remaining(now: number): number {
    this.correction(now)
    return this.#offset
  }

  /**
   * local_clock(): takes the combined offset (seconds, against the corrected clock) of a sample taken at `time`.
   * A step is done here; the caller then empties its clock filters, as the RFC's clear() does.
   */
  update(offset: number, time: number, now: number): RfcLoopOutcome {
    this.correction(now)
    if (Math.abs(offset) > PANICT && !(this.#first && this.#options.panicGate)) return "panic"
    this.#first = false
    const mu = time - this.#updated
    return Math.abs(offset) > STEPT ? this.#beyondStep(offset, time, mu) : this.#within(offset, time, mu)
  }

  #beyondStep(offset: number, time: number, mu: number): RfcLoopOutcome {
    let change = 0
    switch (this.state) {
      case "SYNC":
        this.state = "SPIK"
        return "ignore"
      case "FREQ":
        if (mu < WATCH) return "ignore"
        change = (offset - this.#base - this.#offset) / mu
        break
      case "SPIK":
        if (mu < WATCH) return "ignore"
        break
      case "NSET":
      case "FSET":
        break
    }
    this.#correction += offset
    this.#count = 0
    this.poll = this.#options.minpoll
    const unset = this.state === "NSET"
    this.#restart(unset ? "FREQ" : "SYNC", 0, time)
    if (!unset) this.#turn(change)
    return "step"
  }

  #within(offset: number, time: number, mu: number): RfcLoopOutcome {
    const difference = Math.max(Math.abs(offset - this.#last), this.#options.precision)
    this.jitter = Math.sqrt(this.jitter ** 2 + (difference ** 2 - this.jitter ** 2) / AVG)
    let change = 0
    switch (this.state) {
      case "NSET":
        this.#offset = offset
        this.#restart("FREQ", offset, time)
        return "ignore"
      case "FSET":
        break
      case "FREQ":
        if (mu < WATCH) return "ignore"
        change = (offset - this.#base - this.#offset) / mu
        break
      case "SYNC":
      case "SPIK": {
        const interval = 2 ** this.poll
        if (interval > ALLAN / 2)
          change += (offset - this.#offset) / (Math.max(mu, ALLAN) * Math.max(FLL - this.poll, AVG))
        change += (offset * Math.min(mu, interval)) / (4 * PLL * interval) ** 2
      }
    }
    this.#restart("SYNC", offset, time)
    this.#turn(change)
    return "slew"
  }

  #restart(state: RfcLoopState, offset: number, time: number): void {
    this.state = state
    this.#base = offset - this.#offset
    this.#last = offset
    this.#offset = offset
    this.#updated = time
  }

  #turn(change: number): void {
    this.frequency = Math.max(-MAXFREQ, Math.min(MAXFREQ, this.frequency + change))
    const { minpoll, maxpoll } = this.#options
    if (Math.abs(this.#offset) < PGATE * this.jitter) {
      this.#count += this.poll
      if (this.#count > LIMIT) {
        this.#count = this.poll < maxpoll ? 0 : LIMIT
        this.poll = Math.min(maxpoll, this.poll + 1)
      }
    } else {
      this.#count -= 2 * this.poll
      if (this.#count < -LIMIT) {
        this.#count = this.poll > minpoll ? 0 : -LIMIT
        this.poll = Math.max(minpoll, this.poll - 1)
      }
    }
  }
}
