/** The server with keys: symmetric MACs and NTS, alone and mixed in one batch with plain requests and forgeries. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { AeadId } from "@meridian/auth/aead"
import { batchOver, nobleAeads } from "@meridian/auth/aead-noble"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { COOKIE_AEAD } from "@meridian/auth/cookie"
import { sealCookie } from "@meridian/testkit/cookies"
import { KeyRing } from "@meridian/auth/key-ring"
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { type DigestPort, SymmetricMacs } from "@meridian/auth/mac"
import { macAlgorithms } from "@meridian/auth/mac-algorithms"
import { macBatchOver } from "@meridian/auth/mac-batch"
import { MacServer } from "@meridian/auth/mac-server"
import { NtsAssociation } from "@meridian/auth/nts-client"
import { NtsServer } from "@meridian/auth/nts-server"
import { KeyedAuthenticator } from "@meridian/protocol/keyed-authenticator"
import { NtsAuthenticator } from "@meridian/protocol/nts-authenticator"
import { ignore, kiss } from "../src/outcome.ts"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { NtpServer } from "../src/server.ts"
import { servedMoment } from "@meridian/testkit/served-moment"
import { Leap, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { differenceSeconds, ntpSeconds, ntpTimestamp } from "@meridian/time/timestamp"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"
import { decodeHeader, type NtpHeader } from "@meridian/wire/ntp"

const NOW = 1_795_000_000
const ARRIVED = ntpSeconds(NOW)
const SLOT = 2048
const SLOTS = 8

const digests: DigestPort = {
  supports: (name) => name.startsWith("AES"),
  digest: (_name, key, bytes, offset, length, out) => nobleCmac(key, bytes, offset, length, out)
}
const key = new SymmetricKey(7, macAlgorithms["AES-128"], new Uint8Array(16).fill(0x77))
const untrusted = new SymmetricKey(8, macAlgorithms["AES-128"], new Uint8Array(16).fill(0x88))
const generation = {
  id: 5,
  key: new Uint8Array(32).fill(5),
  activation: NOW - 100,
  retirement: NOW + 100,
  revoked: false
}

let drawn = 1
const fillRandom = (bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (drawn = (drawn * 75 + 74) % 65_537) & 255
}

/** CLOCK_MONOTONIC stands, unless a test says otherwise, where the batch was taken up. */
const STANDING = () => 10

const goodCurve = { ...unsynchronisedCurve(), leap: Leap.none, stratum: 2, deadline: 1_000 }

const makeServer = (
  sendCryptoNak = false,
  monotonic: () => number = STANDING,
  ring = KeyRing.of([generation])
): NtpServer => {
  const server = new NtpServer({ precision: -24, minimumPoll: 0, longestRequest: SLOT })
  const nts = new NtsServer({ batch: batchOver("reference", nobleAeads, monotonic), fillRandom, slots: SLOTS })
  nts.useRing(ring)
  const table = KeyTable.of([key, untrusted]).withTrusted([{ first: 7, last: 7 }])
  const macs = new MacServer(macBatchOver(digests, monotonic), SLOTS)
  macs.useKeys(table)
  server.authenticators = [new NtsAuthenticator(nts, true), new KeyedAuthenticator(macs, sendCryptoNak)]
  return server
}

const association = (): NtsAssociation => {
  const aead = nobleAeads.get(AeadId.sivCmac256)!
  const cookieAead = nobleAeads.get(COOKIE_AEAD)!
  const c2s = new Uint8Array(32).fill(0xc2)
  const s2c = new Uint8Array(32).fill(0x2c)
  const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
  return new NtsAssociation(aead, {
    c2s,
    s2c,
    cookies: [sealCookie(cookieAead, generation, { aead, c2s, s2c }, nonce)]
  })
}

const keyed = (under: SymmetricKey, id = under.id): Uint8Array => {
  const packet = new Uint8Array(48 + 20)
  packet.set(clientRequest(4, ntpTimestamp(1, 2)))
  const view = new DataView(packet.buffer)
  new SymmetricMacs(digests, KeyTable.empty).append(view, packet, 0, 48, under)
  view.setUint32(48, id)
  return packet
}

