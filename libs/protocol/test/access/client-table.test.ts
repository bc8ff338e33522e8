import { describe, expect, it } from "vitest"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { AccessList, compileAccess } from "@meridian/protocol/access/access-list"
import { clientTableBytes, clientsWithin, ticksAt } from "@meridian/protocol/access/client-layout"
import {
  averageInterval,
  CLIENT_ORDERS,
  clientsOf,
  clientTotals,
  listClients
} from "@meridian/protocol/access/client-list"
import { ClientTable } from "@meridian/protocol/access/client-table"
import { AccessGate, GateVerdict } from "@meridian/protocol/access/gate"
import { Chance, type RateLimit, RateLimiter } from "@meridian/protocol/access/rate-limit"

const ntpsec: RateLimit = { law: "score", average: 1, burst: 20, kod: 0.5 }
const plan = { ipv6Prefix: 64, maxAge: 3600, minAge: 64 }
const CLIENT = (4 << 3) | 3

const gateOf = (buffer: ArrayBuffer, limit: RateLimit = ntpsec, flags: number = AccessFlag.limited) => {
  const chance = new Chance(7)
  const limiter = new RateLimiter(limit, chance)
  const rules = [4, 6].map((family) => ({
    family: family as 4 | 6,
    bytes: Array.from({ length: family === 4 ? 4 : 16 }, () => 0),
    length: 0,
    ntpPort: false,
    flags
  }))
  return new AccessGate(
    new AccessList([compileAccess(rules)]),
    new ClientTable(buffer, plan, limiter, chance),
    limiter,
    { limited: false, kod: false },
    chance
  )
}

const bytes = (...all: number[]): Uint8Array => Uint8Array.from(all)
const ipv4 = (number: number): Uint8Array => bytes(10, (number >> 16) & 255, (number >> 8) & 255, number & 255)
const ipv6 = (network: number, host: number): Uint8Array =>
  bytes(0x20, 1, 0xd, 0xb8, 0, 0, network >> 8, network & 255, 0, 0, 0, 0, 0, 0, host >> 8, host & 255)

