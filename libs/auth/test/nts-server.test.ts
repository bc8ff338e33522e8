import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  AUTHENTICATOR_HEADER_BYTES,
  findNtsFields,
  newNtsFields,
  NtsFieldType,
  padded,
  walkEncryptedFields,
  writeAuthenticatorHeader,
  writeFieldHeader
} from "@meridian/wire/nts-fields"
import { newTrailer, scanTrailer, TrailerShape } from "@meridian/wire/trailer"
import { type Aead, type AeadBatch, type AeadId } from "../src/nts/aead.ts"
import { batchOver, nobleAeads, nobleBatch } from "../src/nts/aead-noble.ts"
import { COOKIE_AEAD } from "../src/nts/cookie.ts"
import { openCookie, sealCookie } from "@meridian/testkit/cookies"
import { type Generation, KeyRing } from "../src/nts/key-ring.ts"
import { KISS_NTSN, NtsServer, type NtsVerdict } from "../src/nts/nts-server.ts"

const generation = (id: number, activation = 0, retirement = 1000): Generation => ({
  id,
  key: Uint8Array.from({ length: 32 }, (_, index) => index * id),
  activation,
  retirement,
  revoked: false
})
const ring = KeyRing.of([generation(1), generation(2, 100)])
const NOW = 50
const START = 64
const SLOT = 2048

const counter = (): ((bytes: Uint8Array) => void) => {
  let next = 1
  return (bytes) => {
    for (let index = 0; index < bytes.length; index += 1) bytes[index] = (next = (next * 75 + 74) % 65537) & 255
  }
}
const aeadOf = (id: AeadId): Aead => nobleAeads.get(id) as Aead
const c2s = (id: AeadId): Uint8Array => new Uint8Array(aeadOf(id).keyBytes).fill(0xc2)
const s2c = (id: AeadId): Uint8Array => new Uint8Array(aeadOf(id).keyBytes).fill(0x2c)
const cookieOf = (id: AeadId, sealing = generation(1)): Uint8Array =>
  sealCookie(
    aeadOf(COOKIE_AEAD),
    sealing,
    { aead: aeadOf(id), c2s: c2s(id), s2c: s2c(id) },
    Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
  )

interface RequestShape {
  readonly id?: AeadId
  readonly cookie?: Uint8Array
  readonly placeholders?: number
  readonly placeholderBytes?: number
  readonly encrypted?: Uint8Array
  readonly identifierBytes?: number
  readonly nonceBytes?: number
  readonly before?: number
  readonly trailing?: number
}

/** A request as a client of any make might send it. */
const requestOf = (shape: RequestShape = {}): Uint8Array => {
  const id = shape.id ?? 15
  const aead = aeadOf(id)
  const cookie = shape.cookie ?? cookieOf(id)
  const { placeholders = 0, encrypted = new Uint8Array(0), identifierBytes = 32, before = 0, trailing = 0 } = shape
  const nonceBytes = shape.nonceBytes ?? aead.nonceBytes
  const packet = new Uint8Array(4000)
  const view = new DataView(packet.buffer)
  packet[0] = 0x23
  packet.fill(0xab, 40, 48)
  let at = 48
  const add = (type: number, body: Uint8Array): void => {
    packet.set(body, writeFieldHeader(view, at, type, body.length))
    at += 4 + body.length
  }
  if (before > 0) add(0x7777, new Uint8Array(before))
  add(
    NtsFieldType.uniqueIdentifier,
    Uint8Array.from({ length: identifierBytes }, (_, index) => 0x80 + index)
  )
  add(NtsFieldType.cookie, cookie)
  for (let index = 0; index < placeholders; index += 1)
    add(NtsFieldType.cookiePlaceholder, new Uint8Array(shape.placeholderBytes ?? cookie.length))
  const length = writeAuthenticatorHeader(view, at, nonceBytes, aead.tagBytes + encrypted.length)
  const nonceAt = at + AUTHENTICATOR_HEADER_BYTES
  packet.fill(0x99, nonceAt, nonceAt + nonceBytes)
  const nonce = packet.slice(nonceAt, nonceAt + nonceBytes)
  aead.seal(c2s(id), nonce, packet.slice(0, at), encrypted, packet.subarray(nonceAt + padded(nonceBytes)))
  at += length
  if (trailing > 0) add(0x7777, new Uint8Array(trailing))
  return packet.slice(0, at)
}

const newServer = (slots = 4, batch: AeadBatch = nobleBatch): NtsServer => {
  const server = new NtsServer({ batch, fillRandom: counter(), slots })
  server.useRing(ring)
  return server
}

