import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  NUMBERING_LIMIT,
  ReferenceFilter,
  referenceRootDispersion,
  type ReferenceSample
} from "../src/reference-filter.ts"
import {
  LONGEST_AGE,
  LONGEST_AGE_OF_DATAGRAMS,
  readingRejection,
  type ReferenceReading
} from "../src/reference-reading.ts"
import { sampleRejection } from "../src/sample.ts"

const START = 1_700_000_000

const reading = (seconds: number, offset: number, change: Partial<ReferenceReading> = {}): ReferenceReading => {
  const whole = Math.floor(seconds)
  const system = { seconds: START + whole, nanoseconds: Math.round((seconds - whole) * 1e9) }
  return { system, offset, leap: 0, precision: -20, pulse: false, ...change }
}

/** CLOCK_REALTIME and CLOCK_MONOTONIC when so many seconds have passed. */
const moment = (seconds: number) => ({ ...reading(seconds, 0).system, monotonic: 100 + seconds })

const filterWith = (correction = 0, difference = Infinity): ReferenceFilter =>
  new ReferenceFilter({ correction, difference })

/** Takes one reading a second, each told 0.2 s after it was taken. */
const read = (
  filter: ReferenceFilter,
  offsets: readonly number[],
  change: Partial<ReferenceReading> = {},
  from = 0
): void => {
  for (const [index, offset] of offsets.entries())
    expect(filter.add(reading(from + index, offset, change), moment(from + index + 0.2))).toBe("taken")
}

const sampleOf = (sample: ReferenceSample | string): ReferenceSample => {
  if (typeof sample === "string") throw new Error(`no sample: ${sample}`)
  return sample
}

describe("readings", () => {
  it.each<[string, ReferenceReading]>([
    ["not-finite", reading(0, NaN)],
    ["not-finite", reading(0, Infinity)],
    ["not-finite", { ...reading(0, 0), system: { seconds: NaN, nanoseconds: 0 } }],
    ["nanoseconds", { ...reading(0, 0), system: { seconds: START, nanoseconds: 1e9 } }],
    ["nanoseconds", { ...reading(0, 0), system: { seconds: START, nanoseconds: -1 } }],
    ["nanoseconds", { ...reading(0, 0), system: { seconds: START, nanoseconds: NaN } }],
    ["leap", reading(0, 0, { leap: 4 })],
    ["leap", reading(0, 0, { leap: -1 })],
    ["leap", reading(0, 0, { leap: 0.5 })],
    ["precision", reading(0, 0, { precision: NaN })],
    ["precision", reading(0, 0, { precision: 1_000_000 })],
    ["stale", reading(-LONGEST_AGE - 0.01, 0)],
    ["stale", reading(-86_400 * 365, 0)],
    ["future", reading(0.11, 0)],
    ["future", reading(86_400 * 365 * 30, 0)],
    ["difference", reading(0, 3_601)],
    ["difference", reading(0, -3_601)]
  ])("are refused as %s", (reason, bad) => {
    const filter = filterWith(0, 3_600)
    expect(filter.add(bad, moment(0))).toBe(reason)
    expect(filter.poll(0, undefined)).toBe("no-reading")
  })

  it("of datagrams are refused at two seconds, as chronyd refuses them", () => {
    const judged = (age: number) =>
      readingRejection(reading(-age, 0), moment(0), undefined, Infinity, LONGEST_AGE_OF_DATAGRAMS)
    expect([1.9, 2.01].map(judged)).toEqual([undefined, "stale"])
  })

  it("are refused when they are not later than the last", () => {
    const filter = filterWith()
    expect(filter.add(reading(1, 0), moment(1))).toBe("taken")
    expect(filter.add(reading(1, 0), moment(1.5))).toBe("repeated")
    expect(filter.add(reading(0.9, 0), moment(1.5))).toBe("repeated")
    expect(filter.add(reading(1.1, 0), moment(1.5))).toBe("taken")
    // A refused one is not what the next is held against.
    expect(filter.add(reading(1.6, NaN), moment(1.5))).toBe("not-finite")
    expect(filter.add(reading(1.2, 0), moment(1.5))).toBe("taken")
  })

  it("are within every limit when none is named", () => {
    const any = fc.double()
    fc.assert(
      fc.property(
        fc.record({ seconds: any, nanoseconds: any, offset: any, leap: any, precision: any, pulse: fc.boolean() }),
        fc.double({ min: 1, max: 86_400, noNaN: true }),
        ({ seconds, nanoseconds, ...rest }, difference) => {
          const near = { seconds: START + (Math.round(seconds) % 8), nanoseconds: Math.abs(nanoseconds % 2e9) }
          for (const system of [{ seconds, nanoseconds }, near]) {
            for (const leap of [rest.leap, 1]) {
              const one = { ...rest, leap, precision: Math.max(-99, rest.precision % 30), system }
              if (readingRejection(one, moment(0), undefined, difference) !== undefined) continue
              expect(Number.isFinite(one.offset)).toBe(true)
              expect(one.pulse || Math.abs(one.offset) <= difference).toBe(true)
              expect([0, 1, 2, 3]).toContain(one.leap)
              expect(Math.abs(one.system.seconds - START)).toBeLessThanOrEqual(LONGEST_AGE + 1)
            }
          }
        }
      ),
      { numRuns: 1_000 }
    )
  })
})

