/** Whole exchanges: an association of ours against a responder of ours. */
import { decodeAutokeyPacket } from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { describe, expect, it } from "vitest"
import type { PacketContext } from "../../src/autokey/association.ts"
import { PUBLIC_COOKIE, SessionKeys } from "../../src/autokey/session-key.ts"
import type { MacAlgorithmName } from "../../src/symmetric/mac-algorithms.ts"
import { associationOf, exchange, run } from "./exchanges.ts"
import { client, hostOf, LEAP, NOW, partyOf, server } from "./parties.ts"
import { digests } from "./recordings.ts"

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

  it("asks for no leap seconds where the server has no table, and once more whether it has", () => {
    const alice = partyOf(hostOf("alice", { kind: "trusted" }), false)
    const association = associationOf(partyOf(hostOf("bob", { key: 1 })))
    expect(run(association, alice)).toMatchObject({
      flags: "83f01",
      asked: ["association", "certificate", "cookie", "sign", "association"]
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
