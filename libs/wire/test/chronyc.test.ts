/** chrony's command protocol: its float, its requests by length and version, and bytes at random. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  ChronyCommand,
  ChronyRecord,
  ChronyRecordWriter,
  ChronyStatus,
  decodeChronyRequest,
  encodeChronyReply,
  floatBits
} from "../src/chronyc.ts"

/** @param head octets to change at the start */
const request = (command: number, length: number, head: readonly number[] = [6, 1, 0, 0]): Uint8Array => {
  const bytes = new Uint8Array(length)
  bytes.set(head)
  const view = new DataView(bytes.buffer)
  view.setUint16(4, command)
  view.setUint32(8, 0xdeadbeef)
  return bytes
}

/** The number that such bits are: seven of exponent, 25 of coefficient. */
const floatOf = (bits: number): number => ((bits << 7) >> 7) * 2 ** ((bits >> 25) - 25)

describe("the float", () => {
  it("keeps 23 bits at least of what it can hold", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e9, max: 1e9, noNaN: true }), (value) => {
        const read = floatOf(floatBits(value))
        expect(Math.abs(read - value)).toBeLessThanOrEqual(Math.max(2 ** -23 * Math.abs(value), 2 ** -88))
      })
    )
  })

  it("is of candm.h", () => {
    // By hand, as util.c of chrony has it: a positive coefficient ends one below 2^24.
    for (const [value, bits] of [
      [0, 0],
      [1, 0x04800000],
      [-1, 0x03000000],
      [0.5, 0x02800000],
      [Number.NaN, 0]
    ] as const)
      expect(floatBits(value)).toBe(bits)
    expect(floatOf(floatBits(Infinity))).toBeGreaterThan(4e18)
  })
})

describe("requests", () => {
  it("are answered by what is wrong with them, as chronyd does", () => {
    const { tracking } = ChronyCommand
    expect(decodeChronyRequest(request(tracking, 104))).toMatchObject({ command: tracking, sequence: 0xdeadbeef })
    expect(decodeChronyRequest(request(tracking, 103))).toMatchObject({ status: ChronyStatus.badLength })
    expect(decodeChronyRequest(request(75, 104))).toMatchObject({ status: ChronyStatus.invalid })
    expect(decodeChronyRequest(request(tracking, 104, [5, 1]))).toMatchObject({ status: ChronyStatus.badVersion })
    expect(decodeChronyRequest(request(tracking, 104, [7, 1]))).toMatchObject({ status: ChronyStatus.badVersion })
  })

  it("of other kinds get no answer", () => {
    const { tracking } = ChronyCommand
    for (const head of [
      [4, 1],
      [6, 2],
      [6, 1, 1],
      [6, 1, 0, 1]
    ])
      expect(decodeChronyRequest(request(tracking, 104, head))).toBeUndefined()
    expect(decodeChronyRequest(request(tracking, 27))).toBeUndefined()
    expect(decodeChronyRequest(request(tracking, 2_000))).toBeUndefined()
  })

  it("never throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.boolean(), (bytes, isNearly) => {
        if (isNearly) bytes.set([6, 1, 0, 0].slice(0, bytes.length))
        const read = decodeChronyRequest(bytes)
        expect(read === undefined || "status" in read || read.length === bytes.length).toBe(true)
      })
    )
  })
})

it("an answer repeats command and sequence and carries its record", () => {
  const writer = new ChronyRecordWriter(ChronyRecord.sourceCount).uint32(4)
  const reply = encodeChronyReply({ command: 14, sequence: 7 }, ChronyStatus.success, writer)
  expect(Buffer.from(reply).toString("hex")).toBe(
    "06020000000e000200000000000000000000000700000000000000000000".slice(0, 56) + "00000004"
  )
  expect(encodeChronyReply({ command: 14, sequence: 7 }, ChronyStatus.unauthorised)).toHaveLength(28)
})
