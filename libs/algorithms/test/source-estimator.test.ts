import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { DelayFloor } from "../src/delay-floor.ts"
import { FrequencyMemory } from "../src/frequency-memory.ts"
import { Scatter } from "../src/scatter.ts"
import { SourceEstimator } from "../src/source-estimator.ts"

/** A small linear congruential generator: tests of estimators need noise that is the same each time. */
const noise = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

interface World {
  readonly frequency?: number
  readonly offset?: number
  /** One-way mean extra delays, there and back, seconds. */
  readonly there?: number
  readonly back?: number
  readonly count?: number
  readonly interval?: number
  readonly from?: number
}

const feed = (
  estimator: SourceEstimator,
  { frequency = 0, offset = 0, there = 1e-4, back = 1e-4, count = 100, interval = 64, from = 0 }: World
): number => {
  const random = noise(7)
  let time = from
  for (let i = 0; i < count; i += 1) {
    time = from + i * interval
    const [d1, d2] = [-there * Math.log(1 - random()), -back * Math.log(1 - random())]
    estimator.add({ time, offset: offset + frequency * time + (d1 - d2) / 2, delay: 0.01 + d1 + d2, dispersion: 1e-6 })
  }
  return time
}

describe("source estimator", () => {
  it("says numbers of samples that are days apart and agree in nothing", () => {
    for (let seed = 1; seed <= 120; seed += 1) {
      const random = noise(seed * 7919)
      const estimator = new SourceEstimator(1e-6)
      let time = 0
      for (let sample = 0; sample < 20; sample += 1) {
        time += random() < 0.7 ? 64 : 1e6
        const delay = random() < 0.3 ? 0 : 0.01 + 0.5 * random() * random()
        estimator.add({ time, offset: random() - 0.5, delay, dispersion: random() < 0.5 ? 0 : 1e-3 })
        const { offset, offsetVariance, frequency } = estimator.estimate(time)!
        expect([offset, offsetVariance, frequency].every(Number.isFinite)).toBe(true)
        expect(offsetVariance).toBeGreaterThan(0)
      }
    }
  })

  it("finds offset and frequency to much better than one sample, and says how well", () => {
    const estimator = new SourceEstimator(1e-6)
    const end = feed(estimator, { frequency: 20e-6, offset: 0.5 })
    const found = estimator.estimate(end)
    const error = Math.abs((found?.offset ?? 0) - 0.5 - 20e-6 * end)
    expect(error).toBeLessThan(3e-5)
    expect(error).toBeLessThan(4 * Math.sqrt(found?.offsetVariance ?? 0))
    expect(found?.frequency).toBeCloseTo(20e-6, 7)
  })

  it("grows less sure the farther it looks ahead", () => {
    const estimator = new SourceEstimator(1e-6)
    const end = feed(estimator, {})
    const deviations = [0, 100, 1000, 10_000].map((ahead) => estimator.estimate(end + ahead)?.offsetVariance ?? 0)
    expect(deviations.toSorted((a, b) => a - b)).toEqual(deviations)
    expect(deviations[3]).toBeGreaterThan(10 * (deviations[0] ?? 0))
  })

  it("learns that a path's queues are all on the way back, and corrects for it", () => {
    const estimator = new SourceEstimator(1e-6)
    const end = feed(estimator, { there: 1e-9, back: 1e-3, count: 300 })
    expect(estimator.asymmetry()).toBeLessThan(-0.4)
    expect(Math.abs(estimator.estimate(end)?.offset ?? 1)).toBeLessThan(1e-4)
  })

  it("is hardly moved by an outlier, and follows a step that lasts", () => {
    const estimator = new SourceEstimator(1e-6)
    const end = feed(estimator, {})
    const add = (i: number, offset: number) =>
      estimator.add({ time: end + i * 64, offset, delay: 0.0101, dispersion: 1e-6 })
    expect(add(1, 0.1)).toBe("outlier")
    expect(Math.abs(estimator.estimate(end + 64)?.offset ?? 1)).toBeLessThan(1e-3)
    expect(add(2, 0)).toBe("used")
    expect([3, 4, 5, 6].map((i) => add(i, 0.1))).toEqual(["outlier", "outlier", "outlier", "stepped"])
    expect(estimator.estimate(end + 6 * 64)?.offset).toBeCloseTo(0.1, 4)
  })

  it("follows a change of frequency", () => {
    const estimator = new SourceEstimator(1e-6)
    feed(estimator, {})
    const end = feed(estimator, { frequency: 2e-6, offset: -2e-6 * 6400, from: 6400 })
    expect(estimator.estimate(end)?.frequency).toBeCloseTo(2e-6, 7)
  })

  it("takes a step of our own clock as what it is", () => {
    const [plain, stepped] = [new SourceEstimator(1e-6), new SourceEstimator(1e-6)]
    const end = feed(plain, { frequency: 1e-5 })
    feed(stepped, { frequency: 1e-5 })
    stepped.clockStepped(1e6)
    expect(stepped.estimate(end)?.offset).toBeCloseTo((plain.estimate(end)?.offset ?? 0) - 1e6, 9)
    expect(stepped.add({ time: end + 64, offset: 1e-5 * (end + 64) - 1e6, delay: 0.0101, dispersion: 1e-6 })).toBe(
      "used"
    )
  })

  it("believes a drift file, unless samples say otherwise", () => {
    const told = new SourceEstimator(1e-6, { value: 50e-6, deviation: 1e-6 })
    feed(told, { frequency: 50e-6, count: 2, interval: 2 })
    expect(told.estimate(2)?.frequency).toBeCloseTo(50e-6, 6)
    const lied = new SourceEstimator(1e-6, { value: 50e-6, deviation: 1e-6 })
    const end = feed(lied, { frequency: -3e-3, count: 4 })
    expect(lied.estimate(end)?.frequency).toBeCloseTo(-3e-3, 5)
  })

  it("keeps its variances positive where samples are exact and frequencies absurd", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -0.1, max: 0.1, noNaN: true }),
        fc.constantFrom(1e-9, 1e-7, 1e-3),
        (frequency, precision) => {
          const estimator = new SourceEstimator(precision)
          for (let i = 0; i < 40; i += 1) {
            estimator.add({ time: i * 1024, offset: frequency * i * 1024, delay: 1e-6, dispersion: 0 })
            const found = estimator.estimate(i * 1024)
            expect(found?.offsetVariance).toBeGreaterThan(0)
            expect(found?.frequencyVariance).toBeGreaterThan(0)
          }
          expect(estimator.estimate(39 * 1024)?.frequency).toBeCloseTo(frequency, 7)
        }
      ),
      { numRuns: 50 }
    )
  })

  it("names what it refuses", () => {
    const estimator = new SourceEstimator(1e-6)
    const sample = { time: 1, offset: 0, delay: 0.01, dispersion: 0 }
    expect(estimator.estimate(0)).toBeUndefined()
    expect(estimator.add(sample)).toBe("used")
    expect(estimator.add(sample)).toBe("time-not-later")
    expect(estimator.add({ ...sample, time: 2, offset: Number.NaN })).toBe("offset-not-finite")
    expect(estimator.add({ ...sample, time: 2, delay: Number.POSITIVE_INFINITY })).toBe("delay-not-finite")
    expect(estimator.add({ ...sample, time: 2, delay: 70_000 })).toBe("delay-out-of-range")
    expect(estimator.add({ ...sample, time: 1e13 })).toBe("time-out-of-range")
    expect(estimator.add({ ...sample, time: 2, dispersion: -1 })).toBe("dispersion-out-of-range")
  })

  it("never says NaN, whatever it is fed", () => {
    const value = fc.oneof(
      fc.double(),
      fc.double({ min: -10, max: 10, noNaN: true }),
      fc.constantFrom(0, 1e-300, 1e300, -0)
    )
    const sample = fc.record({ time: value, offset: value, delay: value, dispersion: value })
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 30 }), (samples) => {
        const estimator = new SourceEstimator(1e-6)
        for (const one of samples.toSorted((a, b) => a.time - b.time)) estimator.add(one)
        const found = estimator.estimate(20)
        expect(Object.values(found ?? {}).some(Number.isNaN)).toBe(false)
      })
    )
  })
})

