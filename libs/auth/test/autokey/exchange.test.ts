/** Whole exchanges: an association of ours against a responder of ours, and against what the reference said. */
import { generatePrimeSync } from "node:crypto"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import {
  AutokeyOperation,
  type AutokeyValue,
  decodeAutokeyPacket,
  encodeAutokeyValues,
  writeAutokeyField,
  autokeyFieldLength,
  decodeAutokeyValues
} from "@meridian/wire/autokey-fields"
import { octetsOf } from "@meridian/wire/der"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { describe, expect, it } from "vitest"
import { AutokeyAssociation, type PacketContext } from "../../src/autokey/association.ts"
import { AutokeyBroadcaster } from "../../src/autokey/broadcaster.ts"
import { publicKeyOf } from "../../src/autokey/certificate.ts"
import { makeGqGroup } from "../../src/autokey/gq.ts"
import { type GroupParameters, noParameters } from "../../src/autokey/group-parameters.ts"
import type { AutokeyHost } from "../../src/autokey/host.ts"
import { gqGroupKeyNumbers, iffGroupKeyNumbers, mvServerKeyNumbers } from "../../src/autokey/identity-files.ts"
import { iffParametersOf, makeIffGroup } from "../../src/autokey/iff.ts"
import { followsInChain, KeyList } from "../../src/autokey/key-list.ts"
import { makeMvAuthority } from "../../src/autokey/mv.ts"
import { writeDsa, writeRsa } from "../../src/autokey/private-keys.ts"
import { Responder } from "../../src/autokey/responder.ts"
import { PUBLIC_COOKIE, SessionKeys } from "../../src/autokey/session-key.ts"
import { signatureFault, signValue } from "../../src/autokey/signed-value.ts"
import type { MacAlgorithmName } from "../../src/mac-algorithms.ts"
import {
  client,
  client6,
  hostOf,
  LEAP,
  NOW,
  NTP,
  type Party,
  partyOf,
  randomBelow,
  randomWord,
  server,
  server6
} from "./parties.ts"
import { digests } from "./recordings.ts"

const associationOf = (party: Party, group?: GroupParameters, lines: string[] = []) =>
  new AutokeyAssociation(
    {
      ...party,
      rsa: nodeRsa,
      digests,
      randomBelow,
      randomWord,
      group,
      mode: "client",
      record: (line) => void lines.push(line)
    },
    4_711
  )

/** Sends the association's next packet to a party that has no memory of it, and takes the reply in. */
const exchange = (
  association: AutokeyAssociation,
  to: Party,
  now: number | undefined,
  six = false,
  serverNow = NOW
) => {
  const out = { source: six ? client6 : client, destination: six ? server6 : server }
  const back = { source: out.destination, destination: out.source }
  const context: PacketContext = { pair: out, now, pollSeconds: 64 }
  const outgoing = association.next(context)
  const request = new Uint8Array(2_048)
  let length = HEADER_BYTES
  for (const field of outgoing.fields) length += writeAutokeyField(request, length, field)
  length = association.seal(request, length, context, outgoing)
  const packet = decodeAutokeyPacket(request.slice(0, length))
  if (typeof packet === "string") throw new Error(packet)
  const sessionKeys = new SessionKeys(digests, to.host.digest)
  const cookie = sessionKeys.cookie(out, 0xdead_beef)
  const own = packet.fields.length > 0 ? PUBLIC_COOKIE : cookie
  const verified = sessionKeys.verify(request.slice(0, length), packet.macOffset, out, own)
  const reply = new Uint8Array(2_048)
  let replyLength = HEADER_BYTES
  const [field] = packet.fields
  const answer = field === undefined ? undefined : to.responder.answer(field, { cookie, now: serverNow })
  if (answer?.field !== undefined) replyLength += writeAutokeyField(reply, replyLength, answer.field)
  replyLength = sessionKeys.append(reply, replyLength, back, packet.keyId, own)
  const received = reply.slice(0, replyLength)
  const decoded = decodeAutokeyPacket(received)
  if (typeof decoded === "string") throw new Error(decoded)
  return {
    operation: field?.operation,
    reason: answer?.reason,
    verified,
    ...association.receive(received, decoded, { ...context, pair: back })
  }
}