describe("the table of clients", () => {
  it("keeps what each address did", () => {
    const buffer = new ArrayBuffer(clientTableBytes(1000))
    const gate = gateOf(buffer)
    for (let second = 0; second < 30; second += 1) {
      gate.begin(100 + second)
      for (let packet = 0; packet < 2; packet += 1) gate.judge(ipv4(1), 0, false, 40_000 + second, CLIENT, false)
      if (second % 10 === 0) gate.judge(ipv4(2), 0, false, 123, (3 << 3) | 1, false)
    }
    gate.noteAuthenticated(gate.record)
    const listed = listClients([buffer], ticksAt(131), CLIENT_ORDERS["count"]!, 10)
    expect(
      listed.map(({ bytes: address, count, port, version, mode }) => ({ address, count, port, version, mode }))
    ).toEqual([
      { address: [10, 0, 0, 1], count: 60, port: 40_029, version: 4, mode: 3 },
      { address: [10, 0, 0, 2], count: 3, port: 123, version: 3, mode: 1 }
    ])
    expect(averageInterval(listed[1]!)).toBe(10)
    expect(listed[0]).toMatchObject({ limited: true, sinceLast: 2, sinceFirst: 31 })
    expect(listed[0]!.dropped).toBeGreaterThan(20)
    expect(clientTotals([buffer])).toMatchObject({ entries: 2, fresh: 2, known: 61, refused: 0 })
  })

  it("counts an IPv6 network as one, and an IPv4 address in IPv6's clothes as IPv4", () => {
    const buffer = new ArrayBuffer(clientTableBytes(1000))
    const gate = gateOf(buffer)
    gate.begin(100)
    for (let host = 0; host < 30; host += 1) gate.judge(ipv6(1, host), 0, true, 1, CLIENT, false)
    gate.judge(ipv6(2, 1), 0, true, 1, CLIENT, false)
    gate.judge(ipv4(1), 0, false, 1, CLIENT, false)
    gate.judge(bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1), 0, true, 1, CLIENT, false)
    gate.judge(bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 0, true, 1, CLIENT, false)
    const counts = [...clientsOf(buffer, ticksAt(100))].map(({ family, bytes: address, count }) => ({
      family,
      last: address.at(-1),
      count
    }))
    expect(counts.toSorted((a, b) => b.count - a.count)).toEqual([
      { family: 6, last: 29, count: 30 },
      { family: 4, last: 1, count: 2 },
      expect.objectContaining({ family: 6, count: 1 }),
      expect.objectContaining({ family: 6, count: 1 })
    ])
  })

  it("is not washed out by a flood of addresses: who is limited stays so, who comes back stays known", () => {
    const buffer = new ArrayBuffer(clientTableBytes(1600))
    const gate = gateOf(buffer)
    let now = 1000
    let abuserAnswered = 0
    let politeAnswered = 0
    let polite = 0
    for (let step = 0; step < 600; step += 1) {
      now += 0.1
      gate.begin(now)
      for (let packet = 0; packet < 20; packet += 1)
        if (gate.judge(ipv4(7), 0, false, 1, CLIENT, false) === GateVerdict.admit) abuserAnswered += 1
      if (step % 20 === 0) {
        polite += 1
        if (gate.judge(ipv4(8), 0, false, 1, CLIENT, false) === GateVerdict.admit) politeAnswered += 1
      }
      // 600 times 200 addresses that never come again, in a table for 4096.
      for (let packet = 0; packet < 200; packet += 1)
        gate.judge(ipv4(100_000 + step * 200 + packet), 0, false, 1, CLIENT, false)
    }
    expect(abuserAnswered).toBeLessThanOrEqual(20)
    expect(politeAnswered).toBe(polite)
    const counts = new Map([...clientsOf(buffer, ticksAt(now))].map((one) => [one.bytes.join("."), one.count]))
    expect(counts.get("10.0.0.7")).toBe(12_000)
    expect(counts.get("10.0.0.8")).toBeGreaterThan(1)
  })

  it("serves and forgets newcomers where every place is taken by addresses over their limit", () => {
    const buffer = new ArrayBuffer(clientTableBytes(8))
    const gate = gateOf(buffer)
    for (let client = 0; client < 8; client += 1) {
      gate.begin(100)
      for (let packet = 0; packet < 30; packet += 1) gate.judge(ipv4(client), 0, false, 1, CLIENT, false)
    }
    for (let packet = 0; packet < 100; packet += 1)
      expect(gate.judge(ipv4(99), 0, false, 1, CLIENT, false)).toBe(GateVerdict.admit)
    expect(clientTotals([buffer])).toMatchObject({ entries: 8, room: 8, refused: 100 })
  })

  it("goes on where another process left it", () => {
    const buffer = new ArrayBuffer(clientTableBytes(100))
    const before = gateOf(buffer)
    before.begin(100)
    for (let packet = 0; packet < 30; packet += 1) before.judge(ipv4(1), 0, false, 1, CLIENT, false)
    const after = gateOf(buffer)
    after.begin(101)
    expect(after.judge(ipv4(1), 0, false, 1, CLIENT, false)).toBe(GateVerdict.limited)
    after.begin(161)
    expect(after.judge(ipv4(1), 0, false, 1, CLIENT, false)).toBe(GateVerdict.admit)
  })

  it("fits a million addresses into 64 MB", () => {
    expect(clientsWithin(64 * 2 ** 20)).toBeGreaterThan(1_300_000)
  })
})

describe("kisses", () => {
  it("go to who is limited and may hear it, a thousand a second in all", () => {
    const gate = gateOf(new ArrayBuffer(clientTableBytes(20_000)), ntpsec, AccessFlag.limited | AccessFlag.kod)
    gate.begin(100)
    let kisses = 0
    for (let client = 0; client < 200; client += 1)
      for (let packet = 0; packet < 50; packet += 1)
        if (gate.judge(ipv4(client), 0, false, 1, CLIENT, false) === GateVerdict.kissRate) kisses += 1
    expect(kisses).toBe(1000)
  })

  it("DENY and RSTR go to one address every eight seconds", () => {
    const gate = gateOf(new ArrayBuffer(clientTableBytes(100)), ntpsec, AccessFlag.noserve | AccessFlag.kodDeny)
    const verdicts = Array.from({ length: 40 }, (_, second) => {
      gate.begin(100 + second)
      return gate.judge(ipv4(1), 0, false, 1, CLIENT, false)
    })
    expect(verdicts.filter((one) => one === GateVerdict.kissDeny)).toHaveLength(5)
    expect(verdicts.filter((one) => one === GateVerdict.refused)).toHaveLength(35)
  })
})
