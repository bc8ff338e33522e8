import { describe, expect, it } from "vitest"
import {
  type ClockCurve,
  correctionAt,
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
    const line = curve({ baseSeconds: 1_000, offset: -0.75, frequency: 1e-3 })
    expect(correctionAt(line, 1_010, 500_000_000)).toBeCloseTo(-0.7395, 15)
    expect(correctionAt(line, 999, 0)).toBeCloseTo(-0.751, 15)
  })
  it("leaves a right clock alone", () => expect(correctionAt(curve({}), 5, 7)).toBe(0))
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
