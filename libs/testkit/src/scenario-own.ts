/**
 * Scenarios of our own. `settled`: what a node meets on an ordinary day, judged from the second day on. The RFC's discipline,
 * which it is compared with, takes days to find an unknown frequency; so both start with the exact one and the right time.
 * `attack`: servers that lie or fail. They are judged from the first second: a clock that starts right must stay right.
 */
import { busyPath, changedPath, exponentialPath, type PathModel, reroutedPath } from "./sim-network.ts"
import type { OscillatorModel } from "./sim-oscillator.ts"
import { goodServer, type ServerModel, unsynchronisedServer, wrongServer } from "./sim-server.ts"
import type { Scenario, ScenarioGroup, ScenarioSource } from "./scenario.ts"

const HOUR = 3600
const DAY = 24 * HOUR

/** An ordinary computer's: 12 ppm fast, wandering by 0.3 ppb a root second, read to 100 ns. */
const crystal: OscillatorModel = { offset: 0, frequency: 12e-6, wander: 3e-10, quantum: 1e-7 }

/** What its drift file says: exactly right. */
const driftFile = { value: -12e-6, deviation: 1e-6 }

const wan = exponentialPath({ base: 8e-3, jitter: 1e-3 })
const lan = exponentialPath({ base: 1e-4, jitter: 2e-5 })

interface Own {
  readonly name: string
  readonly title: string
  readonly group?: ScenarioGroup
  readonly days: number
  readonly settling?: number
  readonly oscillator?: Partial<OscillatorModel>
  readonly path?: PathModel
  readonly servers?: readonly ServerModel[]
  readonly sources?: readonly ScenarioSource[]
  readonly options?: Scenario["options"]
  readonly timeMax?: number
  readonly compared?: boolean
}

const own = ({
  name,
  title,
  group = "settled",
  days,
  settling = group === "attack" ? 0 : DAY,
  oscillator,
  path = wan,
  servers,
  sources,
  options,
  timeMax,
  compared
}: Own): Scenario => ({
  name,
  title,
  group,
  duration: days * DAY,
  settling,
  compared: compared ?? group === "settled",
  ...(options === undefined ? {} : { options }),
  ...(timeMax === undefined
    ? {}
    : {
        limits: { timeMax, timeRms: timeMax, frequencyMax: 1, frequencyRms: 1, synchronisedBy: Math.max(settling, DAY) }
      }),
  world: () => ({
    oscillator: { ...crystal, ...oscillator },
    frequency: driftFile,
    sources:
      sources ??
      (servers ?? [goodServer(), goodServer(), goodServer()]).map((server) => ({ server, path, iburst: true }))
  })
})

const settled: readonly Scenario[] = [
  own({ name: "wan", title: "three servers across a country", days: 7 }),
  own({ name: "wan-month", title: "three servers across a country, a month", days: 30 }),
  own({ name: "wan-one", title: "one server across a country", days: 7, servers: [goodServer()] }),
  own({ name: "lan", title: "three servers in the same building", days: 3, path: lan }),
  own({
    name: "asymmetric-queues",
    title: "nearly all queues on the way back",
    days: 7,
    path: exponentialPath({ base: 8e-3, jitter: 2e-3, asymmetry: 0.47 })
  }),
  own({
    name: "busy-line",
    title: "a shared access line, busy by day, with long queues",
    days: 7,
    path: busyPath(8e-3, 1e-3, 0.2)
  }),
  own({
    name: "satellite",
    title: "servers behind a satellite",
    days: 7,
    path: exponentialPath({ base: 0.28, jitter: 0.02 })
  }),
  own({
    name: "loss",
    title: "half of the packets lost, each way",
    days: 7,
    path: exponentialPath({ base: 8e-3, jitter: 1e-3, loss: 0.5 })
  }),
  own({
    name: "warm-days",
    title: "temperature moves the frequency by 1 ppm each day",
    days: 7,
    oscillator: { frequencyAt: (t) => 1e-6 * Math.sin((2 * Math.PI * t) / DAY) }
  }),
  own({
    name: "heater",
    title: "temperature moves the frequency by 0.5 ppm every hour",
    days: 7,
    oscillator: { frequencyAt: (t) => 5e-7 * Math.sin((2 * Math.PI * t) / HOUR) }
  }),
  own({
    name: "cold-snap",
    title: "a window is opened: the frequency falls by 2 ppm in ten minutes, twice a day",
    days: 7,
    oscillator: { frequencyAt: (t) => (t % DAY < DAY / 2 ? 0 : -2e-6 * (1 - Math.exp(-(t % (DAY / 2)) / 600))) }
  }),
  own({
    name: "bad-crystal",
    title: "an oscillator that wanders thirty times as much",
    days: 7,
    oscillator: { wander: 1e-8 }
  }),
  own({ name: "coarse-clock", title: "a clock that reads whole milliseconds", days: 7, oscillator: { quantum: 1e-3 } }),
  own({
    name: "route-change",
    title: "on the third day the way there becomes 20 ms longer, to one of three servers",
    days: 7,
    sources: [0, 0, 0.02].map((extra) => ({
      server: goodServer(),
      path: reroutedPath(wan, 2.5 * DAY, extra),
      iburst: true
    }))
  })
]

