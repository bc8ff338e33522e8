/** Interleaved mode (RFC 9769) under NTS: a server that seals what it says, and everybody who would like to be it. */
import { describe, expect, it } from "vitest"
import { nobleAeads, nobleBatch } from "@meridian/auth/aead-noble"
import { COOKIE_AEAD } from "@meridian/auth/cookie"
import { sealCookie } from "@meridian/testkit/cookies"
import { KeyRing } from "@meridian/auth/key-ring"
import { NtsAssociation } from "@meridian/auth/nts-client"
import { NtsServer } from "@meridian/auth/nts-server"
import type { Association } from "../src/association.ts"
import { networkTimeSecurity } from "../src/association-authentication.ts"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { HEADER_BYTES, type NtpHeader } from "@meridian/wire/ntp"
import { newTrailer, scanTrailer } from "@meridian/wire/trailer"
import {
  associate,
  at,
  dropsIn,
  environment,
  hand,
  headerOf,
  moment,
  replyTo,
  samplesIn,
  sendIn
} from "./association-harness.ts"

const aead = nobleAeads.get(15)!
const generation = { id: 9, key: new Uint8Array(32).fill(4), activation: 0, retirement: 1e6, revoked: false }
const { fillRandom } = environment()
const keys = { c2s: new Uint8Array(32).fill(1), s2c: new Uint8Array(32).fill(2) }
const cookie = (): Uint8Array => {
  const nonce = new Uint8Array(10)
  fillRandom(nonce)
  return sealCookie(nobleAeads.get(COOKIE_AEAD)!, generation, { aead, ...keys }, nonce)
}
const start = (xleave = true): Association => {
  const session = { ...keys, cookies: Array.from({ length: 8 }, cookie) }
  return associate({ xleave }, networkTimeSecurity(new NtsAssociation(aead, session)))
}

/** Seals a reply with this header to a request. */
const sealed = (request: Uint8Array, header: Uint8Array): Uint8Array<ArrayBuffer> => {
  const server = new NtsServer({ batch: nobleBatch, fillRandom, slots: 1 })
  server.useRing(KeyRing.of([generation]))
  const packet = request.slice()
  const view = new DataView(packet.buffer)
  const trailer = newTrailer()
  server.begin(packet, view, 1)
  scanTrailer(view, 0, packet.length, 4, trailer)
  server.admit(0, 0, packet.length, trailer)
  server.verify()
  if (server.verdict(0) !== "verified") throw new Error("the request is not authentic")
  packet.set(header)
  const length = server.reply(0)
  server.seal()
  return new Uint8Array(packet.subarray(0, length))
}

/** A server that remembers when each reply really left: 0.1 ms after the transmit timestamp in it. */
class InterleavingServer {
  private readonly left = new Map<bigint, NtpTimestamp>()
  answer(request: Uint8Array, seconds: number, change: Partial<NtpHeader> = {}): Uint8Array<ArrayBuffer> {
    const asked = headerOf(request)
    const [receive, transmit] = [at(seconds + 0.26), at(seconds + 0.261)]
    const before = this.left.get(asked.origin)
    this.left.clear()
    this.left.set(receive, at(seconds + 0.2611))
    const interleaved = before === undefined ? {} : { origin: asked.receive, transmit: before }
    return sealed(request, replyTo(request.subarray(0, HEADER_BYTES), receive, transmit, { ...interleaved, ...change }))
  }
}
const request = (association: Association, seconds: number): Uint8Array =>
  sendIn(association.poll(moment(seconds))).bytes

