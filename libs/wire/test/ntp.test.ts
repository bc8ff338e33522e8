import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ntpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader, encodeHeader, type NtpHeader, ShortPacket } from "@meridian/wire/ntp"
import { formatReferenceId, referenceIdFromText, referenceIdText } from "@meridian/wire/reference-id"

const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const timestamp = fc.tuple(uint32, uint32).map(([seconds, fraction]) => ntpTimestamp(seconds, fraction))
const header: fc.Arbitrary<NtpHeader> = fc.record({
  leap: fc.integer({ min: 0, max: 3 }),
  version: fc.integer({ min: 0, max: 7 }),
  mode: fc.integer({ min: 0, max: 7 }),
  stratum: fc.integer({ min: 0, max: 255 }),
  poll: fc.integer({ min: -128, max: 127 }),
  precision: fc.integer({ min: -128, max: 127 }),
  rootDelay: uint32,
  rootDispersion: uint32,
  referenceId: uint32,
  reference: timestamp,
  origin: timestamp,
  receive: timestamp,
  transmit: timestamp
})

describe("the header codec", () => {
  it("decodes what it encoded", () => {
    fc.assert(
      fc.property(header, (value) => {
        expect(decodeHeader(encodeHeader(value))).toEqual(value)
      }),
      { numRuns: 1000 }
    )
  })
  it("encodes what it decoded, for any 48 bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 48, maxLength: 48 }), (bytes) => {
        const decoded = decodeHeader(bytes)
        if ("_tag" in decoded) throw new Error("48 bytes are a header")
        expect(encodeHeader(decoded)).toEqual(bytes)
      }),
      { numRuns: 1000 }
    )
  })
  it("never throws on random bytes, and refuses exactly the short ones", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        expect(decodeHeader(bytes) instanceof ShortPacket).toBe(bytes.length < 48)
      }),
      { numRuns: 1000 }
    )
  })
  it("reads a reply of chronyd 4.3 as recorded", () => {
    const hex = "240500e600000000000000007f7f0101eeaad56b073f42e92a1ad348694099beeeaad56cd933aa27eeaad56cd937a3ec"
    const decoded = decodeHeader(Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)))
    expect(decoded).toMatchObject({
      leap: 0,
      version: 4,
      mode: 4,
      stratum: 5,
      poll: 0,
      precision: -26,
      referenceId: 0x7f7f0101
    })
  })
})

describe("reference identifiers", () => {
  it.each([
    ["GPS", 0x47505300],
    ["RATE", 0x52415445],
    ["LOCL", 0x4c4f434c]
  ])("%s", (text, value) => {
    expect(referenceIdFromText(text)).toBe(value)
    expect(referenceIdText(value)).toBe(text)
  })
  it("shows characters at stratum 1 and dotted quads above", () => {
    expect(formatReferenceId(0x47505300, 1)).toBe("GPS")
    expect(formatReferenceId(0x47505300, 2)).toBe("71.80.83.0")
    expect(formatReferenceId(0x01020304, 1)).toBe("1.2.3.4")
    expect(referenceIdText(0)).toBeUndefined()
    expect(referenceIdText(0x47005300)).toBeUndefined()
  })
})
