import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { combineEstimates } from "../src/combine-estimates.ts"
import { adaptPoll } from "../src/poll-interval.ts"
import type { OffsetEstimate } from "../src/source-estimator.ts"

const estimate = (offset: number, deviation: number): OffsetEstimate => ({
  offset,
  frequency: offset / 1000,
  offsetVariance: deviation ** 2,
  covariance: 0,
  frequencyVariance: deviation ** 2,
  wander: 0
})

describe("combining estimates", () => {
  it("stays within the hull, and is no surer than its members", () => {
    const member = fc.record({
      estimate: fc
        .tuple(fc.double({ min: -1e9, max: 1e9, noNaN: true }), fc.double({ min: 1e-9, max: 1, noNaN: true }))
        .map(([o, d]) => estimate(o, d)),
      delay: fc.double({ min: 0, max: 2, noNaN: true })
    })
    fc.assert(
      fc.property(fc.array(member, { minLength: 1, maxLength: 8 }), (members) => {
        const combined = combineEstimates(members)
        const offsets = members.map((it) => it.estimate.offset)
        const slack = 1e-6 + 1e-12 * Math.max(...offsets.map(Math.abs))
        expect(combined?.offset).toBeGreaterThanOrEqual(Math.min(...offsets) - slack)
        expect(combined?.offset).toBeLessThanOrEqual(Math.max(...offsets) + slack)
        const least = Math.min(...members.map((it) => it.estimate.offsetVariance))
        expect(combined?.offsetVariance).toBeGreaterThanOrEqual(least * (1 - 1e-9))
      })
    )
    expect(combineEstimates([])).toBeUndefined()
  })

  it("prefers the near one, since a far path may be asymmetric by more", () => {
    const combined = combineEstimates([
      { estimate: estimate(0, 1e-5), delay: 0.001 },
      { estimate: estimate(0.05, 1e-5), delay: 1 }
    ])
    expect(combined?.offset).toBeLessThan(1e-4)
  })
})

describe("poll interval", () => {
  it("grows when the clock would keep, shrinks when it would not, and stays within its limits", () => {
    const sure = estimate(0, 1e-9)
    const unsure: OffsetEstimate = { ...estimate(0, 1e-6), frequencyVariance: 1e-4 ** 2 }
    let poll = { exponent: 6, count: 0 }
    const longer = Array.from({ length: 40 }, () => (poll = adaptPoll(poll, sure, 1e-3, 0, 6, 9)).exponent)
    expect([...new Set(longer)]).toEqual([6, 7, 8, 9])
    const shorter = Array.from({ length: 40 }, () => (poll = adaptPoll(poll, unsure, 1e-3, 0, 6, 9)).exponent)
    expect([...new Set(shorter)]).toEqual([9, 8, 7, 6])
    expect(adaptPoll({ exponent: 14, count: 0 }, sure, 1, 0, 6, 10).exponent).toBe(10)
  })
})