/** Takes requests through the whole path, writing plain headers as the packet server does. */
const serve = (requests: readonly Uint8Array[], server = newServer(), now = NOW) => {
  const packets = new Uint8Array(START + requests.length * SLOT)
  const view = new DataView(packets.buffer)
  const trailer = newTrailer()
  server.begin(packets, view, now)
  requests.forEach((request, slot) => {
    const offset = START + slot * SLOT
    packets.set(request, offset)
    expect(scanTrailer(view, offset, request.length, 4, trailer)).toBe(TrailerShape.plain)
    server.admit(slot, offset, request.length, trailer)
  })
  server.verify()
  const verdicts = requests.map((_, slot) => server.verdict(slot))
  const lengths = verdicts.map((verdict, slot) => {
    const offset = START + slot * SLOT
    packets[offset] = 0x24
    packets[offset + 1] = 2
    packets.copyWithin(offset + 24, offset + 40, offset + 48)
    if (verdict === "verified") return server.reply(slot)
    return verdict === "absent" || verdict === "malformed" ? 0 : server.nak(slot)
  })
  const cookies = server.cookiesInReply
  server.seal()
  const replies = lengths.map((length, slot) => packets.slice(START + slot * SLOT, START + slot * SLOT + length))
  return { verdicts, replies, cookies, packets }
}
const verdictOf = (request: Uint8Array, now = NOW): NtsVerdict | undefined =>
  serve([request], newServer(), now).verdicts[0]

/** Opens a reply as the client would: its cookies, or undefined when it does not verify. */
const openReply = (reply: Uint8Array, id: AeadId): Uint8Array[] | undefined => {
  const view = new DataView(reply.buffer)
  const [trailer, fields] = [newTrailer(), newNtsFields()]
  expect(scanTrailer(view, 0, reply.length, 4, trailer)).toBe(TrailerShape.plain)
  findNtsFields(view, trailer, fields)
  const text = new Uint8Array(fields.ciphertextLength - 16)
  const slice = (at: number, length: number): Uint8Array => reply.slice(at, at + length)
  const [nonce, ciphertext] = [
    slice(fields.nonceOffset, fields.nonceLength),
    slice(fields.ciphertextOffset, fields.ciphertextLength)
  ]
  if (!aeadOf(id).open(s2c(id), nonce, reply.slice(0, fields.authenticatorOffset), ciphertext, text)) return undefined
  const cookies: Uint8Array[] = []
  const whole = walkEncryptedFields(new DataView(text.buffer), 0, text.length, (type, at, length) => {
    expect(type).toBe(NtsFieldType.cookie)
    cookies.push(text.slice(at, at + length))
  })
  expect(whole).toBe(true)
  return cookies
}

describe.each([15, 16, 17, 30] as const)("with AEAD %i", (id) => {
  it("a request is answered with its identifier and one fresh cookie, in as many bytes", () => {
    const request = requestOf({ id })
    const { verdicts, replies } = serve([request])
    const reply = replies[0] as Uint8Array
    expect(verdicts).toEqual(["verified"])
    expect(reply).toHaveLength(request.length)
    expect(reply.subarray(48, 84)).toEqual(request.subarray(48, 84))
    const cookies = openReply(reply, id) as Uint8Array[]
    expect(cookies).toHaveLength(1)
    expect(cookies[0]).not.toEqual(cookieOf(id))
    expect(openCookie(aeadOf(COOKIE_AEAD), ring, cookies[0] as Uint8Array, NOW)).toMatchObject({
      c2s: c2s(id),
      s2c: s2c(id)
    })
  })

  it("cookies are as many as asked, at most eight, each different and each good for a request", () => {
    for (const placeholders of [0, 1, 2, 6, 7, 8]) {
      if (requestOf({ id, placeholders }).length > SLOT) continue
      const { replies } = serve([requestOf({ id, placeholders })])
      const cookies = openReply(replies[0] as Uint8Array, id) as Uint8Array[]
      expect(cookies).toHaveLength(Math.min(8, placeholders + 1))
      expect(new Set(cookies.map((cookie) => cookie.join())).size).toBe(cookies.length)
      for (const cookie of cookies) expect(verdictOf(requestOf({ id, cookie }))).toBe("verified")
    }
  })

  it("a request with any bit flipped is not answered as authentic", () => {
    const request = requestOf({ id })
    for (let bit = 0; bit < 8 * request.length; bit += 1) {
      const changed = request.slice()
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      const [packets, trailer] = [changed.slice(), newTrailer()]
      const view = new DataView(packets.buffer)
      if (scanTrailer(view, 0, packets.length, 4, trailer) !== TrailerShape.plain) continue
      const server = newServer(1)
      server.begin(packets, view, NOW)
      server.admit(0, 0, packets.length, trailer)
      server.verify()
      expect([bit, server.verdict(0)]).not.toEqual([bit, "verified"])
    }
  })
})