describe("the prefilter", () => {
  it("averages what is left without the two fifths that are farthest from the median", () => {
    const filter = filterWith()
    read(filter, [0.01, 0.011, 0.9, 0.012, -0.7, 0.013, 0.3, 0.014, 0.2, 0.012])
    const sample = sampleOf(filter.poll(0, undefined))
    // 10 … 14 ms: the four wild ones are gone.
    expect(sample.offset).toBeCloseTo(0.012, 6)
    expect(sample.dispersion).toBeLessThan(0.0015)
    expect(sample).toMatchObject({ delay: 0, readings: 10, leap: 0, pulse: false })
    expect(filter.poll(0, undefined)).toBe("no-reading")
  })

  it("adds time1", () => {
    const filter = filterWith(-0.25)
    read(filter, [0.1])
    expect(sampleOf(filter.poll(0, undefined)).offset).toBeCloseTo(-0.15, 12)
  })

  it("takes out what steering added to the clock by the time of each reading", () => {
    const filter = filterWith()
    // Ten microseconds a second are being slewed: the oscillator stays 0.5 s off.
    const added = (monotonic: number): number => (monotonic - 100) * 1e-5
    for (let second = 0; second < 20; second += 1)
      expect(filter.add(reading(second, 0.5 - second * 1e-5), moment(second + 0.2), added)).toBe("taken")
    expect(sampleOf(filter.poll(0, undefined)).offset).toBeCloseTo(0.5, 9)
  })

  it("takes the time of a reading from when it was taken, not told", () => {
    const filter = filterWith()
    read(filter, [0.1], {}, 3)
    expect(sampleOf(filter.poll(0, undefined)).time).toBeCloseTo(103, 6)
  })

  it("stays on the line of a clock that runs off, whether its frequency is known or not", () => {
    const frequency = 80e-6
    const offsets = Array.from({ length: 60 }, (_, index) => 0.5 + frequency * index)
    for (const known of [0, frequency]) {
      const filter = filterWith()
      read(filter, offsets)
      const { time, offset, dispersion } = sampleOf(filter.poll(known, undefined))
      expect(offset).toBeCloseTo(0.5 + frequency * (time - 100), 9)
      // Unknown, it looks like scatter: at most what the clock ran off by.
      expect(dispersion).toBeLessThan(known === 0 ? 60 * frequency : 1e-5)
    }
  })

  it("keeps the newest when more come than fit, and none over a step", () => {
    const filter = filterWith()
    read(
      filter,
      Array.from({ length: 200 }, (_, index) => (index < 136 ? 7 : 1))
    )
    expect(sampleOf(filter.poll(0, undefined))).toMatchObject({ offset: 1, readings: 64 })
    read(filter, [1, 1], {}, 300)
    filter.clockStepped()
    expect(filter.poll(0, undefined)).toBe("no-reading")
    // The clock went back: what it reads now is not held against what it read before.
    read(filter, [2], {}, 200)
    expect(sampleOf(filter.poll(0, undefined)).offset).toBe(2)
  })

  it("believes a fix only, once there is one", () => {
    const filter = filterWith()
    read(filter, [5, 5, 5], { leap: 3 })
    expect(sampleOf(filter.poll(0, undefined)).leap).toBe(3)
    read(filter, [5, 5, 5], { leap: 3 }, 10)
    read(filter, [0.1], { leap: 1 }, 20)
    expect(sampleOf(filter.poll(0, undefined))).toMatchObject({ offset: 0.1, leap: 1 })
  })

  it("takes the coarsest claim at its word, as an error that lasts and not as scatter", () => {
    const claiming = (...precisions: readonly number[]): ReferenceSample => {
      const filter = filterWith()
      for (const [index, precision] of precisions.entries()) read(filter, [0], { precision }, index)
      return sampleOf(filter.poll(0, undefined))
    }
    expect(claiming(-1).dispersion).toBe(0.005)
    expect(claiming(-10).dispersion).toBe(2 ** -10)
    expect(claiming(-20, -1, -20).precision).toBe(-1)
    expect(referenceRootDispersion(claiming(-1))).toBe(0.5)
  })

  it("gives samples that the estimator takes, and whose offset lies among the readings", () => {
    const offset = fc.double({ min: -1e6, max: 1e6, noNaN: true })
    fc.assert(
      fc.property(fc.array(offset, { minLength: 1, maxLength: 80 }), (offsets) => {
        const filter = filterWith()
        read(filter, offsets)
        const sample = sampleOf(filter.poll(0, undefined))
        const newest = offsets.slice(-64)
        const [low, high] = [Math.min(...newest), Math.max(...newest)]
        expect(sample.offset).toBeGreaterThanOrEqual(low - 1e-6)
        expect(sample.offset).toBeLessThanOrEqual(high + 1e-6)
        expect([undefined, "dispersion-out-of-range"]).toContain(sampleRejection(sample))
        expect(high - low >= 10 || sampleRejection(sample) === undefined).toBe(true)
      })
    )
  })
})

