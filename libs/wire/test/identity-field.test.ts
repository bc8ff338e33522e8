/** The field by which a server says which node it is. */
import fc from "fast-check"
import { expect, it } from "vitest"
import {
  decodeIdentity,
  encodeIdentity,
  IDENTITY_FIELD,
  identityOf,
  identityRequest,
  LONGEST_IDENTITY
} from "@meridian/wire/identity-field"

const printable = (maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength })

it("stands as it is documented", () => {
  const body = encodeIdentity({ node: "a", version: "0.2.0", generation: 0x01020304, decision: "b.0" })
  expect(Buffer.from(body).toString("hex")).toBe("0101050301020304" + "61" + "302e322e30" + "622e30" + "00".repeat(7))
  expect(Buffer.from(identityRequest().subarray(0, 4)).toString("hex")).toBe("f44e00ac")
  expect(identityRequest().length).toBe(4 + LONGEST_IDENTITY)
})

it("is read as it was written, fits what asks for it, and is a multiple of four octets", () => {
  const identity = fc.record({
    node: printable(63),
    version: printable(32),
    generation: fc.integer({ min: 0, max: 0xffffffff }),
    decision: printable(64)
  })
  fc.assert(
    fc.property(identity, (written) => {
      const body = encodeIdentity(written)
      expect(decodeIdentity(body)).toEqual(written)
      expect([body.length % 4, body.length >= 24, body.length <= LONGEST_IDENTITY]).toEqual([0, true, true])
    })
  )
})

it("cuts what is too long, and puts ? for what is not ASCII", () => {
  const long = encodeIdentity({ node: "n".repeat(200), version: "1 \u00e9", generation: 1, decision: "d".repeat(99) })
  expect(decodeIdentity(long)).toEqual({
    node: "n".repeat(63),
    version: "1??",
    generation: 1,
    decision: "d".repeat(64)
  })
})

it("is nothing where the octets are none, and never throws", () => {
  const header = Buffer.alloc(48)
  const reply = (...body: readonly number[]): Uint8Array =>
    Buffer.concat([
      header,
      Buffer.from([IDENTITY_FIELD >> 8, IDENTITY_FIELD & 255, 0, 28, ...body]),
      Buffer.alloc(24 - body.length)
    ])
  expect(identityOf(header)).toBeUndefined()
  // Of another format, longer than there is, not printable.
  for (const body of [[2], [1, 9, 9, 0], [1, 1, 0, 0, 0, 0, 0, 0, 7]])
    expect(identityOf(reply(...body))).toBeUndefined()
  expect(identityOf(reply(1))).toEqual({ node: "", version: "", generation: 0, decision: "" })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      for (const found of [identityOf(Buffer.concat([header, noise])), identityOf(noise), decodeIdentity(noise)])
        expect(found === undefined || typeof found.node === "string").toBe(true)
    })
  )
})