describe("an association with xleave and nts", () => {
  it("begins in basic mode, then measures the exchange before by its true transmit time", () => {
    const [association, server] = [start(), new InterleavingServer()]
    const first = request(association, 0)
    expect(headerOf(first)).toMatchObject({ origin: 0n, receive: 0n })
    expect(samplesIn(hand(association, 0, server.answer(first, 0)))).toMatchObject([{ interleaved: false }])
    const second = request(association, 64)
    expect(headerOf(second).origin).toBe(at(0.26))
    expect(headerOf(second).receive).not.toBe(0n)
    // The exchange before gave a basic sample already.
    expect(dropsIn(hand(association, 64, server.answer(second, 64)))).toEqual(["measured-already"])
    const third = samplesIn(hand(association, 128, server.answer(request(association, 128), 128)))
    expect(third).toMatchObject([{ interleaved: true, t2: at(64.26), t3: at(64.2611), t4: at(64.021), time: 64.021 }])
    const fourth = samplesIn(hand(association, 192, server.answer(request(association, 192), 192)))
    expect(fourth).toMatchObject([{ interleaved: true, t3: at(128.2611) }])
  })

  it("starts over after a lost reply, and takes basic replies of a server that forgot", () => {
    const [association, server] = [start(), new InterleavingServer()]
    for (const seconds of [0, 64, 128])
      hand(association, seconds, server.answer(request(association, seconds), seconds))
    request(association, 192)
    const afterLoss = request(association, 256)
    expect(headerOf(afterLoss).origin).toBe(0n)
    expect(samplesIn(hand(association, 256, server.answer(afterLoss, 256)))).toMatchObject([{ interleaved: false }])
    const forgetful = new InterleavingServer()
    const replied = hand(association, 320, forgetful.answer(request(association, 320), 320))
    expect(samplesIn(replied)).toMatchObject([{ interleaved: false, t2: at(320.26), t3: at(320.261) }])
  })

  it("does not interleave unless told", () => {
    const [association, server] = [start(false), new InterleavingServer()]
    hand(association, 0, server.answer(request(association, 0), 0))
    expect(headerOf(request(association, 64))).toMatchObject({ origin: 0n, receive: 0n })
  })

  it("takes nothing that is forged, misdirected or replayed, and still takes the true reply", () => {
    const [association, server] = [start(), new InterleavingServer()]
    for (const seconds of [0, 64]) hand(association, seconds, server.answer(request(association, seconds), seconds))
    const asked = request(association, 128)
    const { receive, transmit, origin } = headerOf(asked)
    const truly = server.answer(asked, 128)
    expect(headerOf(truly).origin).toBe(receive)
    const drop = (packet: Uint8Array): string => dropsIn(hand(association, 128, packet)).join()
    // An interleaved reply's header, by somebody without the keys: bare, and with a seal that was made for another origin.
    expect(drop(truly.slice(0, HEADER_BYTES))).toBe("not-authenticated")
    const moved = truly.slice()
    new DataView(moved.buffer).setBigUint64(24, transmit)
    expect(drop(moved)).toBe("forged")
    const later = truly.slice()
    later[47] = later[47]! ^ 1
    expect(drop(later)).toBe("forged")
    // Sealed by the true server for the request, but echoing nothing of it; and for another client's request.
    expect(drop(sealed(asked, replyTo(asked, at(128.26), at(128.261), { origin })))).toBe("bogus-origin")
    const other = start()
    const foreign = sealed(request(other, 128), replyTo(asked, at(128.26), at(128.261), { origin: receive }))
    expect(drop(foreign)).toBe("wrong-identifier")
    expect(samplesIn(hand(association, 128, truly))).toMatchObject([{ interleaved: true }])
    expect(drop(truly)).toBe("duplicate")
  })

  it("does not ask another server for what the one before knew", () => {
    const [association, server] = [start(), new InterleavingServer()]
    hand(association, 0, server.answer(request(association, 0), 0))
    const session = { ...keys, cookies: Array.from({ length: 8 }, cookie) }
    const elsewhere = { address: "192.0.2.9", port: 123 }
    const moved = association.keysExchanged(moment(64), new NtsAssociation(aead, session), elsewhere)
    expect(headerOf(sendIn(moved).bytes)).toMatchObject({ origin: 0n, receive: 0n })
  })
})