describe("delay floor", () => {
  it("is the least of a week, however many samples that is, and forgets what is older", () => {
    const floor = new DelayFloor()
    expect(floor.add(0, 0.02)).toEqual({ change: 0, route: false })
    expect(floor.add(16, 0.01)).toEqual({ change: -0.01, route: false })
    for (let t = 32; t < 7 * 86_400; t += 64) floor.add(t, 0.012 + (t % 5) * 0.01)
    expect(floor.least).toBe(0.01)
    for (let t = 7 * 86_400; t < 7.3 * 86_400; t += 64) floor.add(t, 0.012 + (t % 5) * 0.01)
    expect(floor.least).toBe(0.012)
  })

  it("moves up when every delay has leapt, and has stayed so for eight samples", () => {
    const floor = new DelayFloor()
    for (let i = 0; i < 20; i += 1) floor.add(i, 0.01 + (i % 3) * 0.001)
    const changes = Array.from({ length: 8 }, (_, i) => floor.add(20 + i, 0.05 + (i % 3) * 0.001))
    expect(changes.map((it) => it.route)).toEqual([false, false, false, false, false, false, false, true])
    expect(floor.least).toBe(0.05)
  })

  it("takes no queue for a new route that grows through all delays between", () => {
    const floor = new DelayFloor()
    for (let i = 0; i < 100; i += 1) expect(floor.add(i * 64, 0.016 + i * 0.0002 + (i % 3) * 0.0001).route).toBe(false)
    expect(floor.least).toBe(0.016)
  })

  it("finds the lower quarter, whatever the rest does", () => {
    const floor = new DelayFloor()
    for (let i = 0; i < 64; i += 1) floor.add(i, i % 3 === 0 ? 0.0101 + (i % 4) * 1e-5 : 0.05 + i)
    expect(floor.unseen).toBeLessThan(5e-5)
  })
})

