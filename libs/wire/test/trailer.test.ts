import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { fieldLength, fieldType, MAX_FIELDS, newTrailer, scanTrailer, TrailerShape } from "@meridian/wire/trailer"

const field = (type: number, length: number): number[] => {
  const bytes = Array.from({ length }, () => 0)
  bytes[0] = type >> 8
  bytes[1] = type & 0xff
  bytes[2] = length >> 8
  bytes[3] = length & 0xff
  return bytes
}

const scan = (version: number, trailer: readonly number[], offset = 0) => {
  const bytes = new Uint8Array(offset + HEADER_BYTES + trailer.length + 64).fill(0xee)
  bytes.set(trailer, offset + HEADER_BYTES)
  const out = newTrailer()
  const shape = scanTrailer(new DataView(bytes.buffer), offset, HEADER_BYTES + trailer.length, version, out)
  return { shape, out, view: new DataView(bytes.buffer) }
}

describe("RFC 7822 trailers of version 4", () => {
  it.each([
    ["nothing", [], TrailerShape.plain, 0, 0],
    ["a crypto-NAK", field(0, 4), TrailerShape.cryptoNak, 0, 4],
    ["a 16-byte digest", Array(20).fill(1), TrailerShape.mac, 0, 20],
    ["a 20-byte digest", Array(24).fill(1), TrailerShape.mac, 0, 24],
    ["one last field of 28", field(0x104, 28), TrailerShape.plain, 1, 0],
    ["a short field and a MAC", [...field(0x104, 16), ...Array(20).fill(1)], TrailerShape.mac, 1, 20],
    ["two fields", [...field(0x104, 36), ...field(0x204, 104)], TrailerShape.plain, 2, 0],
    ["eight bytes", Array(8).fill(0), TrailerShape.malformed, 0, 0],
    ["a field shorter than its header", field(0x104, 28).with(3, 3), TrailerShape.malformed, 0, 0],
    ["a field of 12", field(0x104, 28).with(3, 12), TrailerShape.malformed, 0, 0],
    ["a field longer than the packet", field(0x104, 28).with(3, 32), TrailerShape.malformed, 0, 0],
    ["a field that is no multiple of four", field(0x104, 32).with(3, 30), TrailerShape.malformed, 0, 0],
    ["a length of zero", field(0x104, 28).with(3, 0), TrailerShape.malformed, 0, 0],
    ["bytes that are no multiple of four", Array(21).fill(1), TrailerShape.malformed, 0, 0],
    [
      "more fields than anybody sends",
      Array.from({ length: MAX_FIELDS + 2 }, () => field(1, 28)).flat(),
      TrailerShape.malformed,
      MAX_FIELDS,
      0
    ]
  ])("%s", (_name, trailer, shape, fields, mac) => {
    const found = scan(4, trailer, 12)
    expect(found.shape).toBe(shape)
    expect(found.out.fieldCount).toBe(fields)
    expect(found.out.macLength).toBe(mac)
  })
})

describe("trailers of older versions", () => {
  it.each([
    ["an 8-byte digest of version 2", 2, 12, TrailerShape.mac],
    ["MS-SNTP", 3, 20, TrailerShape.mac],
    ["SHA-512", 3, 68, TrailerShape.mac],
    ["MS-SNTP's extended authenticator", 3, 72, TrailerShape.mac],
    ["anything longer", 3, 76, TrailerShape.malformed],
    ["a crypto-NAK", 3, 4, TrailerShape.cryptoNak]
  ])("%s", (_name, version, length, shape) => {
    expect(scan(version, Array(length).fill(0)).shape).toBe(shape)
  })
})

describe("any bytes at all", () => {
  it("never throws, never looks outside the packet, and finds fields that tile it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc
            .array(fc.integer({ min: 4, max: 20 }), { maxLength: 8 })
            .map((sizes) => Uint8Array.from(sizes.flatMap((size) => field(0x204, size * 4))))
        ),
        (version, trailer) => {
          const packet = new Uint8Array(HEADER_BYTES + trailer.length)
          packet.set(trailer, HEADER_BYTES)
          const out = newTrailer()
          const view = new DataView(packet.buffer)
          const shape = scanTrailer(view, 0, packet.length, version, out)
          if (shape === TrailerShape.malformed) return
          let at = HEADER_BYTES
          for (let index = 0; index < out.fieldCount; index += 1) {
            expect(out.fieldOffsets[index]).toBe(at)
            expect(fieldType(view, at)).toBe((trailer[at - HEADER_BYTES]! << 8) | trailer[at - HEADER_BYTES + 1]!)
            at += fieldLength(view, at)
          }
          expect(at + out.macLength).toBe(packet.length)
        }
      ),
      { numRuns: 3000 }
    )
  })
})