/** Runs exchanges until nothing is asked any more; the client is synchronised after the first time it could use. */
const run = (association: AutokeyAssociation, to: Party, six = false, most = 20) => {
  const asked: string[] = []
  let now: number | undefined
  for (let turn = 0; turn < most; turn += 1) {
    const result = exchange(association, to, now, six)
    if (result.reason !== undefined) asked.push(result.reason)
    if (result.isTimeUsable) now = NOW
    if (result.operation === undefined && now !== undefined && turn > 8) break
  }
  return { asked, flags: association.status.toString(16), isSynchronised: now !== undefined }
}

const prime = (bits: number): bigint => generatePrimeSync(bits, { bigint: true })
const q = prime(160)
const iff = makeIffGroup({ q, p: generatePrimeSync(512, { add: 2n * q, rem: 1n, bigint: true }) }, randomBelow)
const gq = makeGqGroup(prime(256) * prime(256), randomBelow)
const mv = makeMvAuthority({ factors: [0xc88de49bn, 0xf08ae663n, 0xf8d43d83n] }, randomBelow)
const stamp = NTP(NOW - 900)
const groups = {
  iff: {
    identity: { scheme: "iff", key: writeDsa(iffGroupKeyNumbers(iff)), filestamp: stamp },
    parameters: { ...noParameters, iff: { value: iffParametersOf(iff), filestamp: stamp } },
    flags: "87f21"
  },
  gq: {
    identity: { scheme: "gq", key: writeRsa(gqGroupKeyNumbers(gq)), filestamp: stamp },
    parameters: { ...noParameters, gq: { value: { n: gq.n, b: gq.b }, filestamp: stamp } },
    flags: "87f41"
  },
  mv: {
    identity: { scheme: "mv", key: writeDsa(mvServerKeyNumbers(mv.server)), filestamp: stamp },
    parameters: { ...noParameters, mv: { value: mv.clients[0]!, filestamp: stamp } },
    flags: "87f81"
  }
} as const

describe("an association with a server", () => {
  it.each([
    ["RSA-MD5", "87f01"],
    ["RSA-SHA1", "417f01"],
    ["RSA-SHA256", "29c7f01"]
  ])("goes through TC with %s", (scheme, flags) => {
    const alice = partyOf(hostOf("alice", { kind: "trusted", scheme }))
    const lines: string[] = []
    const association = associationOf(partyOf(hostOf("bob", { key: 1, scheme })), undefined, lines)
    expect(run(association, alice)).toEqual({
      asked: ["association", "certificate", "cookie", "sign", "leap-seconds"],
      flags,
      isSynchronised: true
    })
    expect(lines.map((line) => line.split(" ")[0])).toEqual(["assoc", "cert", "cook", "sign", "leap"])
    expect(association.leapSeconds).toEqual(LEAP)
  })

  it.each([
    ["IPv6", { six: true }],
    ["SHA1 session keys", { digest: "SHA1" as const }]
  ])("goes with %s", (_, { six, digest = "MD5" }: { six?: boolean; digest?: MacAlgorithmName }) => {
    const alice = partyOf(hostOf("alice", { kind: "trusted", digest }))
    const association = associationOf(partyOf(hostOf("bob", { key: 1, digest })))
    expect(run(association, alice, six)).toMatchObject({ flags: "87f01", isSynchronised: true })
  })

  it("asks for no leap seconds where the server has no table", () => {
    const alice = partyOf(hostOf("alice", { kind: "trusted" }), false)
    const association = associationOf(partyOf(hostOf("bob", { key: 1 })))
    expect(run(association, alice)).toMatchObject({
      flags: "83f01",
      asked: ["association", "certificate", "cookie", "sign"]
    })
  })

  it("needs nothing but a cookie with a private certificate (PC)", () => {
    const about = { kind: "private", key: 2 } as const
    const association = associationOf(partyOf(hostOf("alice", about)))
    expect(run(association, partyOf(hostOf("alice", about)))).toMatchObject({
      asked: ["association", "cookie", "leap-seconds"],
      flags: "87f11"
    })
  })
})

