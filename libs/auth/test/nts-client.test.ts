import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { encodeHeader, HEADER_BYTES, type NtpHeader } from "@meridian/wire/ntp"
import { findNtsFields, newNtsFields, NtsShape } from "@meridian/wire/nts-fields"
import { newTrailer, scanTrailer, TrailerShape } from "@meridian/wire/trailer"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import type { Aead, AeadId } from "../src/nts/aead.ts"
import { nobleAeads, nobleBatch } from "../src/nts/aead-noble.ts"
import { COOKIE_AEAD } from "../src/nts/cookie.ts"
import { sealCookie } from "@meridian/testkit/cookies"
import { KeyRing } from "../src/nts/key-ring.ts"
import { NtsAssociation } from "../src/nts/nts-client.ts"
import { NtsServer } from "../src/nts/nts-server.ts"

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const aeadOf = (id: number): Aead => nobleAeads.get(id as AeadId) as Aead
const counter = (start: number): ((bytes: Uint8Array) => void) => {
  let next = start
  return (bytes) => {
    for (let index = 0; index < bytes.length; index += 1) bytes[index] = (next = (next * 75 + 74) % 65537) & 255
  }
}
const random = counter(5)
const header = (transmit: bigint): Uint8Array =>
  encodeHeader({
    leap: 0,
    version: 4,
    mode: 3,
    stratum: 0,
    poll: 6,
    precision: 32,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: 0,
    reference: 0n as NtpTimestamp,
    origin: 0n as NtpTimestamp,
    receive: 0n as NtpTimestamp,
    transmit: transmit as NtpTimestamp
  } satisfies NtpHeader)

interface Recorded {
  readonly name: string
  readonly aead: number
  readonly c2s: string
  readonly s2c: string
  readonly packets: readonly { dir: string; hex: string; fields: [string, number][]; plaintext: string }[]
}
const recorded = JSON.parse(readFileSync(new URL("fixtures/nts-exchanges.json", import.meta.url), "utf8")) as {
  exchanges: readonly Recorded[]
  nak: { request: string; nak: string }
  placeholders: { c2s: string; aead: number; request: string; placeholders: number }
}

const fieldsOf = (packet: Uint8Array) => {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const [trailer, fields] = [newTrailer(), newNtsFields()]
  expect(scanTrailer(view, 0, packet.length, 4, trailer)).toBe(TrailerShape.plain)
  return { shape: findNtsFields(view, trailer, fields), fields, count: trailer.fieldCount }
}
const openWith = (aead: Aead, key: Uint8Array, packet: Uint8Array): Uint8Array | undefined => {
  const { fields } = fieldsOf(packet)
  const text = new Uint8Array(fields.ciphertextLength - aead.tagBytes)
  const slice = (at: number, length: number): Uint8Array => packet.slice(at, at + length)
  const opened = aead.open(
    key,
    slice(fields.nonceOffset, fields.nonceLength),
    packet.slice(0, fields.authenticatorOffset),
    slice(fields.ciphertextOffset, fields.ciphertextLength),
    text
  )
  return opened ? text : undefined
}

describe.each(recorded.exchanges)("the recorded exchange $name", (exchange) => {
  it.each(exchange.packets.map((packet, index) => ({ index, ...packet })))(
    "packet $index, $dir, is found authentic",
    (packet) => {
      const bytes = hex(packet.hex)
      const { shape, fields, count } = fieldsOf(bytes)
      expect(shape).toBe(NtsShape.authenticated)
      expect(count).toBe(packet.fields.length)
      expect(fields.placeholders).toBe(packet.fields.filter(([type]) => type === "0x0304").length)
      const key = hex(packet.dir === "c2s" ? exchange.c2s : exchange.s2c)
      expect(openWith(aeadOf(exchange.aead), key, bytes)).toEqual(hex(packet.plaintext))
      bytes[30] = (bytes[30] as number) ^ 1
      expect(openWith(aeadOf(exchange.aead), key, bytes)).toBeUndefined()
    }
  )
})

it("a recorded request with seven placeholders, which chronyd sent with its last cookie, is found authentic", () => {
  const packet = hex(recorded.placeholders.request)
  expect(fieldsOf(packet).fields.placeholders).toBe(recorded.placeholders.placeholders)
  expect(openWith(aeadOf(15), hex(recorded.placeholders.c2s), packet)).toEqual(new Uint8Array(0))
})

