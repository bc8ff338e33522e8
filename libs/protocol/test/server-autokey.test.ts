/** Session-keyed requests on the packet line: Autokey without extension fields. */
import { SecretRing, serverSecrets } from "@meridian/auth/autokey/server-secret"
import { sessionBatchOver } from "@meridian/auth/autokey/session-batch"
import { SessionKeys } from "@meridian/auth/autokey/session-key"
import { SessionServer } from "@meridian/auth/autokey/session-server"
import type { Generation } from "@meridian/auth/key-ring"
import type { MacAlgorithmName } from "@meridian/auth/mac-algorithms"
import { nodeDigests } from "@meridian/ciphers/digests"
import { AutokeyAuthenticator } from "@meridian/protocol/autokey-authenticator"
import { LOCAL_ADDRESS_STRIDE } from "../src/request-batch.ts"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { NtpServer } from "../src/server.ts"
import { servedMoment } from "@meridian/testkit/served-moment"
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ntpSeconds, ntpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader } from "@meridian/wire/ntp"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"
import { describe, expect, it } from "vitest"

const NOW = 1_795_180_974
const SLOT = 256
const SLOTS = 4
const digests = nodeDigests()
const generation = (id: number, activation: number, revoked = false): Generation => ({
  id,
  key: new Uint8Array(32).fill(id),
  activation,
  retirement: activation + 100_000,
  revoked
})
const addresses = {
  4: { source: Uint8Array.of(192, 0, 2, 7), destination: Uint8Array.of(192, 0, 2, 1) },
  6: {
    source: Uint8Array.from({ length: 16 }, (_, index) => index),
    destination: Uint8Array.from({ length: 16 }, (_, index) => 0xf0 | index)
  }
}

const serverWith = (generations: readonly Generation[], digest: MacAlgorithmName = "MD5") => {
  const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: SLOT })
  const sessions = new SessionServer(
    sessionBatchOver(digests, digest, () => 10.5),
    SLOTS
  )
  const ring = new SecretRing(serverSecrets(generations, digests))
  server.authenticators = [new AutokeyAuthenticator(sessions, ring)]
  return server
}

/** Answers requests from one address as the worker does. */
const serve = (server: NtpServer, requests: readonly Uint8Array[], family: 4 | 6 = 4, now = NOW) => {
  const bytes = new Uint8Array(SLOT * SLOTS)
  const sources = new Uint8Array(SLOTS * SOURCE_STRIDE)
  const localAddresses = new Uint8Array(SLOTS * LOCAL_ADDRESS_STRIDE)
  requests.forEach((request, slot) => {
    bytes.set(request, slot * SLOT)
    sources.set(addresses[family].source, sourceAddressAt(slot, family))
    localAddresses.set(addresses[family].destination, slot * LOCAL_ADDRESS_STRIDE)
  })
  const view = new DataView(bytes.buffer)
  const moment = servedMoment(unsynchronisedCurve(), { seconds: now, nanoseconds: 0 }, 10)
  server.beginBatch({ bytes, view, family, addresses: sources, localAddresses }, moment, now, 10)
  const handled = requests.map((request, slot) => {
    const outcome = server.handle(slot, slot * SLOT, request.length, ntpSeconds(now), 0)
    return { outcome, length: server.replyLength }
  })
  const settled = handled.map(({ outcome, length }, slot) => {
    if (outcome._tag !== "Pending") return { outcome, length }
    return { outcome: server.finish(slot, slot * SLOT, ntpSeconds(now), 0), length: server.replyLength }
  })
  server.endBatch()
  return settled.map(({ outcome, length }, slot) => ({
    reason: outcome.reason,
    reply: outcome._tag === "Respond" ? bytes.slice(slot * SLOT, slot * SLOT + length) : new Uint8Array(0)
  }))
}

