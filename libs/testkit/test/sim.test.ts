import { describe, expect, it } from "vitest"
import type { SimulatedClient } from "../src/sim-client.ts"
import { meridianClient } from "../src/sim-client-meridian.ts"
import { rfcClient } from "../src/sim-client-rfc.ts"
import { busyPath, changedPath, exponentialPath, type PathModel } from "@meridian/testkit/sim-network"
import { makeOscillator, type OscillatorModel } from "../src/sim-oscillator.ts"
import { randomStream } from "@meridian/testkit/sim-random"
import { emptyRecord } from "../src/sim-record.ts"
import { runSimulation, type SimulationModel } from "../src/sim-run.ts"
import { goodServer, recordedServer, tremblingServer, unsynchronisedServer, wrongServer } from "../src/sim-server.ts"

const still: OscillatorModel = { offset: 0, frequency: 0, wander: 0 }
const near = exponentialPath({ base: 1e-3, jitter: 1e-4 })

const model = (more: Partial<SimulationModel> = {}): SimulationModel => ({
  seed: 1,
  duration: 2000,
  oscillator: { offset: 0.1, frequency: 1e-5, wander: 1e-9 },
  sources: [{ server: goodServer(), path: near }],
  precision: 1e-7,
  settling: 500,
  syncLimit: 1e-3,
  ...more
})

const meridian = (): SimulatedClient => meridianClient({ sources: [{}], precision: 1e-7 })

/** A client that corrects nothing and writes down what it is handed. */
const witness = (seen: { offset: number; delay: number; time: number }[], steps: number[] = []): SimulatedClient => ({
  name: "witness",
  polled: () => undefined,
  answered: (_source, { sample }) => void seen.push({ offset: sample.offset, delay: sample.delay, time: sample.time }),
  wallStepped: (seconds) => void steps.push(seconds),
  pollExponent: () => 4,
  correction: () => 0,
  slope: () => 0,
  rootDistance: () => Number.POSITIVE_INFINITY,
  root: () => ({ delay: 0, dispersion: 0, stratum: 16 }),
  followed: () => undefined
})

describe("random streams", () => {
  const draw = (seed: number, name: string, count = 5): number[] => {
    const stream = randomStream(seed, name)
    return Array.from({ length: count }, stream.uniform)
  }

  it("repeat by seed and name, and differ by either", () => {
    expect(draw(1, "a")).toEqual(draw(1, "a"))
    expect(draw(1, "a")).not.toEqual(draw(2, "a"))
    expect(draw(1, "a")).not.toEqual(draw(1, "b"))
  })

  it("have the distributions they are named for", () => {
    const stream = randomStream(7, "moments")
    const moments = (of: () => number): readonly [number, number] => {
      const values = Array.from({ length: 40_000 }, of)
      const mean = values.reduce((sum, it) => sum + it, 0) / values.length
      return [mean, values.reduce((sum, it) => sum + (it - mean) ** 2, 0) / values.length]
    }
    for (const [of, mean, variance] of [
      [stream.uniform, 0.5, 1 / 12],
      [stream.normal, 0, 1],
      [stream.exponential, 1, 1]
    ] as const) {
      const [foundMean, foundVariance] = moments(of)
      expect(Math.abs(foundMean - mean)).toBeLessThan(0.02)
      expect(Math.abs(foundVariance / variance - 1)).toBeLessThan(0.05)
    }
  })
})

describe("simulated oscillator", () => {
  const make = (more: Partial<OscillatorModel>) =>
    makeOscillator({ ...still, ...more }, randomStream(1, "w"), randomStream(1, "r"))

  it("gains by its frequency, on both clocks", () => {
    const oscillator = make({ frequency: 1e-4, offset: 2 })
    for (let i = 0; i < 100; i += 1) oscillator.tick()
    expect(oscillator.monotonicError(100.5)).toBeCloseTo(0.01005, 12)
    expect(oscillator.wallError(100.5)).toBeCloseTo(2.01005, 12)
  })

  it("steps the wall clock and never the monotonic one", () => {
    const oscillator = make({ stepAt: (t) => (t === 3 ? -7 : 0) })
    expect([1, 2, 3, 4].map(() => oscillator.tick())).toEqual([0, 0, -7, 0])
    expect([oscillator.wallError(4), oscillator.monotonicError(4)]).toEqual([-7, 0])
  })

  it("wanders as a random walk: by the root of time", () => {
    const after = (seconds: number): number => {
      const ends = Array.from({ length: 60 }, (_, i) => {
        const oscillator = makeOscillator({ ...still, wander: 1e-9 }, randomStream(i, "w"), randomStream(i, "r"))
        for (let s = 0; s < seconds; s += 1) oscillator.tick()
        return oscillator.frequency()
      })
      return Math.sqrt(ends.reduce((sum, it) => sum + it * it, 0) / ends.length)
    }
    expect(after(100) / 1e-8).toBeGreaterThan(0.7)
    expect(after(100) / 1e-8).toBeLessThan(1.4)
    expect(after(1600) / after(100)).toBeGreaterThan(2.5)
    expect(after(1600) / after(100)).toBeLessThan(6)
  })

  it("reads to within half a quantum", () => {
    const oscillator = make({ quantum: 1e-3 })
    const errors = Array.from({ length: 1000 }, oscillator.readingError)
    expect(Math.max(...errors.map(Math.abs))).toBeLessThanOrEqual(5e-4)
    expect(Math.max(...errors)).toBeGreaterThan(4e-4)
    expect(Math.min(...errors)).toBeLessThan(-4e-4)
  })
})