const session = (id: number, cookies: readonly Uint8Array[]) => ({
  c2s: new Uint8Array(aeadOf(id).keyBytes).fill(1),
  s2c: new Uint8Array(aeadOf(id).keyBytes).fill(2),
  cookies
})

describe("an association", () => {
  const generation = { id: 9, key: new Uint8Array(32).fill(4), activation: 0, retirement: 100, revoked: false }
  const nonces = counter(77)
  const cookies = (id: number, count: number): Uint8Array[] =>
    Array.from({ length: count }, () => {
      const nonce = new Uint8Array(10)
      nonces(nonce)
      return sealCookie(aeadOf(COOKIE_AEAD), generation, { aead: aeadOf(id), ...session(id, []) }, nonce)
    })
  const answer = (request: Uint8Array, now = 1): Uint8Array => {
    const server = new NtsServer({ batch: nobleBatch, fillRandom: nonces, slots: 1 })
    server.useRing(KeyRing.of([generation]))
    const packet = request.slice()
    const view = new DataView(packet.buffer)
    const trailer = newTrailer()
    server.begin(packet, view, now)
    scanTrailer(view, 0, packet.length, 4, trailer)
    server.admit(0, 0, packet.length, trailer)
    server.verify()
    packet[0] = 0x24
    packet[1] = 2
    packet.copyWithin(24, 40, 48)
    const length = server.verdict(0) === "verified" ? server.reply(0) : server.nak(0)
    server.seal()
    return packet.slice(0, length)
  }
  const start = (id: number, count: number): NtsAssociation =>
    new NtsAssociation(aeadOf(id), session(id, cookies(id, count)))
  const ask = (association: NtsAssociation, transmit = 7n): Uint8Array =>
    association.request(header(transmit), random) as Uint8Array

  it.each([15, 16, 17, 30])("with AEAD %i keeps its jar full, poll after poll", (id) => {
    const association = start(id, 8)
    for (let poll = 0n; poll < 10n; poll += 1n) {
      const request = ask(association, poll)
      expect(association.cookies).toBe(7)
      expect(association.accept(answer(request))).toEqual({ _tag: "Authentic", newCookies: 1 })
      expect(association.cookies).toBe(8)
    }
  })

  it("asks for as many as it lacks, after losses, and never sends a cookie twice", () => {
    const association = start(30, 8)
    const sent = Array.from({ length: 5 }, (_, poll) => ask(association, BigInt(poll)))
    expect(sent.map((request) => fieldsOf(request).fields.placeholders)).toEqual([0, 1, 2, 3, 4])
    const used = sent.map((request) => {
      const { cookieOffset, cookieLength } = fieldsOf(request).fields
      return request.slice(cookieOffset, cookieOffset + cookieLength).join()
    })
    expect(new Set(used).size).toBe(5)
    expect(association.accept(answer(sent[4] as Uint8Array))).toEqual({ _tag: "Authentic", newCookies: 5 })
    expect(association.cookies).toBe(8)
  })

  it("has a request with a header untouched and a fresh identifier", () => {
    const association = start(15, 8)
    const [a, b] = [ask(association), ask(association)]
    expect(a.slice(0, HEADER_BYTES)).toEqual(header(7n))
    expect(a.slice(52, 84)).not.toEqual(b.slice(52, 84))
    expect(openWith(aeadOf(15), session(15, []).c2s, a)).toEqual(new Uint8Array(0))
  })

  it("never sends a request that would be fragmented, however long the server's cookies are", () => {
    const long = new NtsAssociation(aeadOf(15), session(15, [new Uint8Array(498), new Uint8Array(498)]))
    const request = ask(long)
    expect(request.length).toBeLessThanOrEqual(1232)
    expect(fieldsOf(request).fields).toMatchObject({ cookieLength: 500, placeholders: 1 })
  })

  it("accepts one reply to the last request only", () => {
    const association = start(15, 8)
    const [first, second] = [ask(association, 1n), ask(association, 2n)]
    expect(association.accept(answer(first))).toEqual({ _tag: "Rejected", reason: "wrong-origin" })
    const reply = answer(second)
    expect(association.accept(reply)._tag).toBe("Authentic")
    expect(association.accept(reply)).toEqual({ _tag: "Rejected", reason: "unasked" })
  })

  it("accepts the request's receive timestamp as origin (RFC 9769), where the request has one", () => {
    const interleaved = header(7n)
    new DataView(interleaved.buffer).setBigUint64(32, 9n)
    const association = start(15, 8)
    const request = association.request(interleaved, random) as Uint8Array
    // The header is under the seal, and the server above seals what stands in the request's transmit field.
    const echo = (origin: bigint): Uint8Array => {
      const told = request.slice()
      new DataView(told.buffer).setBigUint64(24, origin)
      return told
    }
    for (const origin of [0n, 8n]) expect(association.accept(echo(origin))).toMatchObject({ reason: "wrong-origin" })
    expect(association.accept(echo(9n))).toMatchObject({ reason: "forged" })
    expect(association.accept(echo(7n))).toMatchObject({ reason: "forged" })
    const basic = start(15, 8)
    const plain = basic.request(header(7n), random) as Uint8Array
    expect(basic.accept(plain)).toMatchObject({ reason: "wrong-origin" })
  })

  it("rejects a reply with any bit flipped, and still takes the true one", () => {
    const association = start(30, 4)
    const reply = answer(ask(association))
    const reasons = new Set<string>()
    for (let bit = 0; bit < 8 * reply.length; bit += 1) {
      const changed = reply.slice()
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      const verdict = association.accept(changed)
      expect([bit, verdict._tag]).toEqual([bit, "Rejected"])
      if (verdict._tag === "Rejected") reasons.add(verdict.reason)
    }
    expect([...reasons].sort()).toEqual([
      "forged",
      "malformed",
      "not-authenticated",
      "wrong-identifier",
      "wrong-origin"
    ])
    expect(association.accept(reply)._tag).toBe("Authentic")
  })

  it("rejects plain replies, short ones and replies without an identifier", () => {
    const association = start(15, 4)
    const reply = answer(ask(association))
    expect(association.accept(reply.slice(0, 48))).toEqual({ _tag: "Rejected", reason: "not-authenticated" })
    expect(association.accept(reply.slice(0, 84))).toEqual({ _tag: "Rejected", reason: "not-authenticated" })
    expect(association.accept(reply.slice(0, 47))).toEqual({ _tag: "Rejected", reason: "short" })
    expect(association.accept(reply.slice(0, 60))).toEqual({ _tag: "Rejected", reason: "malformed" })
  })

  it("goes on after a NAK when the true reply follows, and wants new keys when none does", () => {
    const association = start(15, 4)
    const request = ask(association)
    const nak = answer(request, 5000)
    expect(association.accept(nak)).toEqual({ _tag: "Nak" })
    expect(association.needsKeyExchange).toBe(true)
    expect(association.accept(answer(request))._tag).toBe("Authentic")
    expect(association.needsKeyExchange).toBe(false)
  })

  it("takes a NAK as chronyd sends it", () => {
    const request = hex(recorded.nak.request)
    const association = new NtsAssociation(aeadOf(15), session(15, [new Uint8Array(100)]))
    const identifier = request.slice(52, 84)
    association.request(request.slice(0, 48), (bytes) => {
      bytes.set(identifier.subarray(0, bytes.length))
    })
    expect(association.accept(hex(recorded.nak.nak))).toEqual({ _tag: "Nak" })
  })

  it("wants new keys when its jar is empty", () => {
    const association = start(15, 1)
    expect(association.needsKeyExchange).toBe(false)
    ask(association)
    expect(association.needsKeyExchange).toBe(true)
    expect(association.request(header(1n), random)).toBeUndefined()
  })

  it("goes on from its persisted session", () => {
    const association = start(15, 5)
    ask(association)
    const again = new NtsAssociation(aeadOf(15), association.session())
    expect(again.cookies).toBe(4)
    expect(again.accept(answer(ask(again)))).toEqual({ _tag: "Authentic", newCookies: 5 })
  })

  it("is not made of keys of another AEAD", () => {
    expect(() => new NtsAssociation(aeadOf(17), session(15, []))).toThrow(
      "expected keys of 64 bytes for AES_SIV_CMAC_512"
    )
  })
})