describe("an association with a server of a group", () => {
  const schemes = ["iff", "gq", "mv"] as const
  const member = (scheme: (typeof schemes)[number], identity = groups[scheme].identity) =>
    partyOf(hostOf("alice@wonder", { kind: "trusted", identity: [identity], gqPublic: gq.v }))
  const bob = () => partyOf(hostOf("bob@wonder", { key: 1 }))

  it.each(schemes)("proves it with %s", (scheme) => {
    const lines: string[] = []
    const association = associationOf(bob(), groups[scheme].parameters, lines)
    expect(run(association, member(scheme))).toEqual({
      asked: ["association", "certificate", scheme, "cookie", "sign", "leap-seconds"],
      flags: groups[scheme].flags,
      isSynchronised: true
    })
    expect(lines).toContain(`${scheme} alice@wonder fs ${stamp}`)
  })

  it.each(schemes)("believes no impostor with %s", (scheme) => {
    const other = {
      iff: { ...groups.iff.identity, key: writeDsa(iffGroupKeyNumbers({ ...iff, b: iff.b + 1n })) },
      gq: {
        ...groups.gq.identity,
        key: writeRsa(gqGroupKeyNumbers(makeGqGroup(prime(256) * prime(256), randomBelow)))
      },
      mv: {
        ...groups.mv.identity,
        key: writeDsa(
          mvServerKeyNumbers(makeMvAuthority({ factors: [0xc88de49bn, 0xf08ae663n, 0xf8d43d83n] }, randomBelow).server)
        )
      }
    }
    const lines: string[] = []
    const association = associationOf(bob(), groups[scheme].parameters, lines)
    expect(run(association, member(scheme, other[scheme] as never), false, 8).isSynchronised).toBe(false)
    expect(lines.at(-1)).toMatch(/ 4711 10e bad_or_missing_group key$|protocol_error$/)
  })

  it("asks nothing further where it has no parameters of the group's", () => {
    const association = associationOf(bob(), noParameters)
    const { asked, isSynchronised } = run(association, member("iff"), false, 8)
    expect([asked, isSynchronised]).toEqual([["association", "certificate"], false])
  })

  it("takes no older group key than its own, nor one made since with IFF", () => {
    const later = { ...groups.iff.identity, filestamp: stamp + 5 }
    const lines: string[] = []
    const association = associationOf(bob(), groups.iff.parameters, lines)
    expect(run(association, member("iff", later), false, 6).isSynchronised).toBe(false)
    expect(lines.at(-1)).toContain("103 bad_filestamp")
    const gqLater = partyOf(
      hostOf("alice@wonder", {
        kind: "trusted",
        identity: [{ ...groups.gq.identity, filestamp: stamp + 5 }],
        gqPublic: gq.v
      })
    )
    expect(run(associationOf(bob(), groups.gq.parameters), gqLater).isSynchronised).toBe(true)
  })

  it("is not answered by a host of another group", () => {
    const carol = partyOf(hostOf("carol@elsewhere", { key: 2 }))
    const association = associationOf(carol)
    expect(exchange(association, member("iff"), undefined)).toMatchObject({ reason: "other-group" })
  })
})

describe("a trail", () => {
  it("of two is climbed to its trusted end", () => {
    const alice = partyOf(hostOf("alice", { kind: "trusted" }))
    const bob = partyOf(hostOf("bob", { key: 1 }))
    expect(run(associationOf(bob), alice).flags).toBe("87f01")
    const lines: string[] = []
    const carol = associationOf(partyOf(hostOf("carol", { key: 2 })), undefined, lines)
    expect(run(carol, bob)).toEqual({
      asked: ["association", "certificate", "certificate", "cookie", "sign", "leap-seconds"],
      flags: "87f01",
      isSynchronised: true
    })
    expect(lines.filter((line) => line.startsWith("cert")).map((line) => line.split(" ").slice(1, 3))).toEqual([
      ["bob", "alice"],
      ["alice", "alice"]
    ])
  })

  it("that has no end yet is asked for again and again", () => {
    const bob = partyOf(hostOf("bob", { key: 1 }))
    const carol = associationOf(partyOf(hostOf("carol", { key: 2 })))
    const { asked, isSynchronised } = run(carol, bob, false, 5)
    expect([asked, isSynchronised]).toEqual([
      ["association", "no-certificate", "no-certificate", "no-certificate", "no-certificate"],
      false
    ])
  })
})