const secretOf = (one: Generation): number => serverSecrets([one], digests)[0]!.value
const requestUnder = (secret: number, keyId = 0x6a61_934b, family: 4 | 6 = 4, digest: MacAlgorithmName = "MD5") => {
  const keys = new SessionKeys(digests, digest)
  const packet = new Uint8Array(48 + keys.macBytes)
  packet.set(clientRequest(4, ntpTimestamp(1, 2)))
  keys.append(packet, 48, addresses[family], keyId, keys.cookie(addresses[family], secret))
  return packet
}
const current = generation(2, NOW - 10_000)

describe("a session-keyed request", () => {
  it.each([
    [4, "MD5"],
    [6, "MD5"],
    [4, "SHA1"],
    [6, "SHA256"]
  ] as const)("is answered under a key of its own, by IPv%d with %s", (family, digest) => {
    const request = requestUnder(secretOf(current), 0x6a61_934b, family, digest)
    const [answer] = serve(serverWith([current], digest), [request], family)
    expect(answer?.reason).toBe("served-autokey")
    expect(answer?.reply).toHaveLength(request.length)
    const keys = new SessionKeys(digests, digest)
    const pair = addresses[family]
    const cookie = keys.cookie(pair, secretOf(current))
    const back = { source: pair.destination, destination: pair.source }
    expect(keys.verify(answer!.reply, 48, back, cookie)).toBe(true)
    expect(keys.verify(answer!.reply, 48, pair, cookie)).toBe(false)
    expect(decodeHeader(answer!.reply)).toMatchObject({ mode: 4, origin: ntpTimestamp(1, 2) })
  })

  it("is answered by any node that has the same master keys", () => {
    const request = requestUnder(secretOf(current))
    for (const server of [
      serverWith([current]),
      serverWith([generation(1, NOW - 90_000), current, generation(3, NOW + 9)])
    ])
      expect(serve(server, [request])[0]?.reason).toBe("served-autokey")
  })

  it("goes on under the secret before for a while, and is told when it is too old", () => {
    const next = generation(3, NOW)
    const server = serverWith([current, next])
    const request = requestUnder(secretOf(current))
    expect(serve(server, [request], 4, NOW + 1_000)[0]?.reason).toBe("served-autokey")
    const [late] = serve(server, [request], 4, NOW + 1_200)
    expect(late?.reason).toBe("autokey-nak-sent")
    expect(late?.reply).toHaveLength(52)
    expect(late?.reply.slice(48)).toEqual(new Uint8Array(4))
    expect(serve(server, [requestUnder(secretOf(next))], 4, NOW + 1)[0]?.reason).toBe("served-autokey")
  })

  it("is refused under a revoked generation's secret, a changed octet, another's address", () => {
    const revoked = generation(2, NOW - 10_000, true)
    const [answer] = serve(serverWith([generation(1, NOW - 20_000), revoked]), [requestUnder(secretOf(current))])
    expect(answer?.reason).toBe("autokey-nak-sent")
    const changed = requestUnder(secretOf(current))
    changed[40]! ^= 1
    const short = requestUnder(secretOf(current)).subarray(0, 64)
    const symmetric = requestUnder(secretOf(current), 65_535)
    const server = serverWith([current])
    expect(serve(server, [changed, short, symmetric]).map(({ reason }) => reason)).toEqual([
      "autokey-nak-sent",
      "malformed",
      "unknown-key"
    ])
    expect(serve(serverWith([]), [requestUnder(secretOf(current))])[0]?.reason).toBe("autokey-no-secret")
  })

  it("shares a batch with others", () => {
    const plain = clientRequest(4, ntpTimestamp(3, 4))
    const answers = serve(serverWith([current]), [plain, requestUnder(secretOf(current)), plain, requestUnder(1)])
    expect(answers.map(({ reason, reply }) => [reason, reply.length])).toEqual([
      ["served-unsynchronised", 48],
      ["served-autokey", 68],
      ["served-unsynchronised", 48],
      ["autokey-nak-sent", 52]
    ])
  })
})
