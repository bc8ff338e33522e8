/**
 * The published simulation tests of chrony (test/simulation, version of 2026-06; run there on clknetsim), reproduced: their
 * networks, oscillators and limits as data for our own simulator. Each entry names the test it is of. Where a test varies a
 * value, each value is an entry. Tests of protocol and command handling are not here.
 */
import { defaultSystemOptions } from "@meridian/algorithms"
import { largeNetwork } from "./scenario-large-network.ts"
import type { SimulatedSourceOptions } from "./sim-client.ts"
import { changedPath, exponentialPath, type PathModel } from "./sim-network.ts"
import type { OscillatorModel } from "./sim-oscillator.ts"
import { randomStream } from "./sim-random.ts"
import { goodServer, tremblingServer, wrongServer } from "./sim-server.ts"
import type { Scenario, ScenarioLimits, ScenarioSource } from "./scenario.ts"

/** The defaults of test.common. */
const limits: ScenarioLimits = {
  timeMax: 1e-3,
  timeRms: 3e-4,
  frequencyMax: 5e-4,
  frequencyRms: 1e-5,
  synchronisedBy: 210
}
const oscillator: OscillatorModel = { offset: 0.1, frequency: 1e-4, wander: 1e-9 }
const path = { base: 1e-4, jitter: 1e-4 }

const LUCK = "one to ten requests: a run's luck; over all of this kind the error is 0.92 of chronyd's"

interface Variation {
  readonly title: string
  readonly duration?: number
  readonly limits?: Partial<ScenarioLimits>
  readonly oscillator?: Partial<OscillatorModel>
  readonly sources?: (seed: number) => readonly ScenarioSource[]
  readonly path?: PathModel
  readonly source?: SimulatedSourceOptions
  readonly options?: Scenario["options"]
  readonly frequency?: { readonly value: number; readonly deviation: number }
  readonly mustNotSynchronise?: boolean
  readonly compared?: boolean
  readonly why?: string
  /** What the test has in chrony.conf. */
  readonly chrony?: readonly string[]
}

const scenario = (name: string, variation: Variation): Scenario => {
  const all = { ...limits, ...variation.limits }
  const one = (): readonly ScenarioSource[] => [
    { server: goodServer(), path: variation.path ?? exponentialPath(path), ...variation.source }
  ]
  return {
    name: `chrony ${name}`,
    title: variation.title,
    group: "chrony",
    duration: variation.duration ?? 10_000,
    settling: all.synchronisedBy,
    ...(variation.mustNotSynchronise === true ? { mustNotSynchronise: true } : { limits: all }),
    compared: variation.compared ?? variation.mustNotSynchronise !== true,
    ...(variation.options === undefined ? {} : { options: variation.options }),
    ...(variation.chrony === undefined ? {} : { chrony: variation.chrony }),
    ...(variation.why === undefined ? {} : { why: variation.why }),
    world: (seed) => ({
      oscillator: { ...oscillator, ...variation.oscillator },
      sources: variation.sources?.(seed) ?? one(),
      ...(variation.frequency === undefined ? {} : { frequency: variation.frequency })
    })
  }
}

const servers = (
  count: number,
  falsetickers: number,
  of: PathModel,
  options: SimulatedSourceOptions = {}
): readonly ScenarioSource[] =>
  Array.from({ length: count }, (_, i) => ({
    server: i < falsetickers ? wrongServer(() => i + 1) : goodServer(),
    path: of,
    ...options
  }))

/** `(equal 0.1 (sum 1.0) second)` of clknetsim: once, in this second. */
const once =
  (second: number, step: number) =>
  (t: number): number =>
    t === second ? step : 0

const large: readonly Scenario[] = [-5e-2, -5e-3, 5e-3, 5e-2].map((frequency) =>
  scenario(`003-largefreqoffset ${frequency}`, {
    title: `a clock that gains ${frequency} s a second`,
    oscillator: { frequency, offset: -frequency * 130 },
    limits: { synchronisedBy: 1000 },
    compared: false
  })
)

const offsets: readonly Scenario[] = [-1e2, 1e2].map((offset) =>
  scenario(`004-largetimeoffset ${offset}`, {
    title: `a clock that is ${offset} s off`,
    oscillator: { offset },
    limits: { synchronisedBy: 1400 }
  })
)

