/**
 * The simulation: one client, its oscillator, its sources and the paths to them. Time is true time in seconds from the
 * start. Every second the error of the client's time is taken; between, requests and replies travel. One seed replays a
 * run to the last bit.
 */
import { PHI } from "@meridian/time/clock-curve"
import type { SimulatedClient } from "./sim-client.ts"
import type { PathModel } from "./sim-network.ts"
import { makeOscillator, type OscillatorModel } from "./sim-oscillator.ts"
import { randomStream } from "./sim-random.ts"
import type { ServerModel } from "./sim-server.ts"

export interface SimulatedSource {
  readonly server: ServerModel
  readonly path: PathModel
  readonly iburst?: boolean
}

export interface SimulationModel {
  readonly seed: number
  /** Seconds. */
  readonly duration: number
  readonly oscillator: OscillatorModel
  readonly sources: readonly SimulatedSource[]
  /** Reading error that client and servers claim (RFC 5905 precision), seconds. */
  readonly precision: number
  /** Seconds at the start in which the client is not yet judged by its errors; its claims are judged all the same. */
  readonly settling: number
  /** Errors over this count as unsynchronised when the time to synchronise is measured, seconds. */
  readonly syncLimit: number
}

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
  /** Requests sent. */
  readonly requests: number
}

/** What a plot needs: at most one row for each of a few hundred steps of time. */
export interface SimulationTrace {
  readonly time: number[]
  /** Largest error in the step, and the claim at that moment; seconds. */
  readonly error: number[]
  readonly bound: number[]
}

const REPLY_TIMEOUT = 8
const BURST_REQUESTS = 6
const TRACE_STEPS = 600

interface Arrival {
  readonly at: number
  readonly source: number
  readonly deliver: () => void
}

export const runSimulation = (
  model: SimulationModel,
  client: SimulatedClient,
  trace?: SimulationTrace
): SimulationResult => {
  const { seed, duration, sources, precision } = model
  const oscillator = makeOscillator(model.oscillator, randomStream(seed, "wander"), randomStream(seed, "reading"))
  const pathStreams = sources.map((_, i) => randomStream(seed, `path ${i}`))
  const pollStream = randomStream(seed, "poll")
  const nextPoll = sources.map(() => 0.1 + 0.8 * pollStream.uniform())
  const burst = sources.map(({ iburst }): number => (iburst === true ? BURST_REQUESTS : 0))
  let arrivals: Arrival[] = []
  let requests = 0
  const monotonic = (t: number): number => t + oscillator.monotonicError(t)

  const send = (index: number, t: number): void => {
    const { server, path } = sources[index] as SimulatedSource
    const stream = pathStreams[index] as (typeof pathStreams)[number]
    client.polled(index, monotonic(t))
    requests += 1
    const sent = oscillator.wallError(t) + oscillator.readingError()
    const there = path(t, "request", stream)
    if (there === undefined) return
    const served = t + there
    const serverError = server.error(served)
    const report = server.report(served)
    const back = path(served, "reply", stream)
    if (back === undefined || there + back > REPLY_TIMEOUT) return
    const deliver = (): void => {
      const arrived = served + back
      const received = oscillator.wallError(arrived) + oscillator.readingError()
      const delay = Math.max(precision, there + back + received - sent)
      client.answered(
        index,
        {
          sample: {
            time: monotonic(arrived),
            offset: serverError - (sent + received) / 2 + (there - back) / 2,
            delay,
            dispersion: 2 * precision + PHI * (there + back)
          },
          report: { ...report, loop: false }
        },
        monotonic(arrived)
      )
    }
    arrivals.push({ at: served + back, source: index, deliver })
    arrivals.sort((a, b) => a.at - b.at)
  }

  const poll = (index: number, t: number): void => {
    send(index, t)
    const left = burst[index] as number
    burst[index] = Math.max(0, left - 1)
    const interval = left > 1 ? 2 : 2 ** client.pollExponent(index) * (1 + 0.02 * (pollStream.uniform() - 0.5))
    nextPoll[index] = t + interval
  }

  const judge = new Judge(model, trace)
  for (let second = 0; second < duration; second += 1) {
    const end = second + 1
    for (;;) {
      const arrival = arrivals[0]
      let due = -1
      for (let i = 0; i < nextPoll.length; i += 1)
        if ((nextPoll[i] as number) < end && (due < 0 || (nextPoll[i] as number) < (nextPoll[due] as number))) due = i
      if (arrival !== undefined && arrival.at < end && (due < 0 || arrival.at <= (nextPoll[due] as number))) {
        arrivals = arrivals.slice(1)
        arrival.deliver()
      } else if (due >= 0) poll(due, nextPoll[due] as number)
      else break
    }
    const stepped = oscillator.tick()
    const now = monotonic(end)
    if (stepped !== 0) client.wallStepped(stepped, now)
    const slope = client.slope(now)
    judge.second(
      end,
      oscillator.wallError(end) + client.correction(now),
      oscillator.frequency() + slope * (1 + oscillator.frequency()),
      client.rootDistance(now)
    )
  }
  return judge.result(requests)
}

class Judge {
  readonly #model: SimulationModel
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
  #boundSeconds = 0

  constructor(model: SimulationModel, trace: SimulationTrace | undefined) {
    this.#model = model
    this.#trace = trace
    this.#traceStep = Math.max(1, Math.floor(model.duration / TRACE_STEPS))
  }

  second(t: number, error: number, frequencyError: number, bound: number): void {
    const size = Math.abs(error)
    if (!(size <= this.#model.syncLimit)) this.#unsynchronised = t
    if (bound < Number.POSITIVE_INFINITY) {
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
    if (bound < Number.POSITIVE_INFINITY) {
      this.#bounds += bound
      this.#boundSeconds += 1
    }
  }

  result(requests: number): SimulationResult {
    return {
      rms: Math.sqrt(this.#squares / Math.max(1, this.#seconds)),
      max: this.#max,
      frequencyRms: Math.sqrt(this.#frequencySquares / Math.max(1, this.#seconds)),
      frequencyMax: this.#frequencyMax,
      synchronisedAt: this.#unsynchronised,
      coverage: this.#claims === 0 ? 1 : this.#trueClaims / this.#claims,
      claimed: this.#claims,
      meanBound: this.#bounds / Math.max(1, this.#boundSeconds),
      requests
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
