import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { secondsToShort, SHORT_MAX, shortToSeconds } from "@meridian/time/short"

describe("the short format", () => {
  it.each([
    [0, 0],
    [1, 0x10000],
    [0.5, 0x8000],
    [1e-9, 1],
    [65535.99999, SHORT_MAX],
    [1e9, SHORT_MAX],
    [Infinity, SHORT_MAX],
    [-1, 0],
    [Number.NaN, 0]
  ])("%d s is %d", (seconds, short) => expect(secondsToShort(seconds)).toBe(short))

  it("never claims less than it was given, and at most one unit more", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 65_535, noNaN: true }), (seconds) => {
        const back = shortToSeconds(secondsToShort(seconds))
        expect(back).toBeGreaterThanOrEqual(seconds)
        expect(back - seconds).toBeLessThanOrEqual(2 ** -16)
      })
    )
  })
})