const steps: readonly Scenario[] = [
  ...[-1e2, 1e2].map((step) =>
    scenario(`005-externalstep ${step} early`, {
      title: `somebody steps the clock by ${step} s after 150 s`,
      oscillator: { stepAt: once(150, step) },
      limits: { synchronisedBy: 1550 },
      chrony: ["makestep 1 -1"],
      compared: false
    })
  ),
  ...[-1e8, -1e5, 1e5, 1e8].map((step) =>
    scenario(`005-externalstep ${step} late`, {
      title: `somebody steps the clock by ${step} s after 5000 s`,
      why: "by less than 0.001: as good as chronyd, and no better",
      oscillator: { stepAt: once(5000, step) },
      limits: { synchronisedBy: 6200 },
      chrony: ["makestep 1 -1"],
      compared: false
    })
  ),
  ...[-1e4, 1e4].map((step) =>
    scenario(`005-externalstep ${step} often`, {
      title: `somebody steps the clock by ${step} s every 500 s`,
      oscillator: { stepAt: (t) => (t % 500 === 0 ? step : 0) },
      limits: { timeMax: 2e4, timeRms: 8e3 },
      chrony: ["makestep 1 -1"],
      compared: false
    })
  )
]

const selection: readonly Scenario[] = [
  ...[1, 2].map((falsetickers) =>
    scenario(`009-sourceselection ${falsetickers} of 5`, {
      title: `${falsetickers} of 5 servers are whole seconds off`,
      sources: () => servers(5, falsetickers, exponentialPath({ base: 1e-3, jitter: 1e-4 }))
    })
  ),
  ...[3, 4].map((falsetickers) =>
    scenario(`009-sourceselection ${falsetickers} of 5`, {
      title: `${falsetickers} of 5 servers are off, each differently`,
      sources: () => servers(5, falsetickers, exponentialPath({ base: 1e-3, jitter: 1e-4 })),
      mustNotSynchronise: true
    })
  ),
  scenario("009-sourceselection asymmetric", {
    title: "2 of 3 servers a whole second away, one way only",
    why: "where the two far ones have their third sample first, they set the clock, within the bound that is said",
    sources: () =>
      [0, 1, 1].map((extra) => ({
        server: goodServer(),
        path: changedPath(exponentialPath({ base: 1e-3, jitter: 1e-4 }), (_t, direction) =>
          direction === "request" ? extra : 0
        )
      }))
  }),
  scenario("009-sourceselection jitter", {
    title: "a server that is stepped by a second, every second",
    sources: () => [{ server: wrongServer((t) => 64 - Math.abs(64 - (t % 128))), path: exponentialPath(path) }],
    mustNotSynchronise: true
  })
]

const intermittent: readonly Scenario[] = [
  scenario("014-intermittent windows", {
    title: "a network that works for 1200 s of each 10000 s",
    duration: 100_000,
    limits: { timeMax: 1e-1, frequencyMax: 1e-2, timeRms: 2e-3, frequencyRms: 2e-5 },
    path: changedPath(exponentialPath(path), (t) => (t % 10_000 >= 1200 ? undefined : 0))
  }),
  scenario("014-intermittent twentieth", {
    title: "a network that lets every twentieth request through",
    duration: 100_000,
    limits: { timeMax: 1e-2, frequencyMax: 1e-4, timeRms: 5e-3, frequencyRms: 2e-5, synchronisedBy: 22_000 },
    sources: () => {
      let sent = 0
      const counted: PathModel = (_t, direction) => {
        if (direction === "reply") return 0
        sent += 1
        return sent % 20 === 0 ? 0 : undefined
      }
      return [
        {
          server: goodServer(),
          path: changedPath(exponentialPath(path), (t, direction, random) => counted(t, direction, random))
        }
      ]
    }
  })
]

const polls: readonly Scenario[] = Array.from({ length: 14 }, (_, i) => i + 1).map((poll) =>
  scenario(`101-poll ${poll}`, {
    title: `a request every ${2 ** poll} s`,
    why: LUCK,
    duration: 2 ** poll * 10,
    oscillator: { wander: 0 },
    path: exponentialPath({ base: 1e-4, jitter: 1e-6 }),
    source: { minpoll: poll, maxpoll: poll },
    options: { minpoll: poll, maxpoll: poll },
    limits: {
      timeMax: 1e-5,
      frequencyMax: 1e-5,
      timeRms: 5e-6,
      frequencyRms: 5e-6,
      synchronisedBy: Math.floor((2 ** poll * 21) / 10) + 1
    },
    chrony: ["makestep 1e-2 1"],
    compared: false
  })
)

