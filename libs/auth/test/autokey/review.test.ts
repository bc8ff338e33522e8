/** What an association learns of the other side after it was first told who that is: a status word can change. */
import { describe, expect, it } from "vitest"
import type { AutokeyAssociation } from "../../src/autokey/association.ts"
import type { AutokeyParty } from "../../src/autokey/party.ts"
import { associationOf, exchange, run } from "./exchanges.ts"
import { groups } from "./groups.ts"
import { hostOf, NOW, partyOf } from "./parties.ts"

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
    expect(lines.filter((line) => line.endsWith(" 4711 10e bad_or_missing_group key")).length).toBeGreaterThan(1)
    expect(lines.length).toBeLessThan(8)
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