describe("simulated exchange", () => {
  const offsets = (path: PathModel, more: Partial<SimulationModel> = {}) => {
    const seen: { offset: number; delay: number; time: number }[] = []
    runSimulation(model({ oscillator: still, sources: [{ server: goodServer(), path }], ...more }), witness(seen))
    return seen
  }

  it("measures a constant path exactly, and half of its asymmetry as offset", () => {
    for (const { offset, delay } of offsets((_t, direction) => (direction === "request" ? 0.03 : 0.01))) {
      expect(offset).toBeCloseTo(0.01, 12)
      expect(delay).toBeCloseTo(0.04, 12)
    }
  })

  it("never puts the truth outside offset ± delay / 2", () => {
    const seen = offsets(busyPath(1e-3, 1e-2, 0.4), { duration: 20_000 })
    expect(seen.length).toBeGreaterThan(1000)
    for (const { offset, delay } of seen) expect(Math.abs(offset)).toBeLessThanOrEqual(delay / 2 + 1e-12)
  })

  it("sees the client's own error with the other sign", () => {
    const seen = offsets(() => 0.001, { oscillator: { ...still, offset: 0.25, frequency: 1e-4 } })
    expect(seen[0]?.offset).toBeCloseTo(-0.25, 3)
    const [first, last] = [seen[0], seen.at(-1)]
    const slope = ((last?.offset ?? 0) - (first?.offset ?? 0)) / ((last?.time ?? 1) - (first?.time ?? 0))
    expect(slope).toBeCloseTo(-1e-4, 7)
  })

  it("loses packets at the rate it was told, each way", () => {
    const seen = offsets(exponentialPath({ base: 1e-3, jitter: 0, loss: 0.5 }), { duration: 64_000 })
    expect(seen.length / 4000).toBeGreaterThan(0.22)
    expect(seen.length / 4000).toBeLessThan(0.28)
  })

  it("tells of steps of the wall clock within the second", () => {
    const steps: number[] = []
    runSimulation(model({ oscillator: { ...still, stepAt: (t) => (t === 100 ? 42 : 0) } }), witness([], steps))
    expect(steps).toEqual([42])
  })

  it("changes routes, and lets servers tremble, lie and lose their time", () => {
    const changed = changedPath(near, (t) => (t > 1000 ? 0.02 : 0))
    const seen = offsets(changed)
    expect(Math.max(...seen.filter((it) => it.time < 1000).map((it) => it.delay))).toBeLessThan(0.02)
    expect(Math.min(...seen.filter((it) => it.time > 1001).map((it) => it.delay))).toBeGreaterThan(0.04)
    expect(unsynchronisedServer(10, 20).report(15)).toMatchObject({ stratum: 16, leap: 3 })
    expect(unsynchronisedServer(10, 20).report(20).stratum).toBe(1)
    expect(wrongServer((t) => t / 10).error(30)).toBe(3)
    const trembling = tremblingServer(1e-3, randomStream(1, "tremble"))
    expect(new Set(Array.from({ length: 50 }, () => trembling.error(0))).size).toBe(50)
  })
})

describe("simulation", () => {
  it("replays a seed to the last bit, and another seed differently", () => {
    expect(runSimulation(model(), meridian())).toEqual(runSimulation(model(), meridian()))
    expect(runSimulation(model({ seed: 2 }), meridian()).rms).not.toBe(runSimulation(model(), meridian()).rms)
  })

  it("gives both disciplines the same oscillator", () => {
    const errors = [meridian(), rfcClient({ sources: [{}], precision: 1e-7, minpoll: 6, maxpoll: 6 })].map((client) => {
      const raw: number[] = []
      runSimulation(model(), { ...client, correction: () => 0, slope: (now) => (raw.push(now), 0) })
      return raw
    })
    expect(errors[0]).toEqual(errors[1])
  })

  it("judges a client that knows everything as perfect, and one that knows nothing by its clock", () => {
    const perfect = runSimulation(model({ oscillator: still }), witness([]))
    expect(perfect).toMatchObject({ rms: 0, max: 0, frequencyRms: 0, claimed: 0, coverage: 1, synchronisedAt: 0 })
    const lost = runSimulation(model({ oscillator: { ...still, offset: 0.5 } }), witness([]))
    expect(lost.rms).toBeCloseTo(0.5, 12)
    expect(lost.synchronisedAt).toBe(2000)
  })

  it("finds out a claim that is too small", () => {
    const boaster: SimulatedClient = { ...witness([]), rootDistance: (now) => (now < 1000 ? 1 : 0.1) }
    const result = runSimulation(model({ oscillator: { ...still, offset: 0.5 } }), boaster)
    expect(result.coverage).toBeGreaterThan(0.49)
    expect(result.coverage).toBeLessThan(0.51)
  })

  it("serves one simulation's client to another", () => {
    const record = emptyRecord(2000)
    runSimulation(model(), meridian(), { record })
    const result = runSimulation(
      model({ seed: 9, sources: [{ server: recordedServer(record), path: near }] }),
      meridian()
    )
    expect(result.claimed).toBeGreaterThan(1500)
    expect(result.max).toBeLessThan(1e-3)
    expect(recordedServer(record).report(10).stratum).toBe(16)
    expect(recordedServer(record).report(1000).stratum).toBe(2)
  })
})
