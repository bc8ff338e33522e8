import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ClockFilter, emptyClockFilter, filterMiss, filterOutput, filterSample } from "../src/clock-filter.ts"
import { isPopcornSpike } from "../src/popcorn.ts"
import type { ClockSample } from "../src/sample.ts"

const shift = (filter: ClockFilter, sample: ClockSample): ClockFilter => {
  const next = filterSample(filter, sample)
  if (typeof next === "string") throw new Error(next)
  return next
}

const filled = (samples: readonly ClockSample[]): ClockFilter => samples.reduce(shift, emptyClockFilter)

const at = (time: number, offset: number, delay: number, dispersion = 0): ClockSample => ({
  time,
  offset,
  delay,
  dispersion
})

describe("clock filter (RFC 5905 §10)", () => {
  it("lets the sample of least delay speak", () => {
    const filter = filled([at(0, 0.004, 0.05), at(64, 0.001, 0.02), at(128, 0.009, 0.08)])
    expect(filterOutput(filter, 128, 1e-6)).toMatchObject({ time: 64, offset: 0.001, delay: 0.02 })
  })

  it("prefers the newer of two samples with the same delay", () => {
    expect(filterOutput(filled([at(0, 1, 0.02), at(64, 2, 0.02)]), 64, 1e-6)?.offset).toBe(2)
  })

  it("weighs dispersions by halves in order of delay, empty stages as 16 s", () => {
    // One sample of dispersion 1 ms: 0.001/2, and 16 s in stages 2 … 8: 16·(1/4+…+1/256) = 16·(0.5 - 1/256).
    const one = filterOutput(filled([at(0, 0, 0.01, 0.001)]), 0, 1e-6)
    expect(one?.dispersion).toBeCloseTo(0.0005 + 16 * (0.5 - 1 / 256), 12)
    // Eight equal samples taken at once: 0.001·(1 - 1/256).
    const eight = filterOutput({ stages: Array.from({ length: 8 }, () => at(0, 0, 0.01, 0.001)) }, 0, 1e-6)
    expect(eight?.dispersion).toBeCloseTo(0.001 * (1 - 1 / 256), 12)
  })

  it("ages every stage by 15 ppm", () => {
    const filter = { stages: Array.from({ length: 8 }, () => at(0, 0, 0.01)) }
    expect(filterOutput(filter, 1000, 1e-6)?.dispersion).toBeCloseTo(0.015 * (1 - 1 / 256), 12)
    // 16 s is as bad as it gets, 12 days and more.
    expect(filterOutput(filter, 1e9, 1e-6)?.dispersion).toBeCloseTo(16 * (1 - 1 / 256), 9)
  })

  it("measures jitter against the chosen offset over n-1 samples, and never under the precision", () => {
    const output = filterOutput(filled([at(0, 3, 0.3), at(1, 0, 0.1), at(2, 4, 0.2)]), 2, 1e-6)
    expect(output?.jitter).toBeCloseTo(Math.sqrt((9 + 16) / 2), 12)
    expect(filterOutput(filled([at(0, 3, 0.3)]), 2, 1e-6)?.jitter).toBe(1e-6)
  })

  it("keeps eight stages, and drops one at each poll that has no answer", () => {
    const filter = filled(Array.from({ length: 11 }, (_, i) => at(i, i, 1)))
    expect(filter.stages.map((stage) => stage.offset)).toEqual([10, 9, 8, 7, 6, 5, 4, 3])
    expect(filterMiss(filter).stages).toHaveLength(7)
    expect(filterOutput(emptyClockFilter, 0, 1e-6)).toBeUndefined()
  })

  it("names what it refuses", () => {
    const filter = filled([at(10, 0, 0.1)])
    expect(filterSample(filter, at(10, 0, 0.1))).toBe("time-not-later")
    expect(filterSample(filter, at(Number.NaN, 0, 0.1))).toBe("time-not-finite")
    expect(filterSample(filter, at(11, Number.POSITIVE_INFINITY, 0.1))).toBe("offset-not-finite")
    expect(filterSample(filter, at(11, 3e9, 0.1))).toBe("offset-out-of-range")
    expect(filterSample(filter, at(11, 0, Number.NaN))).toBe("delay-not-finite")
    expect(filterSample(filter, at(11, 0, -1e-9))).toBe("delay-negative")
    expect(filterSample(filter, at(11, 0, 0.1, 16))).toBe("dispersion-out-of-range")
  })

  it("gives numbers or a name, whatever it is fed", () => {
    const anyNumber = fc.double({ noDefaultInfinity: false })
    const sample = fc.record({ time: anyNumber, offset: anyNumber, delay: anyNumber, dispersion: anyNumber })
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 20 }), (samples) => {
        let filter = emptyClockFilter
        for (const one of samples) {
          const next = filterSample(filter, one)
          if (typeof next !== "string") filter = next
        }
        const output = filterOutput(filter, filter.stages[0]?.time ?? 0, 1e-6)
        expect(output === undefined).toBe(filter.stages.length === 0)
        expect(Object.values(output ?? {}).every(Number.isFinite)).toBe(true)
        expect(output?.jitter ?? 1).toBeGreaterThanOrEqual(1e-6)
      })
    )
  })
})

describe("popcorn spike suppressor (RFC 5905 A.5.2)", () => {
  const question = { lastOffset: 0, offset: 0.01, jitter: 0.001, interval: 64, pollInterval: 64 }

  it("suppresses a leap of more than three jitters", () => {
    expect(isPopcornSpike(question)).toBe(true)
    expect(isPopcornSpike({ ...question, offset: -0.01 })).toBe(true)
    expect(isPopcornSpike({ ...question, offset: 0.003 })).toBe(false)
  })

  it("believes the leap once two poll intervals went by without use", () => {
    expect(isPopcornSpike({ ...question, interval: 127 })).toBe(true)
    expect(isPopcornSpike({ ...question, interval: 128 })).toBe(false)
  })
})