const attacks: readonly Scenario[] = [
  own({
    name: "liar",
    title: "one of three servers is 5 s off",
    group: "attack",
    days: 2,
    servers: [wrongServer(() => 5), goodServer(), goodServer()],
    timeMax: 2e-3
  }),
  own({
    name: "fast-liar",
    title: "one of three servers is 5 s off and always answers; most packets to the others are lost",
    group: "attack",
    days: 2,
    sources: [
      { server: wrongServer(() => 5), path: wan, iburst: true },
      { server: goodServer(), path: exponentialPath({ base: 8e-3, jitter: 1e-3, loss: 0.4 }), iburst: true },
      { server: goodServer(), path: exponentialPath({ base: 8e-3, jitter: 1e-3, loss: 0.4 }), iburst: true }
    ],
    timeMax: 1e-2
  }),
  own({
    name: "slow-liar",
    title: "one of four servers drifts away by 10 ms an hour",
    group: "attack",
    days: 2,
    servers: [wrongServer((t) => (t * 0.01) / HOUR), goodServer(), goodServer(), goodServer()],
    timeMax: 1e-2
  }),
  own({
    name: "two-liars",
    title: "two of five servers lie, the same way",
    group: "attack",
    days: 2,
    servers: [wrongServer(() => 0.5), wrongServer(() => 0.5), goodServer(), goodServer(), goodServer()],
    timeMax: 2e-3
  }),
  own({
    name: "turncoats",
    title: "two of five servers turn false together after a day",
    group: "attack",
    days: 2,
    servers: [
      wrongServer((t) => (t > DAY ? 2 : 0)),
      wrongServer((t) => (t > DAY ? 2 : 0)),
      goodServer(),
      goodServer(),
      goodServer()
    ],
    timeMax: 2e-3
  }),
  own({
    name: "stepping-server",
    title: "one of three servers is stepped by 0.1 s to and fro every hour",
    group: "attack",
    days: 2,
    servers: [wrongServer((t) => (Math.floor(t / HOUR) % 2 === 0 ? 0 : 0.1)), goodServer(), goodServer()],
    timeMax: 1e-2
  }),
  own({
    name: "unsynchronised-server",
    title: "two of three servers lose their time for half a day",
    group: "attack",
    days: 2,
    servers: [unsynchronisedServer(DAY / 2, DAY), unsynchronisedServer(DAY / 2, DAY), goodServer()],
    timeMax: 2e-3
  }),
  own({
    name: "lying-majority",
    title: "two of three servers drift away together by 10 ms an hour: no client can know better",
    group: "attack",
    days: 2,
    servers: [wrongServer((t) => (t * 0.01) / HOUR), wrongServer((t) => (t * 0.01) / HOUR), goodServer()]
  }),
  own({
    name: "holdover-month",
    title: "a month without servers, after a day with three",
    group: "attack",
    days: 31,
    path: changedPath(wan, (t) => (t > DAY ? undefined : 0)),
    oscillator: { frequencyAt: (t) => 5e-7 * Math.sin((2 * Math.PI * t) / DAY) }
  }),
  own({
    name: "holdover-hour-old",
    title: "a month without servers, after an hour with one",
    group: "attack",
    days: 31,
    path: changedPath(wan, (t) => (t > HOUR ? undefined : 0)),
    servers: [goodServer()]
  })
]

export const ownScenarios: readonly Scenario[] = [...settled, ...attacks]