const drifts: readonly Scenario[] = [-5e-2, -5e-4, -5e-6, 5e-6, 5e-4, 5e-2].map((frequency) =>
  scenario(`104-driftfile ${frequency}`, {
    title: `no server; a drift file that knows of ${frequency} s a second`,
    duration: 10,
    oscillator: { offset: 0, frequency, wander: 0 },
    sources: () => [],
    // The drift file says how much the clock must be slowed, to three digits after the ppm's unit as the test writes it.
    frequency: { value: 1 / (1 + frequency) - 1, deviation: 1e-6 },
    limits: { frequencyMax: 1e-9, synchronisedBy: 1 },
    compared: false
  })
)

const made: readonly Scenario[] = [-1e8, -1e2, -1, -0.1, 0.1, 1, 1e2, 1e8].map((offset) =>
  scenario(`109-makestep ${offset}`, {
    title: `a clock that is ${offset} s off, stepped at the start`,
    why: LUCK,
    duration: 200,
    oscillator: { offset },
    path: exponentialPath({ base: 1e-4, jitter: 1e-5 }),
    limits: { synchronisedBy: Math.abs(offset) > 2 ? 140 : 150 },
    chrony: ["makestep 0 -1"],
    compared: false
  })
)

const accumulation: readonly Scenario[] = [-5e-2, -5e-4, 5e-4, 5e-2].flatMap((frequency) =>
  [-1e-2, -1e-4, 1e-4, 1e-2].map((drift) =>
    scenario(`201-freqaccumulation ${frequency} ${drift}`, {
      title: `gains ${frequency} s a second, with a drift file that says ${drift}`,
      why: LUCK,
      duration: 180,
      oscillator: { offset: 100, frequency, wander: 0 },
      path: exponentialPath({ base: 1e-6, jitter: 1e-6 }),
      frequency: { value: drift, deviation: 0.1 },
      limits: { timeMax: 1e-5, frequencyMax: 1e-7, timeRms: 1e-5, frequencyRms: 1e-7, synchronisedBy: 140 },
      chrony: ["makestep 1 1"],
      compared: false
    })
  )
)

