/**
 * Networks and servers as they are found: queues that grow and drain, radio that delays some packets, uploads, servers that
 * lie a little or keep bad time. Each is a family with its parameters (height, period, share, number of servers, poll), not
 * a single point, so that nothing can be tuned to one of them. chronyd's error in the same worlds, run in clknetsim, is in
 * loadtest/chronyd-figures.json.
 */
import { busyQueue, exponentialPath, gaussianPath, type PathModel, sawtoothQueue, spikedPath } from "./sim-network.ts"
import type { OscillatorModel } from "./sim-oscillator.ts"
import { goodServer, sawtoothServer, type ServerModel, swingingServer, wrongServer } from "./sim-server.ts"
import type { Scenario, ScenarioSource } from "./scenario.ts"

const MINUTE = 60
const HOUR = 3600
const DAY = 24 * HOUR

const crystal: OscillatorModel = { offset: 0, frequency: 12e-6, wander: 3e-10, quantum: 1e-7 }
const driftFile = { value: -12e-6, deviation: 1e-6 }

const wan = exponentialPath({ base: 8e-3, jitter: 1e-3 })
const lan = exponentialPath({ base: 1e-4, jitter: 2e-5 })
const radio = exponentialPath({ base: 5e-3, jitter: 5e-4 })

interface Ugly {
  readonly name: string
  readonly title: string
  readonly sources: readonly ScenarioSource[]
  readonly duration?: number
  readonly settling?: number
  /** The clock starts a tenth of a second and 100 ppm off, with no drift file. */
  readonly cold?: boolean
  readonly oscillator?: Partial<OscillatorModel>
  /** log2 seconds: asked no oftener and no more rarely. */
  readonly poll?: number
  readonly options?: Scenario["options"]
  /** No client can know of the lie before it has seen it end once. */
  readonly claimsFrom?: number
  readonly why?: string
}

const ugly = ({
  name,
  title,
  sources,
  duration = 2 * DAY,
  settling = DAY / 2,
  cold = false,
  ...more
}: Ugly): Scenario => ({
  name,
  title,
  group: "ugly",
  duration,
  settling,
  compared: true,
  ...(more.why === undefined ? {} : { why: more.why }),
  ...(more.claimsFrom === undefined ? {} : { claimsFrom: more.claimsFrom }),
  ...(more.poll === undefined ? {} : { options: { minpoll: more.poll, maxpoll: more.poll } }),
  ...(more.options === undefined ? {} : { options: more.options }),
  world: () => ({
    oscillator: { ...crystal, ...(cold ? { offset: 0.1, frequency: 1e-4 } : {}), ...more.oscillator },
    ...(cold ? {} : { frequency: driftFile }),
    sources: sources.map((source) => ({
      ...source,
      iburst: source.iburst ?? true,
      ...(more.poll === undefined ? {} : { minpoll: more.poll, maxpoll: more.poll })
    }))
  })
})

/** One source with this path, and others behind it that are ordinary. */
const beside = (path: PathModel, servers: number, others: PathModel = wan): readonly ScenarioSource[] =>
  Array.from({ length: servers }, (_, i) => ({ server: goodServer(), path: i === 0 ? path : others }))

/** Servers that all lie behind the same kind of path. */
const all = (path: PathModel, servers: number): readonly ScenarioSource[] => beside(path, servers, path)

/** Bad servers first, then good ones, all as far away. */
const among = (bad: readonly ServerModel[], good: number, path: PathModel = wan): readonly ScenarioSource[] =>
  [...bad, ...Array.from({ length: good }, () => goodServer())].map((server) => ({ server, path }))

const ms = (seconds: number): string => `${seconds * 1e3} ms`
const time = (seconds: number): string =>
  seconds >= HOUR ? `${seconds / HOUR} h` : seconds >= MINUTE ? `${seconds / MINUTE} min` : `${seconds} s`
const of = (servers: number): string => (servers === 1 ? "alone" : `of ${servers}`)

const queues = [
  [0.002, 30 * MINUTE, 1],
  [0.02, 10 * MINUTE, 1],
  [0.02, 30 * MINUTE, 1],
  [0.02, 2 * HOUR, 1],
  [0.02, 8 * HOUR, 1],
  [0.1, 2 * HOUR, 1],
  [0.02, 30 * MINUTE, 3]
].map(([height = 0, period = 0, servers = 1]) =>
  ugly({
    name: `queue ${ms(height)} ${time(period)} ${of(servers)}`,
    title: `a queue on the way there grows to ${ms(height)} in ${time(period)} and drains at once`,
    sources: beside(sawtoothQueue(wan, "request", height, period), servers),
    why: "a queue that grows for hours looks like an oscillator that runs fast, until it drains"
  })
)

