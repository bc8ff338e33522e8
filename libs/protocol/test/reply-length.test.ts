/**
 * No reply is longer than its request: over batches of plain, keyed and NTS requests of every version and mode, with fields
 * in any order, whole, changed in places, cut or drawn out. Nor is a byte touched that was not the request's.
 */
import fc from "fast-check"
import { expect, it } from "vitest"
import { AeadId, aeadParameters } from "@meridian/auth/aead"
import { nobleAeads, nobleBatch } from "@meridian/auth/aead-noble"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { COOKIE_AEAD } from "@meridian/auth/cookie"
import { sealCookie } from "@meridian/testkit/cookies"
import { type Generation, KeyRing } from "@meridian/auth/key-ring"
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { type DigestPort, SymmetricMacs } from "@meridian/auth/mac"
import { macAlgorithms } from "@meridian/auth/mac-algorithms"
import { macBatchOver } from "@meridian/auth/mac-batch"
import { MacServer } from "@meridian/auth/mac-server"
import { NtsServer } from "@meridian/auth/nts-server"
import { KeyedAuthenticator } from "@meridian/protocol/keyed-authenticator"
import { NtsAuthenticator } from "@meridian/protocol/nts-authenticator"
import { NtpServer } from "../src/server.ts"
import { servedMoment } from "@meridian/testkit/served-moment"
import { Leap, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ntpSeconds } from "@meridian/time/timestamp"
import { SOURCE_STRIDE } from "@meridian/wire/source-address"
import { AUTHENTICATOR_HEADER_BYTES, NtsFieldType, padded, writeAuthenticatorHeader } from "@meridian/wire/nts-fields"

const NOW = 1_795_000_000
const ARRIVED = ntpSeconds(NOW)
/** CLOCK_MONOTONIC, which stands. */
const STANDING = () => 10
const SLOT = 4096
const SLOTS = 4
const UNTOUCHED = 0x5a
const addresses = new Uint8Array(SLOTS * SOURCE_STRIDE)

const generations = [5, 6, 7].map((id) => ({
  id,
  key: new Uint8Array(32).fill(id),
  activation: NOW - 100 * id,
  retirement: id === 6 ? NOW - 1 : NOW + 100,
  revoked: id === 7
}))
const strange = { ...generations[0]!, id: 8 }

const digests: DigestPort = {
  supports: (name) => name.startsWith("AES"),
  digest: (name, key, bytes, offset, length, out) => {
    if (name.startsWith("AES")) return nobleCmac(key, bytes, offset, length, out)
    // Not SHA-512, but as long, and of the key and every byte.
    let sum = key.reduce((all, byte) => all + byte, 1)
    for (let at = offset; at < offset + length; at += 1) sum = (sum * 31 + bytes[at]!) % 65_521
    out.fill(sum & 255, 0, 64)
    return 64
  }
}
const keys = [
  new SymmetricKey(1, macAlgorithms["AES-128"], new Uint8Array(16).fill(1)),
  new SymmetricKey(2, macAlgorithms.SHA512, new Uint8Array(20).fill(2)),
  new SymmetricKey(3, macAlgorithms["AES-256"], new Uint8Array(32).fill(3))
]

let drawn = 1
const fillRandom = (bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (drawn = (drawn * 75 + 74) % 65_537) & 255
}

const goodCurve = { ...unsynchronisedCurve(), leap: Leap.none, stratum: 2, deadline: 1_000 }

const newServer = (sendCryptoNak: boolean): NtpServer => {
  const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: 2048 })
  const nts = new NtsServer({ batch: nobleBatch, fillRandom, slots: SLOTS })
  nts.useRing(KeyRing.of(generations))
  const table = KeyTable.of(keys).withTrusted([{ first: 1, last: 2 }])
  const macs = new MacServer(macBatchOver(digests, STANDING), SLOTS)
  macs.useKeys(table)
  server.authenticators = [new NtsAuthenticator(nts, true), new KeyedAuthenticator(macs, sendCryptoNak)]
  return server
}

const header = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ minLength: 47, maxLength: 47 }))
  .map(([flags, rest]) => [flags, ...rest])
const version4 = fc.uint8Array({ minLength: 47, maxLength: 47 }).map((rest) => [0x23, ...rest])

