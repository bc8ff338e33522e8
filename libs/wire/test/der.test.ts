import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  bigIntOf,
  bitString,
  element,
  integer,
  objectIdentifier,
  octetsOf,
  octetString,
  readElement,
  readElements,
  readObjectIdentifier,
  readSequence,
  readTime,
  readUnsigned,
  readUnsignedSequence,
  sequence,
  time
} from "../src/der.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

describe("writing DER", () => {
  it("writes lengths in the shortest form", () => {
    expect(hex(octetString(new Uint8Array(0)))).toBe("0400")
    expect(hex(octetString(new Uint8Array(127))).slice(0, 4)).toBe("047f")
    expect(hex(octetString(new Uint8Array(128))).slice(0, 6)).toBe("048180")
    expect(hex(octetString(new Uint8Array(256))).slice(0, 8)).toBe("04820100")
    expect(hex(element(0x30, new Uint8Array(70_000))).slice(0, 10)).toBe("3083011170")
  })

  it("writes integers without needless zeros and never negative", () => {
    expect(hex(integer(Uint8Array.of(0, 0)))).toBe("020100")
    expect(hex(integer(Uint8Array.of(0, 0x7f)))).toBe("02017f")
    expect(hex(integer(Uint8Array.of(0x80)))).toBe("02020080")
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        const written = Buffer.from(integer(bytes))
        expect(written[1]).toBe(written.length - 2)
        expect(written[2]! & 0x80).toBe(0)
        expect(BigInt(`0x${hex(written.subarray(2))}`)).toBe(BigInt(`0x${hex(bytes)}`))
      })
    )
  })

  it("writes object identifiers, bit strings and times", () => {
    expect(hex(objectIdentifier("1.2.840.10045.4.3.2"))).toBe("06082a8648ce3d040302")
    expect(hex(objectIdentifier("2.5.29.17"))).toBe("0603551d11")
    expect(hex(bitString(Uint8Array.of(0x80), 7))).toBe("03020780")
    expect(Buffer.from(time(0)).toString("latin1")).toBe("\u0017\r700101000000Z")
    expect(Buffer.from(time(2_524_607_999)).toString("latin1")).toBe("\u0017\r491231235959Z")
    expect(Buffer.from(time(2_524_608_000)).toString("latin1")).toBe("\u0018\u000f20500101000000Z")
  })
})

describe("reading DER", () => {
  const number = fc.bigInt({ min: 0n, max: 1n << 700n })

  it("gives back what was written", () => {
    fc.assert(
      fc.property(fc.array(number, { maxLength: 9 }), (values) => {
        expect(readUnsignedSequence(sequence(...values.map(integer)))).toEqual(values)
      })
    )
    fc.assert(
      fc.property(fc.integer({ min: -631_152_000, max: 4_102_444_800 }), (seconds) => {
        expect(readTime(readElement(time(seconds))!)).toBe(seconds)
      })
    )
    for (const dotted of ["1.2.840.113549.1.1.4", "2.5.29.14", "1.3.6.1.5.5.7.48.1.11", "2.16.840.1.101.3.4.1.42"])
      expect(readObjectIdentifier(readElement(objectIdentifier(dotted)))).toBe(dotted)
  })

  it("pads numbers on the left to a given length", () => {
    expect(hex(octetsOf(0x1234n, 4))).toBe("00001234")
    expect(hex(octetsOf(0n))).toBe("00")
    expect(bigIntOf(new Uint8Array(0))).toBe(0n)
    expect(() => octetsOf(0x1_0000n, 2)).toThrow(RangeError)
  })

  it("refuses negative and empty integers, lengths that lead out, indefinite and very long ones", () => {
    expect(readUnsigned(readElement(Uint8Array.of(2, 1, 0x80)))).toBeUndefined()
    expect(readUnsigned(readElement(Uint8Array.of(2, 0)))).toBeUndefined()
    expect(readElement(Uint8Array.of(4, 2, 0))).toBeUndefined()
    expect(readElement(Uint8Array.of(4, 0x80, 0, 0))).toBeUndefined()
    expect(readElement(Uint8Array.of(4, 0x84, 0, 0, 0, 1, 9))).toBeUndefined()
    expect(readElement(Uint8Array.of(4))).toBeUndefined()
    expect(readObjectIdentifier(readElement(Uint8Array.of(6, 2, 0x2a, 0x86)))).toBeUndefined()
  })

  it("never throws, and stays within the octets", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const found of readElements(bytes) ?? []) {
          readObjectIdentifier(found)
          readUnsigned(found)
          readTime(found)
          expect(found.whole.length).toBeLessThanOrEqual(bytes.length)
        }
        readSequence(bytes)
        readUnsignedSequence(bytes)
      })
    )
  })
})
