import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  autokeyFieldLength,
  AutokeyOperation,
  type AutokeyField,
  decodeAutokeyPacket,
  decodeAutokeyValues,
  decodeLeapSecondsValues,
  encodeAutokeyValues,
  encodeLeapSecondsValues,
  fieldWord,
  signedOctets,
  writeAutokeyField
} from "../src/autokey-fields.ts"
import { HEADER_BYTES } from "../src/ntp.ts"

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const octets = (maxLength: number) => fc.uint8Array({ maxLength })
const anyField: fc.Arbitrary<AutokeyField> = fc.record({
  operation: fc.integer({ min: 0, max: 255 }),
  isResponse: fc.boolean(),
  isError: fc.boolean(),
  associationId: word,
  content: fc.option(fc.record({ timestamp: word, filestamp: word, value: octets(700), signature: octets(300) }), {
    nil: undefined
  })
})

const packetOf = (fields: readonly AutokeyField[], keyId: number, digestBytes = 16): Uint8Array => {
  const length = fields.reduce((sum, field) => sum + autokeyFieldLength(field), HEADER_BYTES)
  const bytes = new Uint8Array(length + 4 + digestBytes)
  let at = HEADER_BYTES
  for (const field of fields) at += writeAutokeyField(bytes, at, field)
  new DataView(bytes.buffer).setUint32(at, keyId)
  return bytes
}
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const request = (operation: number, value?: string): AutokeyField => ({
  operation,
  isResponse: false,
  isError: false,
  associationId: 7,
  content:
    value === undefined
      ? undefined
      : { timestamp: 0, filestamp: 0, value: new TextEncoder().encode(value), signature: new Uint8Array(0) }
})

describe("Autokey fields", () => {
  it("are read as they were written, with a MAC of either length", () => {
    fc.assert(
      fc.property(
        fc.array(anyField, { maxLength: 2 }),
        fc.integer({ min: 65_536, max: 2 ** 32 - 1 }),
        fc.constantFrom(16, 20),
        (fields, keyId, digestBytes) => {
          const bytes = packetOf(fields, keyId, digestBytes)
          expect(decodeAutokeyPacket(bytes)).toEqual({
            fields,
            keyId,
            macOffset: bytes.length - 4 - digestBytes,
            macLength: 4 + digestBytes
          })
        }
      )
    )
  })

  it.each([
    ["length", new Uint8Array(48)],
    ["length", new Uint8Array(69)],
    ["length", packetOf([], 70_000).subarray(0, 64)],
    ["key-id", packetOf([], 65_535)],
    ["key-id", packetOf([], 0)],
    ["version", packetOf([request(1, "alice")], 70_000).fill(0x04, 48, 49)],
    [
      "length",
      packetOf(
        Array.from({ length: 5 }, () => request(5)),
        70_000
      )
    ]
  ] as const)("refuse a packet for its %s", (fault, bytes) => {
    expect(decodeAutokeyPacket(bytes)).toBe(fault)
  })

  it("refuse lengths that lead out of field or packet", () => {
    const lying = (offset: number, value: number, bits: 16 | 32): Uint8Array => {
      const bytes = packetOf([request(1, "alice")], 70_000)
      if (bits === 16) viewOf(bytes).setUint16(offset, value)
      else viewOf(bytes).setUint32(offset, value)
      return bytes
    }
    expect(decodeAutokeyPacket(lying(50, 400, 16))).toBe("length")
    expect(decodeAutokeyPacket(lying(50, 4, 16))).toBe("length")
    expect(decodeAutokeyPacket(lying(50, 30, 16))).toBe("length")
    expect(decodeAutokeyPacket(lying(64, 9, 32))).toBe("value")
    expect(decodeAutokeyPacket(lying(64, 0xffff_ffff, 32))).toBe("value")
    expect(decodeAutokeyPacket(lying(76, 1, 32))).toBe("value")
  })

  it("never make the decoder throw", () => {
    fc.assert(
      fc.property(octets(400), (bytes) => {
        expect(decodeAutokeyPacket(bytes)).toBeDefined()
      })
    )
    fc.assert(
      fc.property(
        fc.array(anyField, { maxLength: 2 }),
        fc.array(fc.tuple(fc.nat(1500), fc.nat(255))),
        (fields, changes) => {
          const bytes = packetOf(fields, 70_000)
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          decodeAutokeyPacket(bytes)
        }
      )
    )
  })

  it("show as the reference's cryptostats shows them", () => {
    const field = { ...request(AutokeyOperation.mv), isResponse: true, isError: true }
    expect(fieldWord({ ...field, content: request(9, "x".repeat(332)).content }).toString(16)).toBe("c2090164")
  })

  it("sign stamps, length and value", () => {
    expect(signedOctets({ timestamp: 1, filestamp: 2, value: Uint8Array.of(9) })).toEqual(
      Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 9)
    )
  })
})

describe("values", () => {
  it("of a key list and of leap seconds are read as they were written", () => {
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(decodeAutokeyValues(encodeAutokeyValues({ keyId: a, sequence: b }))).toEqual({ keyId: a, sequence: b })
        const values = { taiOffset: a, lastLeap: b, expiry: c }
        expect(decodeLeapSecondsValues(encodeLeapSecondsValues(values))).toEqual(values)
      })
    )
    expect(decodeAutokeyValues(new Uint8Array(12))).toBeUndefined()
    expect(decodeLeapSecondsValues(new Uint8Array(8))).toBeUndefined()
  })
})
