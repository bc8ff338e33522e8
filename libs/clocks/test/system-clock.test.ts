import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { loadNative } from "@meridian/system/native"
import { fallbackClock, nativeClock, precisionOf, RealtimeEstimate, systemClock } from "../src/system-clock.ts"

const addon = loadNative().addon!
const clocks = { native: () => nativeClock(addon), fallback: fallbackClock }

describe.each(["native", "fallback"] as const)("%s system clock", (kind) => {
  const clock = clocks[kind]()

  it("reads CLOCK_REALTIME", () => {
    const time = { seconds: 0, nanoseconds: 0 }
    for (let reading = 0; reading < 100; reading++) {
      const before = Date.now() / 1e3
      clock.wall.read(time)
      const after = Date.now() / 1e3
      const seconds = time.seconds + time.nanoseconds / 1e9
      expect(Number.isInteger(time.seconds)).toBe(true)
      expect(time.nanoseconds).toBeGreaterThanOrEqual(0)
      expect(time.nanoseconds).toBeLessThan(1e9)
      expect(seconds).toBeGreaterThan(before - 0.002)
      expect(seconds).toBeLessThan(after + 0.002)
    }
  })

  it("reads CLOCK_MONOTONIC, the one that every process of this boot shares", () => {
    const seconds = (): number => Number(process.hrtime.bigint()) / 1e9
    let last = 0
    for (let reading = 0; reading < 1000; reading++) {
      const before = seconds()
      const now = clock.monotonic.seconds()
      expect(now).toBeGreaterThanOrEqual(Math.max(last, before - 1e-4))
      expect(now).toBeLessThanOrEqual(seconds() + 1e-4)
      last = now
    }
  })

  it("measures a precision that fits the header and is finer than a millisecond", () => {
    const precision = clock.measurePrecision()
    expect(Number.isInteger(precision)).toBe(true)
    expect(precision).toBeGreaterThanOrEqual(-32)
    expect(precision).toBeLessThan(-9)
  })
})

describe("native readClocks", () => {
  it("refuses anything but a Float64Array of three", () => {
    for (const wrong of [undefined, 1, [0, 0, 0], new Float64Array(2), new Uint8Array(24), new Float32Array(3)])
      expect(() => addon.readClocks(wrong as Float64Array)).toThrow(TypeError)
  })
})

describe("systemClock", () => {
  it("is the addon's where there is one", () => expect(systemClock().kind).toBe("native"))
})

describe("precisionOf", () => {
  it.each([
    [1, 0],
    [1e-3, -9],
    [1e-6, -19],
    [2 ** -20, -20],
    [25e-9, -25],
    [0, -32],
    [3, 0]
  ])("of a step of %d s is %i", (step, precision) => expect(precisionOf(step)).toBe(precision))
})

describe("RealtimeEstimate", () => {
  const difference = 1_795_000_000_000.4

  it("is never more than a millisecond off, and nearly right once it has seen a millisecond's edge", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 0.05, noNaN: true }), { minLength: 150 }), (steps) => {
        const estimate = new RealtimeEstimate()
        let monotonic = 1000
        let error = 0
        for (const step of steps) {
          monotonic += step
          error = Math.abs(estimate.update(monotonic, Math.floor(monotonic + difference)) - (monotonic + difference))
          expect(error).toBeLessThanOrEqual(1.001)
        }
        expect(error).toBeLessThan(0.06)
      })
    )
  })

  it.each([-3_600_000, -2, 2, 3_600_000])("follows a step of %i ms at once", (step) => {
    const estimate = new RealtimeEstimate()
    estimate.update(1000, Math.floor(1000 + difference))
    const stepped = 1001 + difference + step
    expect(Math.abs(estimate.update(1001, Math.floor(stepped)) - stepped)).toBeLessThanOrEqual(1.001)
  })
})