/** Runs one batch as the worker does; the outcome's name and the reply of each. */
const serve = (server: NtpServer, requests: readonly Uint8Array[], from: readonly number[] = [0, 0, 0, 0]) => {
  const bytes = new Uint8Array(SLOT * SLOTS)
  const view = new DataView(bytes.buffer)
  requests.forEach((request, slot) => bytes.set(request, slot * SLOT))
  const moment = servedMoment(goodCurve, { seconds: NOW, nanoseconds: 0 }, 10)
  const addresses = new Uint8Array(SLOTS * SOURCE_STRIDE)
  for (let slot = 0; slot < SLOTS; slot++) addresses.set(from, sourceAddressAt(slot, 4))
  server.beginBatch({ bytes, view, family: 4, addresses, localAddresses: new Uint8Array(SLOTS * 16) }, moment, NOW, 10)
  const outcomes = requests.map((request, slot) => {
    const outcome = server.handle(slot, slot * SLOT, request.length, ARRIVED, 0)
    return { outcome, length: server.replyLength }
  })
  const settled = outcomes.map(({ outcome, length }, slot) => {
    if (outcome._tag !== "Pending") return { outcome, length }
    return { outcome: server.finish(slot, slot * SLOT, ARRIVED, 0), length: server.replyLength }
  })
  server.endBatch()
  return settled.map(({ outcome, length }, slot) => ({
    reason: outcome.reason,
    reply: outcome._tag === "Respond" ? bytes.slice(slot * SLOT, slot * SLOT + length) : undefined
  }))
}

describe("symmetric keys", () => {
  it("answers under the request's key, with a MAC that verifies", () => {
    const [answer] = serve(makeServer(), [keyed(key)])
    expect(answer?.reason).toBe("served-keyed")
    expect(answer?.reply).toHaveLength(68)
    const reply = answer!.reply!
    const macs = new SymmetricMacs(digests, KeyTable.of([key]).withTrusted([{ first: 1, last: 9 }]))
    expect(macs.verify(new DataView(reply.buffer), reply, 0, 48, 20)).toBe("verified")
    expect(decodeHeader(reply)).toMatchObject({ mode: 4, stratum: 2, origin: ntpTimestamp(1, 2) })
  })
  it.each([
    ["a key nobody has", keyed(key, 99), "unknown-key"],
    ["a key that is not trusted", keyed(untrusted), "untrusted-key"],
    ["another key's digest", keyed(untrusted, 7), "bad-mac"]
  ])("%s is dropped, or answered with a crypto-NAK where that is wished", (_name, request, reason) => {
    expect(serve(makeServer(), [request])).toEqual([{ reason, reply: undefined }])
    const [nak] = serve(makeServer(true), [request])
    expect(nak?.reason).toBe("crypto-nak-sent")
    expect(nak?.reply?.slice(48)).toEqual(new Uint8Array(4))
  })
})