describe("an association", () => {
  const alice = partyOf(hostOf("alice", { kind: "trusted" }))

  it("waits for a server that is not synchronised, and goes on when it is", () => {
    const association = associationOf(partyOf(hostOf("bob", { key: 1 })))
    for (let turn = 0; turn < 4; turn += 1) exchange(association, alice, undefined, false, undefined as never)
    expect(run(association, alice)).toMatchObject({ flags: "87f01", isSynchronised: true })
  })

  it("takes no packet under another key id or another key", () => {
    const association = associationOf(partyOf(hostOf("bob", { key: 1 })))
    run(association, alice)
    const context: PacketContext = { pair: { source: client, destination: server }, now: NOW, pollSeconds: 64 }
    const back = { ...context, pair: { source: server, destination: client } }
    const { keyId } = association.next(context)
    const sessionKeys = new SessionKeys(digests, "MD5")
    const forge = (id: number, cookie: number) => {
      const bytes = new Uint8Array(HEADER_BYTES + 20)
      sessionKeys.append(bytes, HEADER_BYTES, back.pair, id, cookie)
      return association.receive(bytes, decodeAutokeyPacket(bytes) as never, back)
    }
    const cookie = sessionKeys.cookie(context.pair, 0xdead_beef)
    expect(forge(keyId, cookie)).toEqual({ isAuthentic: true, isTimeUsable: true, restarted: false })
    expect(forge(keyId ^ 1, cookie).isAuthentic).toBe(false)
    expect(forge(keyId, cookie ^ 1).isAuthentic).toBe(false)
    expect(forge(keyId, PUBLIC_COOKIE).isAuthentic).toBe(false)
  })

  it("begins anew after an error of the other side", () => {
    const association = associationOf(partyOf(hostOf("bob", { key: 1 })))
    run(association, alice, false, 3)
    const noCertificate = partyOf(hostOf("alice", { kind: "trusted", from: NOW - 400 * 86_400 }))
    const lines: string[] = []
    const other = associationOf(partyOf(hostOf("bob", { key: 1 })), undefined, lines)
    run(other, noCertificate, false, 3)
    expect(lines.at(-1)).toContain("10a host_certificate_expired")
    expect(association.status).not.toBe(0)
    association.restart()
    expect(association.status).toBe(0)
    expect(run(association, alice).flags).toBe("87f01")
  })

  it("makes a new key list when the cookie changes and when one is spent", () => {
    const association = associationOf(partyOf(hostOf("bob", { key: 1 })))
    run(association, alice)
    const context: PacketContext = { pair: { source: client, destination: server }, now: NOW, pollSeconds: 64 }
    const seen = new Set(Array.from({ length: 150 }, () => association.next(context).keyId))
    expect(seen.size).toBe(150)
    expect(seen.has(0)).toBe(false)
  })
})

