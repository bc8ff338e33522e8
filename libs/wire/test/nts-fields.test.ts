import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  AUTHENTICATOR_HEADER_BYTES,
  authenticatorLength,
  countEncryptedPlaceholders,
  findNtsFields,
  newNtsFields,
  type NtsFields,
  NtsFieldType,
  NtsShape,
  padded,
  walkEncryptedFields,
  writeAuthenticatorHeader,
  writeFieldHeader
} from "../src/nts-fields.ts"
import { newTrailer, scanTrailer, TrailerShape } from "../src/trailer.ts"

interface Field {
  readonly type: number
  readonly body: Uint8Array
}
const field = (type: number, length: number, fill = type & 255): Field => ({
  type,
  body: new Uint8Array(length).fill(fill)
})

const authenticator = (nonceLength: number, ciphertextLength: number, extra = 0): Field => {
  const bytes = new Uint8Array(authenticatorLength(nonceLength, ciphertextLength) + extra)
  writeAuthenticatorHeader(new DataView(bytes.buffer), 0, nonceLength, ciphertextLength)
  return { type: NtsFieldType.authenticator, body: bytes.subarray(4) }
}
const identifier = field(NtsFieldType.uniqueIdentifier, 32)
const cookie = field(NtsFieldType.cookie, 96)
const placeholder = field(NtsFieldType.cookiePlaceholder, 96)
const seal = authenticator(16, 16)

const START = 8
const packetOf = (fields: readonly Field[]): DataView => {
  const length = fields.reduce((sum, { body }) => sum + 4 + body.length, 48)
  const view = new DataView(new ArrayBuffer(START + length))
  let at = START + 48
  for (const { type, body } of fields) {
    new Uint8Array(view.buffer).set(body, writeFieldHeader(view, at, type, body.length))
    at += 4 + body.length
  }
  return view
}
const find = (fields: readonly Field[]): { shape: NtsShape; found: NtsFields } => {
  const view = packetOf(fields)
  const trailer = newTrailer()
  expect(scanTrailer(view, START, view.byteLength - START, 4, trailer)).toBe(TrailerShape.plain)
  const found = newNtsFields()
  return { shape: findNtsFields(view, trailer, found), found }
}

describe("the NTS fields of a packet", () => {
  it("are found as offsets, without their padding", () => {
    const { shape, found } = find([identifier, cookie, placeholder, placeholder, authenticator(13, 18)])
    expect(shape).toBe(NtsShape.authenticated)
    const at = START + 48
    expect(found).toEqual({
      uniqueIdentifierOffset: at + 4,
      uniqueIdentifierLength: 32,
      cookieOffset: at + 36 + 4,
      cookieLength: 96,
      placeholders: 2,
      authenticatorOffset: at + 36 + 300,
      nonceOffset: at + 336 + 8,
      nonceLength: 13,
      ciphertextOffset: at + 336 + 8 + 16,
      ciphertextLength: 18
    })
  })

  it.each([
    ["any order before the authenticator", [placeholder, cookie, identifier, seal], NtsShape.authenticated, 1],
    [
      "unknown fields between",
      [identifier, field(0x1234, 28), cookie, seal, field(0x4321, 28)],
      NtsShape.authenticated,
      0
    ],
    ["a reply, which has no cookie in clear", [identifier, authenticator(16, 116)], NtsShape.authenticated, 0],
    ["additional padding", [identifier, cookie, authenticator(12, 16, 8)], NtsShape.authenticated, 0],
    ["a placeholder longer than the cookie", [identifier, cookie, field(0x304, 100), seal], NtsShape.authenticated, 1],
    ["a placeholder shorter than the cookie", [identifier, cookie, field(0x304, 92), seal], NtsShape.authenticated, 0],
    ["a placeholder after the authenticator", [identifier, cookie, seal, placeholder], NtsShape.authenticated, 0],
    ["a cookie after the authenticator", [identifier, seal, cookie], NtsShape.authenticated, 0],
    ["a long identifier", [field(0x104, 64), cookie, seal], NtsShape.authenticated, 0],
    ["no NTS", [field(0x1234, 28)], NtsShape.absent, 0],
    ["an identifier alone, as in a NAK", [identifier], NtsShape.absent, 0],
    ["no fields", [], NtsShape.absent, 0],
    ["a cookie without an authenticator", [identifier, cookie], NtsShape.malformed, 0],
    ["no identifier", [cookie, seal], NtsShape.malformed, 0],
    ["an identifier after the authenticator", [cookie, seal, identifier], NtsShape.malformed, 0],
    ["an identifier under 32 bytes", [field(0x104, 28), cookie, seal], NtsShape.malformed, 0],
    ["two identifiers", [identifier, identifier, cookie, seal], NtsShape.malformed, 0],
    ["two cookies", [identifier, cookie, cookie, seal], NtsShape.malformed, 0],
    ["two authenticators", [identifier, cookie, seal, seal], NtsShape.malformed, 0],
    ["a nonce of no bytes", [identifier, cookie, authenticator(0, 32)], NtsShape.malformed, 0]
  ])("with %s", (_, fields, shape, placeholders) => {
    const result = find(fields)
    expect([result.shape, result.found.placeholders]).toEqual([shape, placeholders])
  })

  it.each([
    [16, 17],
    [17, 16],
    [65535, 16],
    [16, 65535],
    [33, 0]
  ])("whose nonce has %i bytes and ciphertext %i in a field for 32 are malformed", (nonce, ciphertext) => {
    const body = seal.body.slice()
    const view = new DataView(body.buffer)
    view.setUint16(0, nonce)
    view.setUint16(2, ciphertext)
    expect(find([identifier, cookie, { ...seal, body }]).shape).toBe(NtsShape.malformed)
  })

  it("never lie outside the packet, whatever the fields", () => {
    const known = fc.constantFrom(...Object.values(NtsFieldType), 0x1234)
    const any = fc.record({
      type: known,
      words: fc.integer({ min: 6, max: 40 }),
      head: fc.uint8Array({ maxLength: 8 })
    })
    /** Of a request's kinds in a request's order: of fields in any order hardly one list in a hundred is whole. */
    const ordered = fc
      .tuple(any, any, fc.array(any, { maxLength: 4 }), any)
      .map(([identifier, held, more, last]) => [
        { ...identifier, type: NtsFieldType.uniqueIdentifier },
        { ...held, type: NtsFieldType.cookie },
        ...more.map((each) => ({ ...each, type: NtsFieldType.cookiePlaceholder })),
        { ...last, type: NtsFieldType.authenticator }
      ])
    let authenticated = 0
    fc.assert(
      fc.property(fc.oneof({ weight: 2, arbitrary: fc.array(any, { maxLength: 8 }) }, ordered), (list) => {
        const fields = list.map(({ type, words, head }) => {
          const body = new Uint8Array(words * 4)
          body.set(type === NtsFieldType.authenticator ? head.map((byte, index) => (index % 2 === 0 ? 0 : byte)) : head)
          return { type, body }
        })
        const { shape, found } = find(fields)
        const end = packetOf(fields).byteLength
        if (shape !== NtsShape.authenticated) return
        authenticated += 1
        expect(found.uniqueIdentifierOffset + found.uniqueIdentifierLength).toBeLessThanOrEqual(
          found.authenticatorOffset
        )
        expect(found.cookieOffset + found.cookieLength).toBeLessThanOrEqual(found.authenticatorOffset)
        expect(found.nonceOffset + found.nonceLength).toBeLessThanOrEqual(found.ciphertextOffset)
        expect(found.ciphertextOffset + found.ciphertextLength).toBeLessThanOrEqual(end)
      }),
      { numRuns: 3000 }
    )
    expect(authenticated).toBeGreaterThan(10)
  })
})

