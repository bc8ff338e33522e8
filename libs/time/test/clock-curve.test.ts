import { describe, expect, it } from "vitest"
import {
  type ClockCurve,
  correctInPlace,
  isSynchronised,
  Leap,
  rootDispersionAt,
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
  it("adds the offset and the slope times the age", () => {
    const time = { seconds: 1_010, nanoseconds: 500_000_000 }
    correctInPlace(curve({ baseSeconds: 1_000, offset: -0.75, frequency: 1e-3 }), time)
    expect(time).toEqual({ seconds: 1_009, nanoseconds: 760_500_000 })
  })
  it("leaves a right clock alone", () => {
    const time = { seconds: 5, nanoseconds: 7 }
    correctInPlace(curve({}), time)
    expect(time).toEqual({ seconds: 5, nanoseconds: 7 })
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