describe("a responder", () => {
  const alice = partyOf(hostOf("alice", { kind: "trusted", identity: [groups.iff.identity] }))
  const context = { cookie: 7, now: NOW }
  const ask = (operation: number, value?: Uint8Array, filestamp = 0) =>
    alice.responder.answer(
      {
        operation,
        isResponse: false,
        isError: false,
        associationId: 9,
        content: value === undefined ? undefined : { timestamp: 0, filestamp, value, signature: new Uint8Array(0) }
      },
      context
    )
  const text = (name: string): Uint8Array => new TextEncoder().encode(name)

  it.each([
    ["bad-value", AutokeyOperation.association, undefined],
    ["bad-value", AutokeyOperation.association, new Uint8Array(0)],
    ["bad-value", AutokeyOperation.certificate, new Uint8Array(300).fill(0x61)],
    ["bad-value", AutokeyOperation.certificate, text("two words")],
    ["no-certificate", AutokeyOperation.certificate, text("nobody")],
    ["bad-public-key", AutokeyOperation.cookie, new Uint8Array(140)],
    ["bad-public-key", AutokeyOperation.cookie, undefined],
    ["bad-challenge", AutokeyOperation.iff, new Uint8Array(20)],
    ["bad-challenge", AutokeyOperation.iff, octetsOf(q, 20)],
    ["bad-challenge", AutokeyOperation.iff, new Uint8Array(2_000)],
    ["bad-challenge", AutokeyOperation.iff, undefined],
    ["no-group-key", AutokeyOperation.gq, Uint8Array.of(1)],
    ["no-group-key", AutokeyOperation.mv, Uint8Array.of(1)],
    ["bad-certificate", AutokeyOperation.sign, new Uint8Array(400)],
    ["bad-certificate", AutokeyOperation.sign, undefined],
    ["no-association", AutokeyOperation.autokey, undefined],
    ["unknown-operation", 10, undefined],
    ["unknown-operation", 0, undefined]
  ] as const)("says %s to operation %d", (reason, operation, value) => {
    const answer = ask(operation, value)
    expect(answer.reason).toBe(reason)
    expect(answer.field?.isError).toBe(reason !== "no-certificate")
    expect(answer.field === undefined ? 0 : autokeyFieldLength(answer.field)).toBe(8)
  })

  it("signs no certificate that is its own, expired, or signed by another key", () => {
    const sign = (host: AutokeyHost) => ask(AutokeyOperation.sign, host.certificate.der).reason
    expect(sign(hostOf("bob", { key: 1 }))).toBe("sign")
    expect(sign(hostOf("alice", { key: 1 }))).toBe("bad-certificate")
    expect(sign(hostOf("bob", { key: 1, from: NOW - 366 * 86_400 }))).toBe("bad-certificate")
    expect(sign(hostOf("bob", { key: 1, from: NOW + 9 }))).toBe("bad-certificate")
    const signed = ask(AutokeyOperation.sign, hostOf("bob", { key: 1 }).certificate.der).field!.content!.value
    expect(ask(AutokeyOperation.sign, signed).reason).toBe("bad-certificate")
  })

  it("does not answer responses", () => {
    const answer = alice.responder.answer(
      { operation: 1, isResponse: true, isError: false, associationId: 9, content: undefined },
      context
    )
    expect(answer).toEqual({ reason: "no-request", field: undefined })
  })
})