describe("pulses", () => {
  const pulse = { pulse: true }

  it("are numbered by another source, across any number of seconds and either way of writing their phase", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -5_000, max: 5_000 }),
        fc.double({ min: -0.49, max: 0.49, noNaN: true }),
        fc.double({ min: -0.39, max: 0.39, noNaN: true }),
        (second, phase, error) => {
          const filter = filterWith()
          read(filter, [phase, phase + 1, phase - 1, phase, phase], pulse)
          const numbering = { offset: second + phase + error, leap: 1 }
          const sample = sampleOf(filter.poll(0, numbering))
          expect(sample.offset).toBeCloseTo(second + phase, 6)
          expect(sample).toMatchObject({ pulse: true, leap: 1 })
          expect(sample.dispersion).toBeLessThan(1e-5)
        }
      )
    )
  })

  it("near half a second are one pulse, not two", () => {
    const filter = filterWith()
    read(filter, [0.49999, -0.49999, 0.49998, -0.49998, 0.5], pulse)
    const sample = sampleOf(filter.poll(0, { offset: 12.5, leap: 0 }))
    expect(sample.offset).toBeCloseTo(12.5, 4)
    expect(sample.dispersion).toBeLessThan(1e-4)
  })

  it("stay without a number where nobody gives one, or one too far off", () => {
    const filter = filterWith()
    read(filter, [0.1], pulse)
    expect(filter.poll(0, undefined)).toBe("unnumbered")
    read(filter, [0.1], pulse, 10)
    expect(filter.poll(0, { offset: 7.1 + NUMBERING_LIMIT + 0.05, leap: 0 })).toBe("unnumbered")
    read(filter, [0.1], pulse, 20)
    expect(filter.poll(0, { offset: NaN, leap: 0 })).toBe("unnumbered")
  })

  it("do not mix with numbered seconds", () => {
    const filter = filterWith()
    read(filter, [100, 100])
    read(filter, [0.1], pulse, 10)
    expect(sampleOf(filter.poll(0, { offset: 0, leap: 0 })).offset).toBeCloseTo(0.1, 9)
  })
})
