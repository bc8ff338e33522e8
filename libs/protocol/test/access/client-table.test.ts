import { closeSync, fstatSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { AccessList, compileAccess } from "@meridian/protocol/access/access-list"
import { clientTableBytes, clientsWithin, ticksAt } from "@meridian/protocol/access/client-layout"
import { averageInterval, clientTotals, listClients } from "@meridian/protocol/access/client-list"
import { ClientTable } from "@meridian/protocol/access/client-table"
import { AccessGate } from "@meridian/protocol/access/gate"
import { Chance, type RateLimit, RateLimiter } from "@meridian/protocol/access/rate-limit"
import { clientsOf } from "./clients-of.ts"
import { noBatch } from "../../src/request-batch.ts"
import { makeSharedMemory, mapSharedMemory } from "@meridian/system/shared-memory"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"

const ntpsec: RateLimit = { law: "score", average: 1, burst: 20, kod: 0.5 }
const plan = { ipv6Prefix: 64, maxAge: 3600, minAge: 64 }
const CLIENT = (4 << 3) | 3

/** A gate that a test asks one packet at a time. */
const gateOf = (buffer: ArrayBuffer, limit: RateLimit = ntpsec, flags: number = AccessFlag.limited) => {
  const chance = new Chance(7)
  const limiter = new RateLimiter(limit, chance)
  const everybody = ([4, 6] as const).map((family) => ({
    family,
    bytes: anyAddress(family),
    length: 0,
    ntpPort: false,
    flags
  }))
  const list = new AccessList([compileAccess(everybody)])
  const table = new ClientTable(buffer, plan, limiter, chance)
  const gate = new AccessGate(
    list,
    table,
    limiter,
    { limited: false, kod: false, queriesOfAnyVersion: false },
    chance,
    1
  )
  let now = 0
  return {
    at: (monotonic: number): void => void (now = monotonic),
    /** The name of the refusal; undefined admits. */
    ask: (address: Uint8Array, port = 40_000, firstByte = CLIENT): string | undefined => {
      const addresses = new Uint8Array(SOURCE_STRIDE)
      const family = address.length === 4 ? 4 : 6
      addresses.set([port >> 8, port & 255], 2)
      addresses.set(address, sourceAddressAt(0, family))
      gate.begin({ ...noBatch, family, addresses }, now, 1)
      return gate.judge(0, firstByte, 48)?.reason
    },
    proved: (): unknown => gate.judgeProof(0, true)
  }
}

const anyAddress = (family: 4 | 6): number[] => Array.from({ length: family === 4 ? 4 : 16 }, () => 0)
const bytes = (...all: number[]): Uint8Array => Uint8Array.from(all)
const ipv4 = (number: number): Uint8Array => bytes(10, (number >> 16) & 255, (number >> 8) & 255, number & 255)
const ipv6 = (network: number, host: number): Uint8Array =>
  bytes(0x20, 1, 0xd, 0xb8, 0, 0, network >> 8, network & 255, 0, 0, 0, 0, 0, 0, host >> 8, host & 255)

describe("the table of clients", () => {
  it("keeps what each address did", () => {
    const buffer = new ArrayBuffer(clientTableBytes(1000))
    const gate = gateOf(buffer)
    for (let second = 0; second < 30; second += 1) {
      gate.at(100 + second)
      for (let packet = 0; packet < 2; packet += 1) gate.ask(ipv4(1), 40_000 + second, CLIENT)
      if (second % 10 === 0) gate.ask(ipv4(2), 123, (3 << 3) | 1)
    }
    gate.proved()
    const listed = listClients([buffer], ticksAt(131), "count", 10)
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
    gate.at(100)
    for (let host = 0; host < 30; host += 1) gate.ask(ipv6(1, host))
    gate.ask(ipv6(2, 1))
    gate.ask(ipv4(1))
    gate.ask(bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1))
    gate.ask(bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
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
      gate.at(now)
      for (let packet = 0; packet < 20; packet += 1) if (gate.ask(ipv4(7)) === undefined) abuserAnswered += 1
      if (step % 20 === 0) {
        polite += 1
        if (gate.ask(ipv4(8)) === undefined) politeAnswered += 1
      }
      // 600 times 200 addresses that never come again, in a table for 4096.
      for (let packet = 0; packet < 200; packet += 1) gate.ask(ipv4(100_000 + step * 200 + packet))
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
      gate.at(100)
      for (let packet = 0; packet < 30; packet += 1) gate.ask(ipv4(client))
    }
    for (let packet = 0; packet < 100; packet += 1) expect(gate.ask(ipv4(99))).toBeUndefined()
    expect(clientTotals([buffer])).toMatchObject({ entries: 8, room: 8, refused: 100 })
  })

  it("goes on where another process left it", () => {
    const buffer = new ArrayBuffer(clientTableBytes(100))
    const before = gateOf(buffer)
    before.at(100)
    for (let packet = 0; packet < 30; packet += 1) before.ask(ipv4(1))
    const after = gateOf(buffer)
    after.at(101)
    expect(after.ask(ipv4(1))).toBe("rate-limited")
    after.at(161)
    expect(after.ask(ipv4(1))).toBeUndefined()
  })

  it("takes over what another knows: all of it where there is room, and those over their limit first where there is not", () => {
    const old = new ArrayBuffer(clientTableBytes(32_000))
    const gate = gateOf(old)
    for (let address = 0; address < 2_000; address += 1) {
      gate.at(100 + address / 100)
      for (let packet = 0; packet < (address % 10 === 0 ? 40 : 1); packet += 1) gate.ask(ipv4(address))
    }
    const inherited = (room: number): ArrayBuffer => {
      const buffer = new ArrayBuffer(clientTableBytes(room))
      const chance = new Chance(9)
      new ClientTable(buffer, plan, new RateLimiter(ntpsec, chance), chance).inherit(old, ticksAt(125))
      return buffer
    }
    const [larger, smaller] = [inherited(64_000), inherited(800)]
    const order = (table: ArrayBuffer) =>
      clientsOf(table, ticksAt(125)).toSorted((a, b) => a.bytes.join().localeCompare(b.bytes.join()))
    expect(order(larger)).toEqual(order(old))
    const over = (table: ArrayBuffer): number => clientsOf(table, ticksAt(125)).filter(({ limited }) => limited).length
    expect(over(old)).toBe(200)
    expect(over(smaller)).toBe(200)
    const later = gateOf(smaller)
    later.at(125)
    expect(later.ask(ipv4(1_990))).toBe("rate-limited")
  })

  it("takes memory where clients are alone, and none for being listed", () => {
    const descriptor = makeSharedMemory("clients", 16 * 2 ** 20)
    // Without the addon there is no such memory.
    if (descriptor === undefined) return
    const buffer = mapSharedMemory(descriptor)!
    const taken = (): number => fstatSync(descriptor).blocks * 512
    const gate = gateOf(buffer)
    gate.at(100)
    expect(clientsOf(buffer, ticksAt(101))).toEqual([])
    expect(taken()).toBeLessThan(2 ** 16)
    for (let client = 0; client < 500; client += 1) gate.ask(ipv4(client))
    expect(clientsOf(buffer, ticksAt(101))).toHaveLength(500)
    expect(taken()).toBeLessThan(6 * 2 ** 20)
    closeSync(descriptor)
  })

  it("lists every client, whatever the size of the table", () => {
    for (const room of [1, 8, 100, 1_000, 4_096, 20_000, 40_001]) {
      const buffer = new ArrayBuffer(clientTableBytes(room))
      const gate = gateOf(buffer)
      gate.at(100)
      for (let client = 0; client < room; client += 1) gate.ask(ipv4(client))
      const { entries } = clientTotals([buffer])
      expect(entries).toBeGreaterThan(room / 2)
      expect(clientsOf(buffer, ticksAt(101))).toHaveLength(entries)
      expect(clientsWithin(buffer.byteLength)).toBeGreaterThanOrEqual(room)
      expect(clientsWithin(buffer.byteLength)).toBeLessThan(room + 8)
    }
  })

  it("fits a million addresses into 64 MB", () => {
    expect(clientsWithin(64 * 2 ** 20)).toBeGreaterThan(1_300_000)
  })
})

describe("kisses", () => {
  it("go to who is limited and may hear it, a thousand a second in all", () => {
    const gate = gateOf(new ArrayBuffer(clientTableBytes(20_000)), ntpsec, AccessFlag.limited | AccessFlag.kod)
    gate.at(100)
    let kisses = 0
    for (let client = 0; client < 200; client += 1)
      for (let packet = 0; packet < 50; packet += 1) if (gate.ask(ipv4(client)) === "rate-kiss-sent") kisses += 1
    expect(kisses).toBe(1000)
  })

  it("DENY and RSTR go to one address every eight seconds", () => {
    const gate = gateOf(new ArrayBuffer(clientTableBytes(100)), ntpsec, AccessFlag.noserve | AccessFlag.kodDeny)
    const verdicts = Array.from({ length: 40 }, (_, second) => {
      gate.at(100 + second)
      return gate.ask(ipv4(1))
    })
    expect(verdicts.filter((one) => one === "deny-kiss-sent")).toHaveLength(5)
    expect(verdicts.filter((one) => one === "access-refused")).toHaveLength(35)
  })
})
