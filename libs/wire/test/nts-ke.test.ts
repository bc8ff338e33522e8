import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  bodyNumbers,
  encodeRecords,
  endOfMessage,
  MAXIMUM_MESSAGE_BYTES,
  MAXIMUM_RECORDS,
  numbersBody,
  record,
  RecordDecoder,
  RecordType
} from "../src/nts-ke.ts"

const anyRecord = fc
  .record({
    type: fc.integer({ min: 1, max: 0x7fff }),
    critical: fc.boolean(),
    body: fc.uint8Array({ maxLength: 100 })
  })
  .map(({ type, critical, body }) => record(type, critical, body))

/** Cuts bytes at the given places, in order. */
const pieces = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place))
}

describe("records", () => {
  it("have a critical bit, a type, a length and a body, big-endian", () => {
    const bytes = encodeRecords([
      record(RecordType.nextProtocol, true, numbersBody([0])),
      record(1024, false),
      endOfMessage
    ])
    expect([...bytes]).toEqual([0x80, 1, 0, 2, 0, 0, 4, 0, 0, 0, 0x80, 0, 0, 0])
  })

  it("decode to what was encoded, however the bytes arrive", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (records, cuts) => {
        const decoder = new RecordDecoder()
        const message = [...records, endOfMessage]
        for (const piece of pieces(encodeRecords(message), cuts)) decoder.push(piece)
        expect(decoder.state).toBe("complete")
        expect(decoder.records).toEqual(message)
        expect(decoder.trailingBytes).toBe(0)
      }),
      { numRuns: 500 }
    )
  })

  it("arriving a byte at a time are complete with the last byte and not before", () => {
    const bytes = encodeRecords([record(4, true, numbersBody([15, 30])), endOfMessage])
    const decoder = new RecordDecoder()
    const states = Array.from(bytes, (byte) => decoder.push(Uint8Array.of(byte)))
    expect(states.slice(0, -1).every((state) => state === "reading")).toBe(true)
    expect(states.at(-1)).toBe("complete")
  })

  it("do not change when the caller reuses the buffer they came in", () => {
    const bytes = encodeRecords([record(4, true, numbersBody([15])), endOfMessage])
    const decoder = new RecordDecoder()
    decoder.push(bytes)
    bytes.fill(0xff)
    expect(decoder.records[0]?.body).toEqual(numbersBody([15]))
  })

  it("counts bytes after End of Message, in the same piece and later", () => {
    const decoder = new RecordDecoder()
    expect(decoder.push(Uint8Array.of(0x80, 0, 0, 0, 1, 2, 3))).toBe("complete")
    expect(decoder.push(Uint8Array.of(4, 5))).toBe("complete")
    expect(decoder.trailingBytes).toBe(5)
  })

  it("refuses a record that cannot fit as soon as its header is here", () => {
    expect(new RecordDecoder().push(Uint8Array.of(0x40, 0, 0x40, 0))).toBe("message-too-long")
    expect(new RecordDecoder().push(Uint8Array.of(0x40, 0, 0x3f, 0xfc))).toBe("reading")
  })

  it("takes a message of the longest length and none longer", () => {
    const body = (length: number) => record(9, false, new Uint8Array(length))
    const longest = encodeRecords([body(MAXIMUM_MESSAGE_BYTES - 8), endOfMessage])
    expect(longest).toHaveLength(MAXIMUM_MESSAGE_BYTES)
    expect(new RecordDecoder().push(longest)).toBe("complete")
    const longer = encodeRecords([body(MAXIMUM_MESSAGE_BYTES - 7), endOfMessage])
    expect(new RecordDecoder().push(longer)).toBe("message-too-long")
  })

  it("refuses more records than a message can need", () => {
    const records = Array.from({ length: MAXIMUM_RECORDS + 1 }, () => record(9, false))
    const decoder = new RecordDecoder()
    expect(decoder.push(encodeRecords(records))).toBe("too-many-records")
    expect(decoder.records).toHaveLength(MAXIMUM_RECORDS)
    expect(decoder.push(encodeRecords([endOfMessage]))).toBe("too-many-records")
  })

  it("refuses to encode what does not fit a header", () => {
    expect(() => encodeRecords([record(0x8000, false)])).toThrow(RangeError)
    expect(() => encodeRecords([record(1, false, new Uint8Array(65536))])).toThrow(RangeError)
  })

  it("hold numbers of 16 bits", () => {
    expect(bodyNumbers(numbersBody([0, 15, 65535]))).toEqual([0, 15, 65535])
    expect(bodyNumbers(new Uint8Array(0))).toEqual([])
    expect(bodyNumbers(new Uint8Array(3))).toBeUndefined()
  })

  it("never makes the decoder throw or hold more than the longest message, whatever arrives", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom(Uint8Array.of(0x80, 1, 0, 2, 0, 0), Uint8Array.of(0x40, 0, 0x30, 0), new Uint8Array(5000))
    )
    const states = new Set<string>()
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (arriving) => {
        const decoder = new RecordDecoder()
        for (const bytes of arriving) states.add(decoder.push(bytes))
        const held = decoder.records.reduce((sum, { body }) => sum + 4 + body.length, 0)
        expect(held).toBeLessThanOrEqual(MAXIMUM_MESSAGE_BYTES)
      }),
      { numRuns: 3000 }
    )
    expect([...states].sort()).toEqual(expect.arrayContaining(["complete", "message-too-long", "reading"]))
  })
})
