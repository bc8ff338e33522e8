/** Replies that a client might be sent by anybody who saw its request: with every implementation of the ciphers. */
import { nobleAeads } from "@meridian/auth/aead-noble"
import { NtsAssociation } from "@meridian/auth/nts-client"
import { aeadProvider } from "@meridian/ciphers/aead"
import { NtsFieldType, padded, UNIQUE_IDENTIFIER_BYTES, writeFieldHeader } from "@meridian/wire/nts-fields"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const implementations = [
  { name: "of this installation", aeads: aeadProvider().aeads },
  { name: "noble", aeads: nobleAeads }
]
const cases = implementations.flatMap(({ name, aeads }) => [...aeads.values()].map((aead) => ({ name, aead })))

/** A field around any bytes, its length right or as told. */
const field = fc
  .tuple(
    fc.constantFrom(...Object.values(NtsFieldType), 0xf323),
    fc.uint8Array({ maxLength: 120 }),
    fc.option(fc.nat(300), { freq: 8 })
  )
  .map(([type, body, told]) => {
    const bytes = new Uint8Array(4 + padded(body.length))
    const view = new DataView(bytes.buffer)
    bytes.set(body, writeFieldHeader(view, 0, type, padded(body.length)))
    if (told !== null) view.setUint16(2, told)
    return [...bytes]
  })

/** An authenticator whose two lengths are anything, and whose bytes are enough or not. */
const authenticator = fc
  .tuple(fc.oneof(fc.nat(80), fc.nat(65_535)), fc.oneof(fc.nat(80), fc.nat(65_535)), fc.nat(60))
  .map(([nonce, ciphertext, words]) => {
    const bytes = new Uint8Array(8 + 4 * words)
    const view = new DataView(bytes.buffer)
    writeFieldHeader(view, 0, NtsFieldType.authenticator, bytes.length - 4)
    view.setUint16(4, nonce)
    view.setUint16(6, ciphertext)
    return [...bytes]
  })

describe.each(cases)("$aead.name $name", ({ aead }) => {
  it("takes none of them for authentic, and never throws", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(
        fc.array(fc.oneof(field, authenticator), { maxLength: 4 }),
        fc.uint8Array({ minLength: 24, maxLength: 24 }),
        fc.boolean(),
        (fields, head, isKiss) => {
          const keys = { c2s: new Uint8Array(aead.keyBytes), s2c: new Uint8Array(aead.keyBytes).fill(1) }
          const association = new NtsAssociation(aead, { ...keys, cookies: [new Uint8Array(64)] })
          const header = new Uint8Array(48).fill(7, 40)
          header[0] = 0x23
          const request = association.request(header, (bytes) => void bytes.fill(9))!
          const reply = Uint8Array.from([
            ...(isKiss
              ? [0xe4, 0, 0, 0, ...head.subarray(4, 12), 0x4e, 0x54, 0x53, 0x4e]
              : [0x24, ...head.subarray(1, 16)]),
            ...head.subarray(16),
            ...request.subarray(40, 48),
            ...head.subarray(0, 16),
            ...request.subarray(48, 52 + UNIQUE_IDENTIFIER_BYTES),
            ...fields.flat()
          ])
          const verdict = association.accept(reply)
          seen.add(verdict._tag === "Rejected" ? verdict.reason : verdict._tag)
        }
      ),
      { numRuns: 1_500 }
    )
    expect(["Nak", "forged", "malformed", "not-authenticated"].filter((each) => !seen.has(each))).toEqual([])
    expect(seen.has("Authentic")).toBe(false)
  })
})
