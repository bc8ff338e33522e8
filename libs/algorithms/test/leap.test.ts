import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { daysToMonth, nextMonth } from "@meridian/time/civil-date"
import { decideLeap } from "../src/leap.ts"
import {
  type LeapFile,
  LeapFileError,
  leapFileExpired,
  nextLeap,
  parseLeapFile,
  taiOffsetAt,
  verifyLeapFile
} from "@meridian/algorithms/leap-file"
import { smearAt, smearOfReferenceId, smearReferenceId } from "../src/smear.ts"

const published = readFileSync(new URL("./fixtures/leap-seconds.list", import.meta.url), "utf8")
const sha1 = (bytes: Uint8Array): Uint8Array => createHash("sha1").update(bytes).digest()
const utc = (iso: string): number => Date.parse(iso) / 1000

const parsed = (text: string): LeapFile => {
  const file = parseLeapFile(text)
  if (file instanceof LeapFileError) throw new Error(file.message)
  return file
}

const problem = (text: string): string => {
  const file = parseLeapFile(text)
  const checked = file instanceof LeapFileError ? file : verifyLeapFile(file, sha1)
  return checked instanceof LeapFileError ? checked.problem : "none"
}

/** A file with one leap second to come at the end of June 2040, its hash made by hand. */
const withFuture = (change: 1 | -1): LeapFile => ({
  updatedAt: utc("2040-01-01T00:00:00Z"),
  expiresAt: utc("2040-12-28T00:00:00Z"),
  entries: [
    { at: utc("2017-01-01T00:00:00Z"), taiOffset: 37 },
    { at: utc("2040-07-01T00:00:00Z"), taiOffset: 37 + change }
  ],
  hashed: "",
  hash: ""
})