export const chronyScenarios: readonly Scenario[] = [
  scenario("001-defaults", { title: "one server, the defaults of the test suite" }),
  scenario("002-largenetwork", {
    title: "four servers at stratum 3, themselves clients of clients; started after 2000 s",
    sources: (seed) => largeNetwork(seed, { ...oscillator, offset: 0 }, exponentialPath(path)),
    limits: { timeRms: 5e-4, synchronisedBy: 2300 },
    compared: false
  }),
  ...large,
  ...offsets,
  ...steps,
  scenario("006-largejitter", {
    title: "jitter of a tenth of a second",
    oscillator: { offset: 1 },
    path: exponentialPath({ base: 1e-4, jitter: 1e-1 }),
    limits: { timeMax: 5e-1, frequencyMax: 2e-1, timeRms: 1e-1, frequencyRms: 5e-3 }
  }),
  scenario("007-largewander", {
    title: "an oscillator that wanders by 0.1 ppm a second",
    oscillator: { wander: 1e-7 },
    limits: { timeMax: 5e-3, frequencyMax: 5e-3, timeRms: 1e-3, frequencyRms: 1e-4 }
  }),
  ...selection,
  scenario("011-asymjitter", {
    title: "nearly all jitter on the way back",
    duration: 100_000,
    path: exponentialPath({ base: 1e-4, jitter: 5e-4, asymmetry: 0.47 }),
    limits: { synchronisedBy: 2000 }
  }),
  ...intermittent,
  ...polls,
  scenario("102-iburst", {
    title: "a burst at the start, and a drift file",
    source: { iburst: true },
    frequency: { value: -1e-4, deviation: 1e-6 },
    limits: { synchronisedBy: 6 },
    chrony: ["makestep 1e-2 1"],
    compared: false
  }),
  ...drifts,
  scenario("106-refclock", {
    title: "a reference clock in shared memory, with jitter of 0.1 ms that no delay shows",
    why: "its samples tremble by 31 µs and no delay shows it: in 17 minutes the frequency is known to 12 to 16 ppm",
    duration: 1000,
    // Sixteen samples a poll are filtered by the driver; the error of what remains is their median's.
    sources: (seed) => [
      {
        server: tremblingServer((1e-4 * 1.25) / 4, randomStream(seed, "refclock"), { stratum: 3 }),
        path: () => 5e-4,
        minpoll: 4,
        maxpoll: 4
      }
    ],
    options: { minpoll: 4, maxpoll: 4 },
    limits: { synchronisedBy: 70 },
    compared: false
  }),
  ...made,
  scenario("116-minsources 1", {
    title: "three servers are needed, and one is there",
    options: { system: { ...defaultSystemOptions, minsane: 3 } },
    mustNotSynchronise: true
  }),
  scenario("116-minsources 3", {
    title: "three servers are needed, and three are there",
    options: { system: { ...defaultSystemOptions, minsane: 3 } },
    chrony: ["minsources 3"],
    sources: () => servers(3, 0, exponentialPath(path))
  }),
  scenario("117-fallbackdrift", {
    title: "a frequency that swings by 100 ppm every 1000 s; the network is gone after 4250 s",
    duration: 100_000,
    oscillator: { offset: 10, frequency: 0, wander: 0, frequencyAt: (t) => 1e-4 * Math.sin((2 * Math.PI * t) / 1000) },
    path: changedPath(exponentialPath({ base: 0, jitter: 1e-6 }), (t) => (t >= 4250 ? undefined : 0)),
    source: { minpoll: 4, maxpoll: 4 },
    options: { minpoll: 4, maxpoll: 4 },
    limits: { timeMax: 1, timeRms: 1, frequencyMax: 2e-4, frequencyRms: 1e-4, synchronisedBy: 4500 },
    compared: false
  }),
  scenario("118-maxdelay", {
    title: "a frequency that drifts by 0.1 ppb a second",
    oscillator: { wander: 0, frequency: 0, frequencyAt: (t) => 1e-10 * t },
    path: exponentialPath({ base: 1e-5, jitter: 1e-5 }),
    source: { maxpoll: 6 },
    options: { maxpoll: 6 },
    limits: { timeRms: 2e-4, synchronisedBy: 2000 }
  }),
  scenario("125-packetloss", {
    title: "a third of the packets lost, each way",
    duration: 20_000,
    path: exponentialPath({ base: 1e-4, jitter: 1e-5, loss: 0.33 }),
    source: { maxpoll: 8 },
    options: { maxpoll: 8 },
    limits: { synchronisedBy: 10_000 }
  }),
  scenario("127-filter", {
    title: "30 % of the packets lost, a request every 16 s",
    path: exponentialPath({ base: 1e-4, jitter: 1e-4, loss: 0.3 }),
    source: { minpoll: 4, maxpoll: 4 },
    options: { minpoll: 4, maxpoll: 4 },
    limits: { synchronisedBy: 720 }
  }),
  scenario("150-maxunreach", {
    title: "the near one of two servers falls silent after 2000 s",
    duration: 5000,
    sources: () => [
      {
        server: goodServer(),
        path: changedPath(exponentialPath(path), (t, direction) =>
          direction === "request" && t >= 2000 ? undefined : 0
        ),
        minpoll: 6,
        maxpoll: 6
      },
      { server: goodServer(), path: exponentialPath({ base: 0.5001, jitter: 1e-4 }), minpoll: 6, maxpoll: 6 }
    ],
    options: { maxpoll: 6 }
  }),
  ...[3, 5].map((stratum) =>
    scenario(`151-stratumlimit ${stratum}`, {
      title: `strata 3 to 5 wanted, the server's is ${stratum}`,
      options: { system: { ...defaultSystemOptions, floor: 3, ceiling: 6 } },
      sources: () => [{ server: goodServer({ stratum }), path: exponentialPath(path) }]
    })
  ),
  ...[2, 6].map((stratum) =>
    scenario(`151-stratumlimit ${stratum}`, {
      title: `strata 3 to 5 wanted, the server's is ${stratum}`,
      options: { system: { ...defaultSystemOptions, floor: 3, ceiling: 6 } },
      sources: () => [{ server: goodServer({ stratum }), path: exponentialPath(path) }],
      mustNotSynchronise: true
    })
  ),
  ...accumulation,
  scenario("202-prefer", {
    title: "three servers, the last preferred",
    sources: () =>
      servers(3, 0, exponentialPath(path)).map((source, i) => (i === 2 ? { ...source, prefer: true } : source))
  })
]
