/**
 * The simulation: one client, its oscillator, its sources and the paths to them. Time is true time in seconds from the
 * start. Every second the error of the client's time is taken; between, requests and replies travel. One seed replays a
 * run to the last bit.
 */
import { PHI } from "@meridian/time/clock-curve"
import type { SimulatedClient } from "./sim-client.ts"
import { keepInRecord, type SimulationRecord } from "./sim-record.ts"
import type { PathModel } from "./sim-network.ts"
import { Judge, type JudgedRun, type SimulationResult, type SimulationTrace } from "./sim-judge.ts"
import { makeOscillator, type OscillatorModel } from "./sim-oscillator.ts"
import { randomStream } from "./sim-random.ts"
import type { ServerModel } from "./sim-server.ts"

interface SimulatedSource {
  readonly server: ServerModel
  readonly path: PathModel
  readonly iburst?: boolean
}

export interface SimulationModel extends JudgedRun {
  readonly seed: number
  readonly oscillator: OscillatorModel
  readonly sources: readonly SimulatedSource[]
  /** Reading error that client and servers claim (RFC 5905 precision), seconds. */
  readonly precision: number
}

const REPLY_TIMEOUT = 8
const BURST_REQUESTS = 6

interface Arrival {
  readonly at: number
  readonly source: number
  readonly deliver: () => void
}

interface SimulationOutputs {
  readonly trace?: SimulationTrace | undefined
  readonly record?: SimulationRecord | undefined
}

export const runSimulation = (
  model: SimulationModel,
  client: SimulatedClient,
  { trace, record }: SimulationOutputs = {}
): SimulationResult => {
  const { seed, duration, sources, precision } = model
  const oscillator = makeOscillator(model.oscillator, randomStream(seed, "wander"), randomStream(seed, "reading"))
  const pathStreams = sources.map((_, i) => randomStream(seed, `path ${i}`))
  const pollStream = randomStream(seed, "poll")
  const nextPoll = sources.map(() => 0.1 + 0.8 * pollStream.uniform())
  const burst = sources.map(({ iburst }): number => (iburst === true ? BURST_REQUESTS : 0))
  let arrivals: Arrival[] = []
  let requests = 0
  let settledRequests = 0
  const monotonic = (t: number): number => t + oscillator.monotonicError(t)

  const send = (index: number, t: number): void => {
    const { server, path } = sources[index] as SimulatedSource
    const stream = pathStreams[index] as (typeof pathStreams)[number]
    client.polled(index, monotonic(t))
    requests += 1
    if (t > model.settling) settledRequests += 1
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
    client.tick?.(now)
    const slope = client.slope(now)
    const error = oscillator.wallError(end) + client.correction(now)
    judge.second(end, {
      error,
      frequencyError: oscillator.frequency() + slope * (1 + oscillator.frequency()),
      bound: client.rootDistance(now),
      deviation: client.deviation?.(now)
    })
    if (record !== undefined) keepInRecord(record, second, error, client, now)
  }
  return judge.result(requests, settledRequests)
}