describe("a reply", () => {
  it("is never longer than its request, whatever the client sent", () => {
    const counts = new Map<number, number>()
    const shape = fc.record({
      id: fc.constantFrom<AeadId>(15, 30),
      placeholders: fc.nat(9),
      placeholderBytes: fc.constantFrom(60, 64, 96, 100),
      identifierBytes: fc.constantFrom(32, 36, 64, 128),
      before: fc.constantFrom(0, 28, 100),
      trailing: fc.constantFrom(0, 28)
    })
    fc.assert(
      fc.property(shape, (each) => {
        const request = requestOf(each)
        const { verdicts, replies } = serve([request])
        const reply = replies[0] as Uint8Array
        expect(verdicts[0]).toBe("verified")
        expect(reply.length).toBeLessThanOrEqual(request.length)
        const cookies = openReply(reply, each.id)?.length ?? -1
        expect(cookies).toBeLessThanOrEqual(8)
        expect(cookies).toBeGreaterThanOrEqual(1)
        counts.set(cookies, (counts.get(cookies) ?? 0) + 1)
      }),
      { numRuns: 150 }
    )
    expect(counts.size).toBeGreaterThan(4)
  })

  it("carries cookies of the generation that is active, also to clients of the one before", () => {
    const { replies } = serve([requestOf()], newServer(), 200)
    const cookie = openReply(replies[0] as Uint8Array, 15)?.[0] as Uint8Array
    expect([...cookie.subarray(2, 6)]).toEqual([0, 0, 0, 2])
    expect(verdictOf(requestOf({ cookie }), 200)).toBe("verified")
  })

  it("carries no cookies when no generation is active, but is authentic", () => {
    const server = newServer()
    server.useRing(KeyRing.of([generation(1, 500)]))
    const { replies, verdicts } = serve([requestOf()], server)
    expect(verdicts).toEqual(["verified"])
    expect(openReply(replies[0] as Uint8Array, 15)).toEqual([])
  })

  it("counts placeholders that were encrypted", () => {
    const encrypted = new Uint8Array(200)
    const view = new DataView(encrypted.buffer)
    writeFieldHeader(view, 0, NtsFieldType.cookiePlaceholder, 96)
    writeFieldHeader(view, 100, NtsFieldType.cookiePlaceholder, 96)
    const request = requestOf({ encrypted })
    const { replies } = serve([request])
    expect(openReply(replies[0] as Uint8Array, 15)).toHaveLength(3)
    expect(replies[0]).toHaveLength(request.length)
  })

  it("has fewer cookies when the client did not pad its request as RFC 8915 asks", () => {
    const { verdicts, replies } = serve([requestOf({ nonceBytes: 1 }), requestOf({ nonceBytes: 1, before: 28 })])
    expect(verdicts).toEqual(["verified", "verified"])
    expect(openReply(replies[0] as Uint8Array, 15)).toEqual([])
    expect(openReply(replies[1] as Uint8Array, 15)).toHaveLength(1)
  })

  it("does not depend on the other packets of the batch", () => {
    const forged = requestOf()
    forged[forged.length - 1] = (forged[forged.length - 1] as number) ^ 1
    const server = newServer(4)
    const { verdicts, replies } = serve(
      [requestOf({ id: 30 }), forged, requestOf({ placeholders: 7 }), requestOf()],
      server
    )
    expect(verdicts).toEqual(["verified", "request-forged", "verified", "verified"])
    expect(
      [openReply(replies[0] as Uint8Array, 30), openReply(replies[2] as Uint8Array, 15)].map((each) => each?.length)
    ).toEqual([1, 8])
    expect(openReply(replies[3] as Uint8Array, 15)).toHaveLength(1)
    expect(serve([requestOf()], server).verdicts).toEqual(["verified"])
  })

  it("leaves no client key behind in the server's secrets", () => {
    let vault = new Uint8Array(0)
    const peeping: AeadBatch = {
      kind: "reference",
      run: (jobs, count, packets, secrets) => {
        vault = secrets as Uint8Array<ArrayBuffer>
        nobleBatch.run(jobs, count, packets, secrets)
      }
    }
    const { verdicts } = serve([requestOf(), requestOf({ id: 30 })], newServer(2, peeping))
    expect(verdicts).toEqual(["verified", "verified"])
    expect(vault.join()).not.toMatch(/(?:194,){4}|(?:44,){4}/)
  })

  it("leaves no client key behind in the packet buffer", () => {
    const { packets } = serve([requestOf({ placeholders: 3 }), requestOf({ id: 30 })])
    const text = packets.join()
    expect(text).not.toContain(c2s(30).join())
    expect(text).not.toContain(s2c(30).join())
  })
})