const wifi = [
  [0.1, 0.03, 1],
  [0.3, 0.01, 1],
  [0.3, 0.03, 1],
  [0.3, 0.1, 1],
  [0.5, 0.03, 1],
  [0.3, 0.03, 3]
].flatMap(([share = 0, upTo = 0, servers = 1]) =>
  [false, true].map((cold) =>
    ugly({
      name: `wifi${cold ? " cold" : ""} ${100 * share} % ${ms(upTo)} ${of(servers)}`,
      title: `${100 * share} % of the packets late by up to ${ms(upTo)}${cold ? ", from a cold start" : ""}`,
      sources: all(spikedPath(radio, share, upTo), servers),
      ...(cold ? { cold, duration: 4 * HOUR, settling: HOUR / 2 } : {})
    })
  )
)

const liars = [
  ...[
    [0.01, 6 * HOUR, 2],
    [0.04, HOUR, 2],
    [0.04, 6 * HOUR, 2],
    [0.04, DAY, 2],
    [0.2, 6 * HOUR, 2],
    [0.04, 6 * HOUR, 4]
  ].map(([height = 0, period = 0, good = 2]) =>
    ugly({
      name: `liar swings ${ms(height)} ${time(period)} of ${good + 1}`,
      title: `one of ${good + 1} servers swings to ${ms(height)} and back in ${time(period)}`,
      sources: among([swingingServer(height, period)], good)
    })
  ),
  ...[
    [1e-3, 2],
    [1e-2, 2],
    [1e-3, 4]
  ].map(([rate = 0, good = 2]) =>
    ugly({
      name: `liar drifts ${ms(rate)}/h of ${good + 1}`,
      title: `one of ${good + 1} servers drifts away by ${ms(rate)} an hour`,
      settling: 0,
      sources: among([wrongServer((t) => (rate * t) / HOUR)], good)
    })
  ),
  ...[0.005, 0.02].map((error) =>
    ugly({
      name: `near liar ${ms(error)}`,
      title: `a server ${ms(error)} off and 0.2 ms away beside two good ones 80 ms away`,
      sources: [
        { server: wrongServer(() => error), path: lan },
        ...Array.from({ length: 2 }, () => ({
          server: goodServer(),
          path: exponentialPath({ base: 0.04, jitter: 1e-3 })
        }))
      ],
      why: "the liar is within what the others' delays allow; the bound says how far they are"
    })
  )
]

const bloat = [
  [0.03, 1],
  [0.1, 1],
  [0.3, 1],
  [0.1, 3]
].map(([height = 0, servers = 1]) =>
  ugly({
    name: `upload ${ms(height)} ${of(servers)}`,
    title: `an upload queues up to ${ms(height)} for 20 minutes of each hour`,
    sources: all(busyQueue(wan, "request", height, 20 * MINUTE, HOUR), servers)
  })
)

const gaussian = [
  [0.01, 1e-4, 1],
  [0.01, 1e-3, 1],
  [0.03, 5e-3, 1],
  [0.01, 1e-3, 3]
].map(([mean = 0, deviation = 0, servers = 1]) =>
  ugly({
    name: `gaussian ${ms(deviation)} ${of(servers)}`,
    title: `delays of ${ms(mean)}, normal with a deviation of ${ms(deviation)}`,
    sources: all(gaussianPath(mean, deviation), servers)
  })
)

const jitters = [
  ...[2, 4, 6, 8, 10].map((poll) =>
    ugly({
      name: `small jitter poll ${poll}`,
      title: `jitter of 1 µs and an oscillator that does not wander, asked every ${2 ** poll} s`,
      poll,
      duration: 300 * 2 ** poll,
      settling: 30 * 2 ** poll,
      cold: true,
      oscillator: { wander: 0, quantum: 0 },
      sources: all(exponentialPath({ base: 1e-4, jitter: 1e-6 }), 1)
    })
  ),
  ugly({
    name: "large jitter 100 ms",
    title: "jitter of a tenth of a second",
    sources: all(exponentialPath({ base: 1e-4, jitter: 0.1 }), 1)
  })
]

const sntp = [
  [0.002, 30 * MINUTE],
  [0.01, 10 * MINUTE],
  [0.01, 30 * MINUTE],
  [0.01, 2 * HOUR]
].map(([height = 0, period = 0]) =>
  ugly({
    name: `sntp server ${ms(height)} ${time(period)}`,
    title: `a server in the building that gains ${ms(height)} in ${time(period)} and is then set right`,
    why: "its time runs off as an oscillator does and is then set right; asking more often follows it closer",
    sources: [{ server: sawtoothServer(height, period), path: lan }],
    claimsFrom: Math.max(2 * period, 2 * HOUR)
  })
)

export const uglyScenarios: readonly Scenario[] = [
  ...queues,
  ...wifi,
  ...liars,
  ...bloat,
  ...gaussian,
  ...jitters,
  ...sntp
]