describe("a broadcast server", () => {
  const told = { source: server, destination: Uint8Array.of(192, 0, 2, 255) }
  const BROADCAST_ID = 815
  /** A list of ids as the server would make one, and its values with its signature. */
  const listOf = (host: AutokeyHost, start: number, at = NOW) => {
    const list = KeyList.make(new SessionKeys(digests, "MD5"), told, PUBLIC_COOKIE, start, 8)
    const values = signValue(host.signer, NTP(at), NTP(at), encodeAutokeyValues(list.values))
    return { list, values }
  }
  const telling = (association: AutokeyAssociation, keyId: number, values?: AutokeyValue) => {
    const bytes = new Uint8Array(2_048)
    const field = { operation: AutokeyOperation.autokey, isResponse: true, isError: false, associationId: BROADCAST_ID }
    const written = values === undefined ? 0 : writeAutokeyField(bytes, HEADER_BYTES, { ...field, content: values })
    const end = HEADER_BYTES + written
    const packet = bytes.slice(0, new SessionKeys(digests, "MD5").append(bytes, end, told, keyId, PUBLIC_COOKIE))
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string") throw new Error(decoded)
    return association.receiveTold(packet, decoded, { pair: told, now: NOW, pollSeconds: 64 })
  }
  /** The exchange of a client that was told the time, up to the key list's values. */
  const follow = () => {
    const alice = hostOf("alice", { kind: "trusted" })
    const { list, values } = listOf(alice, 0x4242_4242)
    const party = partyOf(alice)
    const responder = new Responder({
      ...party,
      rsa: nodeRsa,
      digests,
      randomBelow,
      leapSeconds: LEAP,
      autokeyValues: (id) => (id === BROADCAST_ID ? values : undefined)
    })
    const bob = partyOf(hostOf("bob", { key: 1 }))
    const parts = { ...bob, rsa: nodeRsa, digests, randomBelow, randomWord, group: undefined, record: () => {} }
    const association = new AutokeyAssociation({ ...parts, mode: "broadcast", broadcastId: BROADCAST_ID }, 4_711)
    return { alice, list, association, run: () => run(association, { ...party, responder }) }
  }

  it("is asked for the list of its broadcasts, and believed by it alone", () => {
    const { list, association, run: ask } = follow()
    const first = list.take()!
    expect(telling(association, first)).toMatchObject({ isAuthentic: true, isTimeUsable: false })
    expect(ask().asked).toEqual(["association", "certificate", "cookie", "autokey", "sign", "leap-seconds"])
    expect(telling(association, first)).toMatchObject({ isAuthentic: true, isTimeUsable: true })
    // One is lost on its way.
    list.take()
    expect(telling(association, list.take()!)).toMatchObject({ isTimeUsable: true })
  })

  it("is not believed under an id that belongs to no list: anybody can make such a MAC", () => {
    const { association, run: ask } = follow()
    ask()
    expect(telling(association, 0x7777_7777)).toMatchObject({ isAuthentic: true, isTimeUsable: false })
  })

  it("begins another list with values that it signed, and nobody else can", () => {
    const { alice, association, run: ask } = follow()
    ask()
    const mallory = listOf(hostOf("mallory", { kind: "trusted", key: 2 }), 0x1111_1111, NOW + 5)
    expect(telling(association, mallory.list.take()!, mallory.values).isTimeUsable).toBe(false)
    const next = listOf(alice, 0x2222_2222, NOW + 10)
    expect(telling(association, next.list.take()!, next.values).isTimeUsable).toBe(true)
    expect(telling(association, next.list.take()!).isTimeUsable).toBe(true)
  })

  it("begins each list with its values, and says its name in all other packets", () => {
    const host = hostOf("alice", { kind: "trusted" })
    const pair = told
    const broadcaster = new AutokeyBroadcaster({ host, digests, randomWord, associationId: BROADCAST_ID, pair })
    const sessionKeys = new SessionKeys(digests, "MD5")
    expect(broadcaster.values).toBeUndefined()
    const all = Array.from({ length: 130 }, (_, count) => {
      const bytes = new Uint8Array(1_024)
      // 64 s between packets: a list lasts for 64 of them.
      const length = broadcaster.write(bytes, HEADER_BYTES, broadcaster.prepare(NOW + 64 * count, 64, true))
      const packet = bytes.slice(0, length)
      const decoded = decodeAutokeyPacket(packet)
      if (typeof decoded === "string") throw new Error(decoded)
      const [field] = decoded.fields
      return { keyId: decoded.keyId, field: field!, values: broadcaster.values!, packet, macOffset: decoded.macOffset }
    })
    const fields = { isResponse: true, isError: false, associationId: BROADCAST_ID }
    const name = new TextEncoder().encode("alice")
    for (const { packet, macOffset, field } of all) {
      expect(sessionKeys.verify(packet, macOffset, pair, PUBLIC_COOKIE)).toBe(true)
      expect(field).toMatchObject(fields)
    }
    const begins = (index: number): boolean => index % 64 === 0
    for (const { field, values, keyId } of all.filter((_, index) => begins(index))) {
      expect(field).toMatchObject({ operation: AutokeyOperation.autokey, content: values })
      const key = publicKeyOf(host.certificate, nodeRsa)!
      expect(signatureFault(field.content!, key, host.signer.scheme)).toBeUndefined()
      const { keyId: end } = decodeAutokeyValues(field.content!.value)!
      expect(followsInChain(sessionKeys, pair, PUBLIC_COOKIE, keyId, [end], 0)).toBe(0)
    }
    for (const [index, { field, keyId }] of all.entries()) {
      if (begins(index)) continue
      const content = { filestamp: 0x8_0003, value: name }
      expect(field).toMatchObject({ operation: AutokeyOperation.association, content })
      const { keyId: before } = all[index - 1]!
      expect(followsInChain(sessionKeys, pair, PUBLIC_COOKIE, keyId, [before], 0)).toBe(0)
    }
  })
})