const field = (type: number, body: Iterable<number>): number[] => {
  const bytes = [...body]
  const length = 4 + padded(bytes.length)
  return [
    type >> 8,
    type & 255,
    length >> 8,
    length & 255,
    ...bytes,
    ...Array<number>(length - 4 - bytes.length).fill(0)
  ]
}

const plain = fc
  .tuple(fc.oneof(header, version4), fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 80 })))
  .map(([head, tail]) => Uint8Array.from([...head, ...tail]))

const keyed = fc
  .record({
    head: fc.oneof(header, version4),
    fields: fc.array(fc.integer({ min: 3, max: 20 }), { maxLength: 2 }),
    key: fc.constantFrom(...keys),
    length: fc.constantFrom(undefined, undefined, undefined, undefined, 4, 16, 20, 32, 64),
    id: fc.constantFrom(null, null, null, null, 0, 1, 2, 3, 4)
  })
  .map(({ head, fields, key, length, id }) => {
    const cut = length ?? (key.algorithm.kind === "cmac" ? 16 : 20)
    const before = Uint8Array.from([...head, ...fields.flatMap((words) => field(0xf323, new Uint8Array(4 * words)))])
    const packet = new Uint8Array(before.length + 4 + cut)
    packet.set(before)
    const view = new DataView(packet.buffer)
    new SymmetricMacs(digests, KeyTable.empty).append(view, packet, 0, before.length, key, 4 + cut)
    if (id !== null) view.setUint32(before.length, id)
    return packet
  })

/** So that requests without slack are among them. */
const mostlyNone = (some: fc.Arbitrary<number[]>): fc.Arbitrary<number[]> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant<number[]>([]) }, { weight: 1, arbitrary: some })

/** NTS requests that are authentic, unless their cookie is none. */
const nts = fc
  .record({
    head: version4,
    id: fc.constantFrom(...Object.values(AeadId)),
    under: fc.constantFrom(...generations, ...Array<Generation>(8).fill(generations[0]!), strange),
    identifier: fc.integer({ min: 8, max: 60 }),
    nonce: fc.constantFrom(1, 4, 12, 16, 16, 32, 64),
    placeholders: mostlyNone(fc.array(fc.integer({ min: 3, max: 48 }), { maxLength: 9 })),
    fitting: fc.nat(9),
    others: mostlyNone(fc.array(fc.integer({ min: 3, max: 40 }), { maxLength: 2 })),
    encrypted: mostlyNone(fc.array(fc.integer({ min: 0, max: 48 }), { maxLength: 3 })),
    order: fc.infiniteStream(fc.nat()),
    after: fc.constantFrom(0, 0, 0, 6, 30),
    additional: fc.constantFrom(0, 0, 4, 64)
  })
  .map((shape) => {
    const { head, id, under, identifier, nonce, placeholders, fitting, others, encrypted, order, after, additional } =
      shape
    const aead = nobleAeads.get(id)!
    const parameters = aeadParameters(id)!
    const c2s = new Uint8Array(parameters.keyBytes).fill(0xc2)
    const s2c = new Uint8Array(parameters.keyBytes).fill(0x2c)
    const cookie = sealCookie(nobleAeads.get(COOKIE_AEAD)!, under, { aead: parameters, c2s, s2c }, new Uint8Array(10))
    const fields = [
      field(NtsFieldType.uniqueIdentifier, new Uint8Array(4 * identifier).fill(0xdd)),
      field(NtsFieldType.cookie, cookie),
      ...placeholders.map((words) => field(NtsFieldType.cookiePlaceholder, new Uint8Array(4 * words))),
      ...Array.from({ length: fitting }, () => field(NtsFieldType.cookiePlaceholder, cookie)),
      ...others.map((words) => field(0xf323, new Uint8Array(4 * words)))
    ]
    const keysOfOrder = new Map(fields.map((each) => [each, order.next().value]))
    fields.sort((a, b) => keysOfOrder.get(a)! - keysOfOrder.get(b)!)
    const text = Uint8Array.from(
      encrypted.flatMap((words) => field(NtsFieldType.cookiePlaceholder, new Uint8Array(4 * words)))
    )
    const nonceBytes = id === AeadId.aes128GcmSiv ? 12 : nonce
    const sealedBytes = text.length + parameters.tagBytes
    const covered = Uint8Array.from([...head, ...fields.flat()])
    const tail = new Uint8Array(AUTHENTICATOR_HEADER_BYTES + padded(nonceBytes) + padded(sealedBytes) + additional)
    const view = new DataView(tail.buffer)
    writeAuthenticatorHeader(view, 0, nonceBytes, sealedBytes)
    view.setUint16(2, tail.length)
    const nonceOf = tail.subarray(AUTHENTICATOR_HEADER_BYTES, AUTHENTICATOR_HEADER_BYTES + nonceBytes)
    fillRandom(nonceOf)
    aead.seal(c2s, nonceOf, covered, text, tail.subarray(AUTHENTICATOR_HEADER_BYTES + padded(nonceBytes)))
    return Uint8Array.from([...covered, ...tail, ...(after === 0 ? [] : field(0xf323, new Uint8Array(4 * after)))])
  })