describe("a symmetric active packet under a key", () => {
  const second = 2_208_988_800 + NOW
  /** As a peer sends it that heard our reply so many seconds ago. */
  const from = (age: number | undefined, poll: number, under = key, mode = 1): Uint8Array => {
    const packet = keyed(under)
    const view = new DataView(packet.buffer)
    packet[0] = (4 << 3) | mode
    view.setInt8(2, poll)
    if (age !== undefined) view.setUint32(24, second - age)
    new SymmetricMacs(digests, KeyTable.empty).append(view, packet, 0, 48, under)
    return packet
  }

  it.each([
    ["no origin", from(undefined, 6), "served-keyed"],
    ["the origin of a moment ago", from(0, 6), "served-peer"],
    ["an origin of a poll ago", from(64, 6), "served-peer"],
    ["an origin of two polls ago", from(130, 6), "served-peer"],
    ["one of three polls ago", from(192, 6), "served-keyed"],
    ["one of an hour ago, and a poll interval of an hour", from(3_600, 12), "served-keyed"],
    ["one of ten seconds ago, and a poll interval of under a second", from(10, -6), "served-keyed"],
    ["one to come", from(-10, 6), "served-keyed"],
    ["one of 68 years ago", from(2 ** 31 - 1, 6), "served-keyed"],
    ["the mode of a client", from(1, 6, key, 3), "served-keyed"],
    ["a key that is not trusted", from(1, 6, untrusted), "untrusted-key"],
    ["a MAC that does not verify", from(1, 6).with(60, 1), "bad-mac"]
  ])("with %s", (_name, packet, reason) => {
    const [answer] = serve(makeServer(), [packet])
    expect(answer?.reason).toBe(reason)
    const mode = answer?.reply === undefined ? undefined : answer.reply[0]! & 7
    expect([answer?.reply?.length, mode]).toEqual(
      reason.startsWith("served") ? [packet.length, (packet[0]! & 7) + 1] : [undefined, undefined]
    )
  })

  it("without a MAC is never taken for a peer's, whatever else it says", () => {
    const [answer] = serve(makeServer(), [from(1, 6).slice(0, 48)])
    expect(answer?.reason).toBe("served")
  })
})

describe("NTS", () => {
  const header = clientRequest(4, ntpTimestamp(9, 9))

  it("answers authentically with as many cookies as were asked for", () => {
    const client = association()
    const request = client.request(header, fillRandom)!
    const [answer] = serve(makeServer(), [request])
    expect(answer?.reason).toBe("served-nts")
    expect(answer!.reply!.length).toBeLessThanOrEqual(request.length)
    expect(client.accept(answer!.reply!)).toEqual({ _tag: "Authentic", newCookies: 8 })
    expect(decodeHeader(answer!.reply!)).toMatchObject({ stratum: 2, leap: 0 })
  })
  it("decides a mixed batch slot by slot", () => {
    const client = association()
    const good = client.request(header, fillRandom)!
    const forged = association().request(header, fillRandom)!.with(-1, 0xff)
    const identifierAlone = new Uint8Array(48 + 36)
    identifierAlone.set(header)
    new DataView(identifierAlone.buffer).setUint32(48, 0x01040024)
    const answers = serve(makeServer(), [header, forged, keyed(key), good, identifierAlone])
    expect(answers.map(({ reason }) => reason)).toEqual([
      "served",
      "nts-nak-sent",
      "served-keyed",
      "served-nts",
      "served"
    ])
    expect(client.accept(answers[3]!.reply!)).toMatchObject({ _tag: "Authentic" })
  })
  it("is not held up by a batch that ended with NTS fields and nothing pending", () => {
    const server = makeServer()
    const [nts] = server.authenticators as [NtsAuthenticator]
    nts.hasKeys = false
    expect(serve(server, [association().request(header, fillRandom)!])[0]?.reason).toBe("nts-not-served")
    nts.hasKeys = true
    const client = association()
    const [answer] = serve(server, [client.request(header, fillRandom)!])
    expect(client.accept(answer!.reply!)).toMatchObject({ _tag: "Authentic" })
  })
  it("sends a NAK that the client understands, at most fifty a second to one network and a thousand in all", () => {
    const server = makeServer(false, STANDING, KeyRing.of([{ ...generation, id: 6 }]))
    const client = association()
    const [nak] = serve(server, [client.request(header, fillRandom)!])
    expect(nak?.reason).toBe("nts-nak-sent")
    expect(client.accept(nak!.reply!)).toEqual({ _tag: "Nak" })
    const refused = (count: number, network: number) =>
      Array.from({ length: count }, (_, index) => {
        const from = [192, 0, network, index & 255]
        return serve(server, [association().request(header, fillRandom)!], from)[0]?.reason
      }).filter((reason) => reason !== "nts-nak-sent")
    expect(refused(60, 2)).toEqual(Array.from({ length: 10 }, () => "nts-nak-limited"))
    // Others are told still: a thousand in all, but for networks that met in one place.
    const others = Array.from({ length: 24 }, (_, index) => refused(50, 3 + index).length).reduce((a, b) => a + b)
    expect(others).toBeGreaterThanOrEqual(24 * 50 - 949)
    expect(others).toBeLessThan(24 * 50 - 949 + 200)
  })
})

