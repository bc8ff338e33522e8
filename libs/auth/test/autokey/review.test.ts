/** What an association learns of the other side after it was first told who that is: a status word can change. */
import {
  type AutokeyField,
  AutokeyOperation,
  type AutokeyPacket,
  decodeAutokeyPacket,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { describe, expect, it } from "vitest"
import type { AutokeyAssociation } from "../../src/autokey/association.ts"
import type { AutokeyParty } from "../../src/autokey/party.ts"
import { PUBLIC_COOKIE, SessionKeys } from "../../src/autokey/session-key.ts"
import { associationOf, exchange, run } from "./exchanges.ts"
import { groups } from "./groups.ts"
import { client, hostOf, NOW, NTP, partyOf, server } from "./parties.ts"
import { digests } from "./recordings.ts"

const LEAP_VERIFIED = 0x4000
const bob = () => partyOf(hostOf("bob", { key: 1 }))
const trusted = (hasLeap: boolean) => partyOf(hostOf("alice", { kind: "trusted" }), hasLeap)

/** What a synchronised client asks in so many packets, plain time left out; with each question's place. */
const asks = (association: AutokeyAssociation, to: AutokeyParty, packets: number) =>
  Array.from({ length: packets }, (_, at) => ({ at, ...exchange(association, to, NOW) }))
    .filter(({ reason }) => reason !== undefined)
    .map(({ at, reason }) => [at, reason])

describe("a table of leap seconds", () => {
  it("that a server gets while a client's exchange runs is asked for at its end", () => {
    const association = associationOf(bob())
    // As classic ntpd is in the seconds after its start: not synchronised, and without a table in its status word.
    exchange(association, trusted(false), undefined, false, undefined as never)
    const { asked, flags } = run(association, trusted(true))
    expect(flags).toBe("87f01")
    expect(asked).toEqual(["certificate", "cookie", "sign", "association", "leap-seconds"])
  })

  it("that a server gets later is asked for within 64 packets, and nothing more often than that", () => {
    const association = associationOf(bob())
    run(association, trusted(false))
    const before = asks(association, trusted(false), 640)
    expect(before.map(([, reason]) => reason)).toEqual(Array.from({ length: 10 }, () => "association"))
    const after = asks(association, trusted(true), 66)
    expect(after.map(([, reason]) => reason)).toEqual(["association", "leap-seconds"])
    expect(association.status & LEAP_VERIFIED).toBe(LEAP_VERIFIED)
  })

  it("that a server says it has and does not give is not asked for with every packet", () => {
    const association = associationOf(bob())
    for (let turn = 0; turn < 4; turn += 1) exchange(association, trusted(true), turn < 3 ? undefined : NOW)
    expect(association.status & LEAP_VERIFIED).toBe(0)
    const asked = asks(association, trusted(false), 130).map(([, reason]) => reason)
    expect(asked.filter((reason) => reason === "unsynchronised").length).toBeLessThan(3)
    expect(asked.length).toBeLessThan(6)
  })
})

describe("a group", () => {
  const { identity, parameters, flags } = groups.iff
  const member = () => partyOf(hostOf("alice", { kind: "trusted", identity: [identity] }))

  it("that a server proves nothing of is waited for, and proved when its key is there", () => {
    const lines: string[] = []
    const association = associationOf(bob(), parameters, lines)
    expect(run(association, trusted(true), false, 140)).toMatchObject({ isSynchronised: false })
    const said = lines.filter((line) => line === "02000008 4711 10e bad_or_missing_group key")
    expect([said.length, lines.length]).toEqual([3, 9])
    asks(association, member(), 80)
    expect(association.status.toString(16)).toBe(flags)
  })

  it("is not believed of a server whose identity somebody struck out of its status word", () => {
    const association = associationOf(bob(), parameters)
    const impostor = partyOf(hostOf("alice", { kind: "trusted", key: 2 }))
    expect(run(association, impostor, false, 40).isSynchronised).toBe(false)
    expect(association.status & 0x0600).toBe(0)
  })
})

describe("a server that is another than it was", () => {
  it.each([
    ["by its name", partyOf(hostOf("carol", { kind: "trusted" })), "87f01"],
    ["by its signatures", partyOf(hostOf("alice", { kind: "trusted", scheme: "RSA-SHA256" })), "29c7f01"],
    ["by a group's key", partyOf(hostOf("alice", { kind: "trusted", identity: [groups.iff.identity] })), "87f21"]
  ])("%s is asked everything anew", (_, other, flags) => {
    const association = associationOf(bob())
    expect(run(association, trusted(true)).flags).toBe("87f01")
    const asked = asks(association, other, 80).map(([, reason]) => reason)
    expect(asked).toEqual(["association", "association", "certificate", "cookie", "sign", "leap-seconds"])
    expect(association.status.toString(16)).toBe(flags)
  })
})

describe("the time in a server's packet", () => {
  it("is left alone where fields come along: that packet is keyed for everybody", () => {
    const association = associationOf(bob())
    const results = Array.from({ length: 12 }, () => exchange(association, trusted(true), NOW))
    expect(results.filter(({ operation, isTimeUsable }) => operation !== undefined && isTimeUsable)).toEqual([])
    expect(results.filter(({ isTimeUsable }) => isTimeUsable).length).toBe(7)
  })
})

describe("what somebody on the path puts in the place of words that nobody signed", () => {
  const context = { pair: { source: client, destination: server }, now: undefined, pollSeconds: 64 }
  const back = { ...context, pair: { source: server, destination: client } }
  const keys = new SessionKeys(digests, "MD5")
  /** A response under the key of everybody, in the server's place. */
  const forge = (association: AutokeyAssociation, field: AutokeyField): void => {
    const bytes = new Uint8Array(HEADER_BYTES + 2_048)
    const end = HEADER_BYTES + writeAutokeyField(bytes, HEADER_BYTES, field)
    const packet = bytes.slice(0, keys.append(bytes, end, back.pair, association.next(context).keyId, PUBLIC_COOKIE))
    association.receive(packet, decodeAutokeyPacket(packet) as AutokeyPacket, back)
  }
  const response = (operation: number, filestamp: number, value: Uint8Array): AutokeyField => {
    const content = { timestamp: NTP(NOW), filestamp, value, signature: new Uint8Array(128) }
    return { operation, isResponse: true, isError: false, associationId: 4_711, content }
  }

  it("holds an exchange up for 64 packets and no longer", () => {
    const association = associationOf(bob())
    forge(association, response(AutokeyOperation.association, 0x0008_0003, new TextEncoder().encode("nobody")))
    expect(association.hostName).toBe("nobody")
    for (let packet = 0; packet < 80; packet += 1) exchange(association, trusted(true), NOW)
    expect(association.status.toString(16)).toBe("87f01")
  })

  it("is no certificate that outlives the exchange it was slipped into", () => {
    const association = associationOf(bob())
    exchange(association, trusted(true), undefined)
    const impostor = hostOf("alice", { kind: "trusted", key: 2, from: NOW - 1 })
    forge(association, response(AutokeyOperation.certificate, NTP(NOW - 1), impostor.certificate.der))
    expect(association.status & 0x0300).toBe(0x0300)
    for (let packet = 0; packet < 80; packet += 1) exchange(association, trusted(true), NOW)
    expect(association.status.toString(16)).toBe("87f01")
  })

  it("makes no time of packets that come before there is a cookie", () => {
    const association = associationOf(bob(), groups.iff.parameters)
    const alice = partyOf(hostOf("alice", { kind: "trusted", identity: [groups.iff.identity] }))
    for (let packet = 0; packet < 3; packet += 1) exchange(association, alice, undefined)
    // As after a proof that came twice: signed by who is proved.
    association.state.status |= 0x0400
    const bytes = new Uint8Array(HEADER_BYTES + 20)
    keys.append(bytes, HEADER_BYTES, back.pair, association.next(context).keyId, PUBLIC_COOKIE)
    const received = association.receive(bytes, decodeAutokeyPacket(bytes) as AutokeyPacket, back)
    expect(received).toMatchObject({ isAuthentic: true, isTimeUsable: false })
  })
})
