import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  differenceSeconds,
  fractionNanoseconds,
  fromUnix,
  ntpFraction,
  ntpSeconds,
  ntpTimestamp,
  shiftInPlace,
  unixDifferenceSeconds,
  unixSeconds
} from "@meridian/time/timestamp"

const at = (text: string): number => Date.parse(text) / 1000

describe("eras", () => {
  it.each([
    ["1900-01-01T00:00:00Z", 0],
    ["1970-01-01T00:00:00Z", 2_208_988_800],
    ["2036-02-07T06:28:15Z", 0xffffffff],
    ["2036-02-07T06:28:16Z", 0],
    ["2104-02-26T09:42:24Z", 0x80000000],
    ["2172-03-15T12:56:32Z", 0],
    ["1899-12-31T23:59:59Z", 0xffffffff]
  ])("%s is second %d of its era", (text, seconds) => {
    expect(ntpSeconds(at(text))).toBe(seconds)
  })

  it.each([
    // What a reader in the given year makes of the same 32 bits.
    [0, "2026-11-21T00:00:00Z", "2036-02-07T06:28:16Z"],
    [0xffffffff, "2040-01-01T00:00:00Z", "2036-02-07T06:28:15Z"],
    [3_000_000_000, "2026-01-01T00:00:00Z", "1995-01-25T05:20:00Z"],
    [3_000_000_000, "2104-03-01T00:00:00Z", "2131-03-03T11:48:16Z"],
    [0x7fffffff, "2104-02-26T09:42:24Z", "2104-02-26T09:42:23Z"],
    [0x80000000, "2104-02-26T09:42:23Z", "2104-02-26T09:42:24Z"]
  ])("%d read in %s is %s", (seconds, now, expected) => {
    expect(unixSeconds(seconds, at(now))).toBe(at(expected))
  })

  it("reads back any second within 68 years of the pivot", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -3e9, max: 2e10 }),
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        (pivot, distance) => {
          expect(unixSeconds(ntpSeconds(pivot + distance), pivot)).toBe(pivot + distance)
        }
      )
    )
  })
})

describe("fractions", () => {
  it("keeps nanoseconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_999_999 }), (nanos) => {
        expect(fractionNanoseconds(ntpFraction(nanos))).toBe(nanos)
      })
    )
  })
  it("never carries into the seconds", () => {
    expect(ntpFraction(999_999_999.9)).toBe(0xffffffff)
    expect(fractionNanoseconds(0xffffffff)).toBe(999_999_999)
  })
})

describe("timestamps", () => {
  const moment = fc.record({
    seconds: fc.integer({ min: 0, max: 2 ** 32 }),
    nanoseconds: fc.integer({ min: 0, max: 999_999_999 })
  })
  it("turns into UTC and back", () => {
    fc.assert(
      fc.property(moment, (time) => {
        const timestamp = fromUnix(time)
        expect(unixSeconds(Number(timestamp >> 32n), time.seconds)).toBe(time.seconds)
        expect(fractionNanoseconds(Number(timestamp & 0xffffffffn))).toBe(time.nanoseconds)
      })
    )
  })
  it("subtracts across the end of an era", () => {
    const before = ntpTimestamp(0xffffffff, 0x80000000)
    const after = ntpTimestamp(0, 0x40000000)
    expect(differenceSeconds(after, before)).toBe(0.75)
    expect(differenceSeconds(before, after)).toBe(-0.75)
  })
  it("agrees with subtraction of UTC", () => {
    fc.assert(
      fc.property(moment, fc.double({ min: -1e6, max: 1e6, noNaN: true }), (time, shift) => {
        const moved = { ...time }
        shiftInPlace(moved, shift)
        expect(moved.nanoseconds).toBeGreaterThanOrEqual(0)
        expect(moved.nanoseconds).toBeLessThan(1e9)
        expect(unixDifferenceSeconds(moved, time)).toBeCloseTo(shift, 8)
        expect(differenceSeconds(fromUnix(moved), fromUnix(time))).toBeCloseTo(shift, 8)
      })
    )
  })
})
