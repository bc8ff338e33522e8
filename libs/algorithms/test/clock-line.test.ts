import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ClockLine, jumpTo, residueAt, servedLine, turnTo } from "../src/clock-line.ts"

describe("clock line", () => {
  const value = (limit: number) => fc.double({ min: -limit, max: limit, noNaN: true })

  it("turns without a jump, reaches the estimate, and is never faster than allowed", () => {
    fc.assert(
      fc.property(value(0.1), value(1e-4), value(0.1), value(1e-4), (o1, f1, o2, f2) => {
        const from: ClockLine = jumpTo(0, o1, f1)
        const to = turnTo(from, 100, o2, f2, 500e-6)
        expect(servedLine(to, 100).offset).toBeCloseTo(servedLine(from, 100).offset, 12)
        const { until, frequency } = servedLine(to, 100)
        expect(Math.abs(frequency - f2)).toBeLessThanOrEqual(500e-6 + 1e-15)
        expect(servedLine(to, until).offset).toBeCloseTo(o2 + f2 * (until - 100), 12)
        expect(residueAt(to, until)).toBeCloseTo(0, 15)
        expect(servedLine(to, until).until).toBe(Number.POSITIVE_INFINITY)
      })
    )
  })
})