describe("an admission", () => {
  it("hears of each request whether it is authentic, and may have it refused, with the news of that or without", () => {
    const server = makeServer()
    const proofs: unknown[] = []
    const refused = ignore("control")
    const deny = kiss("nts-nak-sent", 0x44454e59)
    server.admission = {
      sheds: false,
      begin: () => {},
      judge: () => undefined,
      judgeProof: (slot, isAuthenticated) => {
        proofs.push([slot, isAuthenticated])
        return slot === 0 ? refused : slot === 1 ? deny : undefined
      },
      signsFor: () => false,
      mayPeer: () => true
    }
    const request = () => association().request(header(), fillRandom)!
    const answers = serve(server, [keyed(key), request(), keyed(key), request(), header(), keyed(untrusted, 7)])
    expect(answers.map(({ reason, reply }) => [reason, reply?.length])).toEqual([
      ["control", undefined],
      ["nts-nak-sent", 48],
      ["served-keyed", 68],
      ["served-nts", expect.any(Number)],
      ["served", 48],
      ["bad-mac", undefined]
    ])
    expect(proofs).toEqual([
      [4, false],
      [0, true],
      [1, true],
      [2, true],
      [3, true]
    ])
    expect(decodeHeader(answers[1]!.reply!)).toMatchObject({ stratum: 0, leap: 3, referenceId: 0x44454e59 })
  })
})

describe("the transmit timestamp of an authenticated reply", () => {
  it("is that of its own sealing, not of its batch, and is authentic", () => {
    let now = 10
    // Each look at the clock finds it an eighth of a second on.
    const server = makeServer(false, () => (now += 0.125))
    const [one, other] = [association(), association()]
    const header = clientRequest(4, ntpTimestamp(9, 9))
    const answers = serve(server, [
      keyed(key),
      one.request(header, fillRandom)!,
      header,
      other.request(header, fillRandom)!,
      keyed(key)
    ])
    const replies = answers.map(({ reply }) => reply!)
    const heldEighths = replies.map((reply) => {
      const header = decodeHeader(reply) as NtpHeader
      return differenceSeconds(header.transmit, header.receive) * 8
    })
    // NTS replies are sealed first. The plain one is moved on by who sends it.
    expect(heldEighths).toEqual([3, 1, 0, 2, 4])
    expect(one.accept(replies[1]!)).toMatchObject({ _tag: "Authentic" })
    expect(other.accept(replies[3]!)).toMatchObject({ _tag: "Authentic" })
    const macs = new SymmetricMacs(digests, KeyTable.of([key]).withTrusted([{ first: 7, last: 7 }]))
    for (const at of [0, 4])
      expect(macs.verify(new DataView(replies[at]!.buffer), replies[at]!, 0, 48, 20)).toBe("verified")
  })
})

describe("any request with a trailer", () => {
  it("has an outcome, and no reply is longer than it", () => {
    const server = makeServer(true)
    const field = fc
      .tuple(
        fc.constantFrom(0x0104, 0x0204, 0x0304, 0x0404, 0xf323),
        fc.integer({ min: 4, max: 40 }),
        fc.uint8Array({ minLength: 160, maxLength: 160 })
      )
      .map(([type, words, body]) => {
        const bytes = body.slice(0, words * 4)
        new DataView(bytes.buffer).setUint32(0, (type << 16) | bytes.length)
        return [...bytes]
      })
    fc.assert(
      fc.property(fc.array(field, { maxLength: 5 }), fc.uint8Array({ maxLength: 28 }), (fields, tail) => {
        const request = Uint8Array.from([...header(), ...fields.flat(), ...tail])
        const [answer] = serve(server, [request])
        expect(answer!.reply?.length ?? 0).toBeLessThanOrEqual(request.length)
      }),
      { numRuns: 500 }
    )
  })
})

const header = (): Uint8Array => clientRequest(4, ntpTimestamp(4, 4))