describe("scatter", () => {
  it("finds noise that delays do not show, and is not misled by frequency or a spike", () => {
    const scatter = new Scatter()
    const random = noise(3)
    for (let i = 0; i < 60; i += 1) {
      const gaussian = Array.from({ length: 12 }, random).reduce((a, b) => a + b, -6)
      scatter.add(i * 16, 1e-3 * i + 1e-4 * gaussian + (i === 55 ? 5 : 0), 1e-12, 1e-6)
    }
    expect(Math.sqrt(scatter.unexplained)).toBeGreaterThan(0.4e-4)
    expect(Math.sqrt(scatter.unexplained)).toBeLessThan(2.5e-4)
    const line = new Scatter()
    for (let i = 0; i < 20; i += 1) line.add(i * 64, i * 0.5, 1e-12, 1e-6)
    expect(line.unexplained).toBe(0)
  })
})

describe("frequency memory", () => {
  it("goes on with the newest for minutes, with the average for as long as one must do without", () => {
    const memory = new FrequencyMemory()
    for (let t = 0; t < 86_400; t += 16) memory.add(1e-4 * Math.sin((2 * Math.PI * t) / 1000), 16)
    expect(memory.after(60, 9e-5)).toBe(9e-5)
    expect(Math.abs(memory.after(50_000, 9e-5))).toBeLessThan(2e-6)
    expect(memory.deviation(50_000)).toBeGreaterThan(6e-5)
    expect(memory.deviation(50_000)).toBeLessThan(8e-5)
  })

  it("knows a steady change of frequency, once it has seen enough of it", () => {
    const memory = new FrequencyMemory()
    for (let t = 0; t < 86_400; t += 64) memory.add(1e-11 * t, 64)
    expect(memory.drift() / 1e-11).toBeCloseTo(1, 1)
    const young = new FrequencyMemory()
    for (let t = 0; t < 3600; t += 64) young.add(1e-11 * t, 64)
    expect(young.drift()).toBe(0)
  })

  it("remembers nothing of nonsense", () => {
    const memory = new FrequencyMemory()
    memory.add(Number.NaN, 10)
    memory.add(1, Number.NaN)
    memory.add(1, -1)
    expect(memory.after(1e9, 3e-6)).toBe(3e-6)
    expect(memory.deviation(1e9)).toBe(0)
  })
})