/** As it is, or with bytes changed, or cut, or with bytes behind it. */
const damaged = (requests: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 3, arbitrary: requests },
    fc
      .tuple(requests, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }))
      .map(([request, changes]) => {
        const changed = request.slice()
        for (const [at, value] of changes) changed[at % changed.length] = value
        return changed
      }),
    fc.tuple(requests, fc.nat()).map(([request, length]) => request.slice(0, length % (request.length + 1))),
    fc
      .tuple(requests, fc.uint8Array({ maxLength: 40 }))
      .map(([request, more]) => Uint8Array.from([...request, ...more]))
  )

/** Serves batches; what became of their requests, by reason. */
const outcomesOf = (parameters: fc.Parameters<unknown>): ReadonlyMap<string, number> => {
  const seen = new Map<string, number>()
  const batch = fc.array(damaged(fc.oneof(plain, keyed, { weight: 3, arbitrary: nts })), {
    minLength: 1,
    maxLength: SLOTS
  })
  fc.assert(
    fc.property(batch, fc.boolean(), fc.boolean(), (requests, sendCryptoNak, synchronised) => {
      const server = newServer(sendCryptoNak)
      const bytes = new Uint8Array(SLOT * SLOTS).fill(UNTOUCHED)
      requests.forEach((request, slot) => bytes.set(request, slot * SLOT))
      const curve = synchronised ? goodCurve : unsynchronisedCurve()
      const localAddresses = new Uint8Array(SLOTS * 16)
      const moment = servedMoment(curve, { seconds: NOW, nanoseconds: 0 }, 10)
      server.beginBatch(
        { bytes, view: new DataView(bytes.buffer), family: 4, addresses, localAddresses },
        moment,
        NOW,
        10
      )
      const lengths = requests.map(() => 0)
      const waiting: number[] = []
      const settle = (slot: number, outcome: ReturnType<NtpServer["finish"]>): void => {
        seen.set(outcome.reason, (seen.get(outcome.reason) ?? 0) + 1)
        if (outcome._tag === "Respond") lengths[slot] = server.replyLength
      }
      requests.forEach(({ length }, slot) => {
        const outcome = server.handle(slot, slot * SLOT, length, ARRIVED, 0)
        if (outcome._tag === "Pending") waiting.push(slot)
        else settle(slot, outcome)
      })
      for (const slot of waiting) settle(slot, server.finish(slot, slot * SLOT, ARRIVED, 0))
      server.endBatch()
      requests.forEach((request, slot) => {
        expect(lengths[slot]).toBeLessThanOrEqual(request.length)
        const behind = bytes.subarray(slot * SLOT + request.length, (slot + 1) * SLOT)
        expect(behind.every((byte) => byte === UNTOUCHED)).toBe(true)
      })
    }),
    parameters as object
  )
  return seen
}

it("for any batch of requests", () => {
  expect(outcomesOf({ numRuns: 1_000 }).size).toBeGreaterThan(1)
})

it("for batches that reach every kind of reply", () => {
  const seen = outcomesOf({ numRuns: 500, seed: 20_261_130 })
  const reached = [
    "served",
    "served-keyed",
    "served-nts",
    "nts-nak-sent",
    "crypto-nak-sent",
    "nts-malformed",
    "malformed"
  ]
  expect(reached.filter((reason) => !seen.has(reason))).toEqual([])
})