describe("a request that cannot be verified", () => {
  it.each([
    ["of an unknown generation", requestOf({ cookie: cookieOf(15, generation(7)) }), "cookie-unknown"],
    ["that is another server's", requestOf({ cookie: new Uint8Array(104).fill(3) }), "cookie-malformed"],
    ["of another length", requestOf({ cookie: cookieOf(15).slice(0, 92) }), "cookie-malformed"],
    [
      "whose tag is wrong",
      requestOf({ cookie: cookieOf(15).map((byte, index) => (index === 20 ? byte ^ 1 : byte)) }),
      "cookie-forged"
    ],
    ["of another client's session", requestOf({ cookie: cookieOf(30), id: 15 }), "request-forged"]
  ] as const)("with a cookie %s is %s", (_, request, verdict) => {
    const { verdicts, replies } = serve([request])
    expect(verdicts).toEqual([verdict])
    const nak = replies[0] as Uint8Array
    const view = new DataView(nak.buffer)
    expect(nak).toHaveLength(84)
    expect([nak[0], nak[1], view.getUint32(12)]).toEqual([0xe4, 0, KISS_NTSN])
    expect(nak.subarray(24, 32)).toEqual(request.subarray(40, 48))
    expect(nak.subarray(48)).toEqual(request.subarray(48, 84))
  })

  it("because its generation retired or was revoked says so", () => {
    expect(verdictOf(requestOf(), 1000)).toBe("cookie-retired")
    const server = newServer()
    server.useRing(KeyRing.of(ring.generations.map((it) => ({ ...it, revoked: it.id === 1 }))))
    expect(serve([requestOf()], server).verdicts).toEqual(["cookie-revoked"])
  })

  it("because nonce or ciphertext cannot be the AEAD's is forged, without an attempt", () => {
    const request = requestOf({ id: 30 })
    new DataView(request.buffer).setUint16(request.length - 36 + 4, 8)
    expect(verdictOf(request)).toBe("request-forged")
  })

  it("is malformed without a cookie, and absent without NTS", () => {
    const bare = requestOf().slice(0, 48)
    expect(verdictOf(bare)).toBe("absent")
    const reply = serve([requestOf()]).replies[0] as Uint8Array
    expect(verdictOf(reply)).toBe("malformed")
  })

  it("is not decrypted when its cookie did not open", () => {
    let opened = 0
    const counting = new Map(
      Array.from(nobleAeads, ([id, aead]) => [
        id,
        { ...aead, open: (...text: Parameters<Aead["open"]>) => ((opened += 1), aead.open(...text)) }
      ])
    )
    const cookie = cookieOf(15).map((byte, index) => (index === 20 ? byte ^ 1 : byte))
    serve([requestOf({ cookie })], newServer(1, batchOver("reference", counting)))
    expect(opened).toBe(1)
    serve([requestOf()], newServer(1, batchOver("reference", counting)))
    expect(opened).toBe(3)
  })

  it("does not cost the AEAD implementation a call when nothing is pending", () => {
    let calls = 0
    const counting: AeadBatch = { kind: "reference", run: (...job) => ((calls += 1), nobleBatch.run(...job)) }
    serve([requestOf({ cookie: cookieOf(15, generation(7)) }), requestOf().slice(0, 48)], newServer(2, counting))
    expect(calls).toBe(0)
    serve([requestOf(), requestOf({ id: 30 })], newServer(2, counting))
    expect(calls).toBe(2)
  })
})

it("never throws and never writes outside the packet, whatever follows the header", () => {
  const template = requestOf({ placeholders: 1 })
  const verdicts = new Set<string>()
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(template.length - 49), fc.nat(255)), { maxLength: 4 }), (changes) => {
      const packets = new Uint8Array(START + template.length + 64).fill(0x5a)
      packets.set(template, START)
      for (const [at, value] of changes) packets[START + 48 + at] = value
      const [view, trailer, server] = [new DataView(packets.buffer), newTrailer(), newServer(1)]
      if (scanTrailer(view, START, template.length, 4, trailer) !== TrailerShape.plain) return
      server.begin(packets, view, NOW)
      server.admit(0, START, template.length, trailer)
      server.verify()
      const verdict = server.verdict(0)
      verdicts.add(verdict)
      const length = verdict === "verified" ? server.reply(0) : verdict.includes("-") ? server.nak(0) : 0
      server.seal()
      expect(length).toBeLessThanOrEqual(template.length)
      expect(packets.subarray(0, START).every((byte) => byte === 0x5a)).toBe(true)
      expect(packets.subarray(START + template.length).every((byte) => byte === 0x5a)).toBe(true)
    }),
    { numRuns: 3000 }
  )
  expect(verdicts).toContain("verified")
  expect(verdicts).toContain("request-forged")
})

it("a slot that is not there is the caller's mistake", () => {
  expect(() => newServer(2).verdict(2)).toThrow("expected a slot below 2, found 2")
})
