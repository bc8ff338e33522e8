/** Judges a simulated client by its errors and by its claims. */

export interface JudgedRun {
  /** Seconds. */
  readonly duration: number
  /** Seconds at the start in which the client is not yet judged by its errors; its claims are judged all the same. */
  readonly settling: number
  /** Claims before it are not judged, seconds; 0 if undefined. */
  readonly claimsFrom?: number
  /** Errors over these count as unsynchronised when the time to synchronise is measured: seconds, seconds per second. */
  readonly syncLimit: number
  readonly syncFrequencyLimit?: number
}

interface JudgedSecond {
  /** Of the served time, seconds, and of its rate, seconds per second. */
  readonly error: number
  readonly frequencyError: number
  /** The claimed root distance; Infinity when nothing is claimed. */
  readonly bound: number
  /** What the client takes for the standard deviation of its error, when it says. */
  readonly deviation: number | undefined
}

const TRACE_STEPS = 600

export interface SimulationResult {
  /** Root mean square and maximum of the time error after settling, seconds. */
  readonly rms: number
  readonly max: number
  /** The same of the frequency error, seconds per second. */
  readonly frequencyRms: number
  readonly frequencyMax: number
  /** First second from which the error stayed under the limit for good. */
  readonly synchronisedAt: number
  /** Share of the seconds with a claim in which the claim was true; 1 when nothing was ever claimed. */
  readonly coverage: number
  /** Seconds with a claim. */
  readonly claimed: number
  /** Mean of the claimed root distance over those seconds, after settling; seconds. */
  readonly meanBound: number
  /** Share of the seconds after settling in which the error was within two of the client's standard deviations. */
  readonly withinTwoDeviations: number
  /** Requests sent, and those of them after settling. */
  readonly requests: number
  readonly settledRequests: number
}

/** What a plot needs: at most one row for each of a few hundred steps of time. */
export interface SimulationTrace {
  readonly time: number[]
  /** Largest error in the step, and the claim at that moment; seconds. */
  readonly error: number[]
  readonly bound: number[]
}

/** Takes the measure of a client, second by second. */
export class Judge {
  readonly #model: JudgedRun
  readonly #trace: SimulationTrace | undefined
  readonly #traceStep: number
  #worst = { error: 0, bound: 0 }
  #squares = 0
  #frequencySquares = 0
  #max = 0
  #frequencyMax = 0
  #seconds = 0
  #unsynchronised = 0
  #claims = 0
  #trueClaims = 0
  #bounds = 0
  #deviations = 0
  #withinTwo = 0
  #boundSeconds = 0

  constructor(model: JudgedRun, trace: SimulationTrace | undefined) {
    this.#model = model
    this.#trace = trace
    this.#traceStep = Math.max(1, Math.floor(model.duration / TRACE_STEPS))
  }

  second(t: number, { error, frequencyError, bound, deviation }: JudgedSecond): void {
    const size = Math.abs(error)
    const frequencyLimit = this.#model.syncFrequencyLimit ?? Number.POSITIVE_INFINITY
    if (!(size <= this.#model.syncLimit && Math.abs(frequencyError) <= frequencyLimit)) this.#unsynchronised = t
    if (bound < Number.POSITIVE_INFINITY && t > (this.#model.claimsFrom ?? 0)) {
      this.#claims += 1
      if (size <= bound) this.#trueClaims += 1
    }
    this.#draw(t, error, bound)
    if (t <= this.#model.settling) return
    this.#seconds += 1
    this.#squares += error * error
    this.#frequencySquares += frequencyError * frequencyError
    this.#max = Math.max(this.#max, size)
    this.#frequencyMax = Math.max(this.#frequencyMax, Math.abs(frequencyError))
    if (deviation !== undefined) {
      this.#deviations += 1
      if (size <= 2 * deviation) this.#withinTwo += 1
    }
    if (bound < Number.POSITIVE_INFINITY) {
      this.#bounds += bound
      this.#boundSeconds += 1
    }
  }

  result(requests: number, settledRequests: number): SimulationResult {
    return {
      rms: Math.sqrt(this.#squares / Math.max(1, this.#seconds)),
      max: this.#max,
      frequencyRms: Math.sqrt(this.#frequencySquares / Math.max(1, this.#seconds)),
      frequencyMax: this.#frequencyMax,
      synchronisedAt: this.#unsynchronised,
      coverage: this.#claims === 0 ? 1 : this.#trueClaims / this.#claims,
      claimed: this.#claims,
      meanBound: this.#bounds / Math.max(1, this.#boundSeconds),
      withinTwoDeviations: this.#deviations === 0 ? 1 : this.#withinTwo / this.#deviations,
      requests,
      settledRequests
    }
  }

  #draw(t: number, error: number, bound: number): void {
    const trace = this.#trace
    if (trace === undefined) return
    if (Math.abs(error) >= Math.abs(this.#worst.error)) this.#worst = { error, bound }
    if (t % this.#traceStep !== 0) return
    trace.time.push(t)
    trace.error.push(this.#worst.error)
    trace.bound.push(this.#worst.bound)
    this.#worst = { error: 0, bound }
  }
}
