import { describe, expect, it } from "vitest"
import {
  type ClockCurve,
  isSynchronised,
  Leap,
  rootDispersionAt,
  servedTimeAt,
  unsynchronisedCurve
} from "@meridian/time/clock-curve"

const curve = (change: Partial<ClockCurve>): ClockCurve => ({
  ...unsynchronisedCurve(),
  leap: Leap.none,
  stratum: 2,
  deadline: 100,
  ...change
})

describe("a clock curve", () => {
  it("adds the offset and the age by its own rate", () => {
    const line = curve({ baseSeconds: 1_000, baseMonotonic: 50, offset: -0.75, frequency: 1e-3 })
    expect(servedTimeAt(line, 60.5)).toEqual({ seconds: 1_009, nanoseconds: 760_500_000 })
    expect(servedTimeAt(line, 49)).toEqual({ seconds: 998, nanoseconds: 249_000_000 })
  })
  it("claims less with age, and never less than at base", () => {
    const aging = curve({ baseMonotonic: 10, rootDispersion: 0.5, dispersionRate: 15e-6 })
    expect(rootDispersionAt(aging, 1_010)).toBeCloseTo(0.515, 12)
    expect(rootDispersionAt(aging, 5)).toBe(0.5)
  })
  it("vouches for nothing past its deadline, before it was set, or at stratum 16", () => {
    expect(isSynchronised(curve({}), 100)).toBe(true)
    expect(isSynchronised(curve({}), 100.001)).toBe(false)
    expect(isSynchronised(curve({ leap: Leap.unsynchronised }), 1)).toBe(false)
    expect(isSynchronised(curve({ stratum: 16 }), 1)).toBe(false)
    expect(isSynchronised(unsynchronisedCurve(), 0)).toBe(false)
  })
})