describe("an authenticator field", () => {
  it("is written with its lengths and with zeros where it is padded", () => {
    const bytes = new Uint8Array(60).fill(0xee)
    const length = writeAuthenticatorHeader(new DataView(bytes.buffer), 4, 13, 18)
    expect(length).toBe(AUTHENTICATOR_HEADER_BYTES + 16 + 20)
    expect([...bytes.subarray(4, 12)]).toEqual([4, 4, 0, 44, 0, 13, 0, 18])
    expect([...bytes.subarray(12, 28)]).toEqual([...Array<number>(13).fill(0xee), 0, 0, 0])
    expect([...bytes.subarray(28, 48)]).toEqual([...Array<number>(18).fill(0xee), 0, 0])
    expect(bytes[48]).toBe(0xee)
  })

  it("pads to four bytes", () => {
    expect([0, 1, 3, 4, 5].map(padded)).toEqual([0, 4, 4, 4, 8])
  })
})

describe("the fields of a decrypted text", () => {
  const text = (...fields: readonly Field[]): DataView => {
    const packet = packetOf(fields)
    return new DataView(packet.buffer, START + 48)
  }
  const walk = (view: DataView) => {
    const told: number[][] = []
    const whole = walkEncryptedFields(view, 0, view.byteLength, (...each) => void told.push(each))
    return { whole, told }
  }

  it("are told with the place of their bodies", () => {
    expect(walk(text(cookie, field(0x999, 0)))).toEqual({
      whole: true,
      told: [
        [0x204, 4, 96],
        [0x999, 104, 0]
      ]
    })
    expect(walk(text())).toEqual({ whole: true, told: [] })
  })

  it.each([
    ["runs over the end", [0x02, 0x04, 0, 12, 1, 2, 3, 4]],
    ["is shorter than its header", [0x02, 0x04, 0, 3]],
    ["is not made of fours", [0x02, 0x04, 0, 6, 1, 2]],
    ["leaves bytes over", [0x02, 0x04, 0, 4, 0, 0]]
  ])("are no fields when one %s", (_, bytes) => {
    expect(walk(new DataView(Uint8Array.from(bytes).buffer)).whole).toBe(false)
  })

  it("count as placeholders when they are long enough", () => {
    const view = text(placeholder, cookie, field(0x304, 92), placeholder)
    expect(countEncryptedPlaceholders(view, 0, view.byteLength, 96)).toBe(2)
    expect(countEncryptedPlaceholders(view, 0, 100, 96)).toBe(1)
  })

  it("never make a reader go on for ever or outside, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const view = new DataView(bytes.slice().buffer)
        const { whole, told } = walk(view)
        const covered = told.reduce((sum, [, , length]) => sum + 4 + (length ?? 0), 0)
        expect(whole).toBe(covered === bytes.length)
        expect(countEncryptedPlaceholders(view, 0, bytes.length, 0)).toBeLessThanOrEqual(told.length)
      }),
      { numRuns: 2000 }
    )
  })
})