describe("leap second file", () => {
  it("reads the published file and finds its hash right", () => {
    const file = parsed(published)
    expect(verifyLeapFile(file, sha1)).toBe(file)
    expect(file.entries).toHaveLength(28)
    expect(file.entries[0]).toEqual({ at: utc("1972-01-01T00:00:00Z"), taiOffset: 10 })
    expect(file.entries.at(-1)).toEqual({ at: utc("2017-01-01T00:00:00Z"), taiOffset: 37 })
  })

  it("knows TAI at any time, and the next leap second", () => {
    const file = parsed(published)
    expect(taiOffsetAt(file, utc("2016-12-31T23:59:59Z"))).toBe(36)
    expect(taiOffsetAt(file, utc("2017-01-01T00:00:00Z"))).toBe(37)
    expect(taiOffsetAt(file, utc("1971-12-31T23:59:59Z"))).toBeUndefined()
    expect(nextLeap(file, utc("2016-12-31T00:00:00Z"))).toEqual({ at: utc("2017-01-01T00:00:00Z"), change: 1 })
    expect(nextLeap(file, utc("2017-01-01T00:00:00Z"))).toBeUndefined()
  })

  it("expires at the second it names", () => {
    const file = parsed(published)
    expect(leapFileExpired(file, file.expiresAt - 1)).toBe(false)
    expect(leapFileExpired(file, file.expiresAt)).toBe(true)
  })

  it.each([
    ["hash-differs", published.replace("3692217600      37", "3692217601      37")],
    ["hash-differs", published.replace(/^3692217600.*\n/m, "")],
    ["not-one-second", published.replace(/^3644697600.*\n/m, "")],
    ["not-in-order", published.replace("3692217600      37", "3092217600      37")],
    ["bad-line", published.replace("3692217600      37", "3692217600 thirty-seven")],
    ["bad-line", published.replace("3692217600      37", "-3692217600      37")],
    ["no-expiry", published.replace(/^#@.*\n/m, "")],
    ["no-update-time", published.replace(/^#\$.*\n/m, "")],
    ["no-hash", published.replace(/^#h.*\n/m, "")],
    ["bad-hash-line", published.replace(/^#h.*\n/m, "#h 12345678 9\n")],
    ["no-entries", published.replace(/^\d.*\n/gm, "")],
    ["too-long", " ".repeat(1_000_001)]
  ])("refuses with %s", (name, text) => {
    expect(problem(text)).toBe(name)
  })

  it("reads words of the hash whose leading zeros were dropped", () => {
    const padded = published.replace(/^#h.*$/m, "#h 1 2 3 4 5")
    expect(parsed(padded).hash).toBe("00000001".concat("00000002", "00000003", "00000004", "00000005"))
  })

  it("never throws, whatever it is fed", () => {
    const line = fc.oneof(fc.string(), fc.constantFrom("#$ 1", "#@ 99", "#h 1 2 3 4 5", "100 10", "200 11"))
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const file = parseLeapFile(lines.join("\n"))
        expect(file instanceof LeapFileError || file.entries.length > 0).toBe(true)
      })
    )
  })
})

describe("calendar", () => {
  it("finds the next month as Date does", () => {
    fc.assert(
      fc.property(fc.integer({ min: -5e9, max: 2e10 }), (seconds) => {
        const now = new Date(seconds * 1000)
        expect(nextMonth(seconds)).toBe(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1) / 1000)
      })
    )
    expect(daysToMonth(1970, 1)).toBe(0)
    expect(daysToMonth(2000, 3)).toBe(11_017)
  })
})

describe("leap decision", () => {
  const june = utc("2040-06-30T12:00:00Z")

  it("takes the file's word for the last day", () => {
    expect(decideLeap(june, [0, 0, 0], withFuture(1))).toEqual({
      leap: 1,
      at: utc("2040-07-01T00:00:00Z"),
      origin: "file",
      dissent: 3
    })
    expect(decideLeap(june, [2], withFuture(-1))).toMatchObject({ leap: 2, dissent: 0 })
    expect(decideLeap(utc("2040-06-29T23:59:59Z"), [0], withFuture(1))).toMatchObject({ leap: 0, origin: "file" })
    expect(decideLeap(utc("2040-07-01T00:00:00Z"), [0], withFuture(1))).toMatchObject({ leap: 0, at: undefined })
  })

  it("does not let sources overrule a valid file, and counts their dissent", () => {
    expect(decideLeap(utc("2040-03-30T12:00:00Z"), [1, 1, 1], withFuture(1))).toEqual({
      leap: 0,
      at: undefined,
      origin: "file",
      dissent: 3
    })
  })

  it("asks the sources when the file has expired or is not there", () => {
    const december = utc("2041-12-31T18:00:00Z")
    const expected = { leap: 1, at: utc("2042-01-01T00:00:00Z"), origin: "sources", dissent: 1 }
    expect(decideLeap(december, [1, 1, 0], withFuture(1))).toEqual(expected)
    expect(decideLeap(december, [1, 1, 0], undefined)).toEqual(expected)
  })

  it("needs more than half of the sources that know the time", () => {
    expect(decideLeap(june, [1, 0], undefined)).toMatchObject({ leap: 0, origin: "none" })
    expect(decideLeap(june, [1, 2, 0], undefined)).toMatchObject({ leap: 0, dissent: 2 })
    expect(decideLeap(june, [1, 3, 3], undefined)).toMatchObject({ leap: 1 })
    expect(decideLeap(june, [], undefined)).toMatchObject({ leap: 0 })
  })

  it("does not believe them early in a long month", () => {
    expect(decideLeap(utc("2040-07-02T00:00:00Z"), [1, 1], undefined)).toMatchObject({ leap: 0 })
  })
})

describe("leap smear", () => {
  const leap = { at: 1_000_000, change: 1 } as const

  it("is nothing when it is off, or nonsense", () => {
    expect(smearAt(Number.POSITIVE_INFINITY, leap, leap.at)).toBeUndefined()
    expect(smearAt(0, leap, leap.at)).toBeUndefined()
    expect(smearAt(Number.NaN, leap, leap.at)).toBeUndefined()
    expect(smearAt(100, leap, Number.NaN)).toBeUndefined()
  })

  it("ends a cosine smear at the leap second, softly at both ends", () => {
    const middle = smearAt(1000, leap, leap.at - 500)
    expect(middle?.offset).toBeCloseTo(-0.5, 12)
    expect(middle?.frequency).toBeCloseTo(-Math.PI / 2000, 12)
    expect(Math.abs(smearAt(1000, leap, leap.at - 999)?.frequency ?? 1)).toBeLessThan(1e-5)
    expect(smearAt(1000, leap, leap.at - 1000)).toEqual({ active: false, offset: 0, frequency: 0 })
    expect(smearAt(1000, leap, leap.at)).toEqual({ active: false, offset: -1, frequency: 0 })
    expect(smearAt(1000, { ...leap, change: -1 }, leap.at - 500)?.offset).toBeCloseTo(0.5, 12)
  })

  it("is continuous, and its slope is its derivative", () => {
    const options = fc.constantFrom(5000, 43_200, 86_400)
    fc.assert(
      fc.property(options, fc.double({ min: -90_000, max: 50_000, noNaN: true }), (seconds, from) => {
        const [a, b] = [smearAt(seconds, leap, leap.at + from), smearAt(seconds, leap, leap.at + from + 0.5)]
        const moved = (b?.offset ?? 0) - (a?.offset ?? 0)
        expect(Math.abs(moved)).toBeLessThanOrEqual(0.5 * 3.2e-4)
        expect(Math.abs(moved - 0.25 * ((a?.frequency ?? 0) + (b?.frequency ?? 0)))).toBeLessThan(1e-5)
      })
    )
  })

  it("marks the reference id with 254 and the offset", () => {
    expect(smearReferenceId(0)).toBe(0xfe000000)
    expect(smearReferenceId(-0.5)).toBe(0xfee00000)
    expect(smearReferenceId(0.5)).toBe(0xfe200000)
    expect(smearOfReferenceId(0x7f7f0100)).toBeUndefined()
    fc.assert(
      fc.property(fc.double({ min: -1.9, max: 1.9, noNaN: true }), (offset) => {
        expect(smearOfReferenceId(smearReferenceId(offset))).toBeCloseTo(offset, 6)
      })
    )
  })
})
