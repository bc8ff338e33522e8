/** Who is answered where more come than can be: the gate under a crowd, on paper time. */
import { describe, expect, it } from "vitest"
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { AccessList, compileAccess } from "@meridian/protocol/access/access-list"
import { clientTableBytes, ticksAt } from "@meridian/protocol/access/client-layout"
import { clientTotals } from "@meridian/protocol/access/client-list"
import { clientsOf } from "./clients-of.ts"
import { ClientTable } from "@meridian/protocol/access/client-table"
import { AccessGate } from "@meridian/protocol/access/gate"
import { Chance, type RateLimit, RateLimiter } from "@meridian/protocol/access/rate-limit"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"
import { Crowd, noBatch } from "../../src/request-batch.ts"

const tokens: RateLimit = { law: "tokens", interval: -2, burst: 16, leak: 0, kod: 0 }
const plan = { ipv6Prefix: 64, maxAge: 3600, minAge: 64 }
const CLIENT = (4 << 3) | 3
const SLOTS = 64

type Address = readonly number[]

const ipv4 = (number: number): Address => [10, (number >> 16) & 255, (number >> 8) & 255, number & 255]
const ipv6 = (network: number, host: number): Address => [
  0x20,
  1,
  0xd,
  0xb8,
  0,
  0,
  network >> 8,
  network & 255,
  0,
  0,
  0,
  0,
  0,
  0,
  host >> 8,
  host & 255
]

/** A gate that is asked a batch at a time. */
const gateOver = (buffer: ArrayBuffer, seed = 7) => {
  const chance = new Chance(seed)
  const limiter = new RateLimiter(tokens, chance)
  const everybody = ([4, 6] as const).map((family) => ({
    family,
    bytes: Array.from({ length: family === 4 ? 4 : 16 }, () => 0),
    length: 0,
    ntpPort: false,
    flags: AccessFlag.limited
  }))
  const gate = new AccessGate(
    new AccessList([compileAccess(everybody)]),
    new ClientTable(buffer, plan, limiter, chance, SLOTS),
    limiter,
    { limited: false, kod: false, queriesOfAnyVersion: false },
    chance,
    SLOTS
  )
  /** The names of the refusals, one for each packet; undefined admits. */
  const batch = (monotonic: number, crowd: number, senders: readonly Address[]): readonly (string | undefined)[] => {
    const addresses = new Uint8Array(SOURCE_STRIDE * SLOTS)
    const family = senders[0]!.length === 4 ? 4 : 6
    senders.forEach((address, slot) => addresses.set(address, sourceAddressAt(slot, family)))
    gate.begin({ ...noBatch, family, addresses }, monotonic, senders.length, crowd)
    return senders.map((_, slot) => gate.judge(slot, CLIENT, 48)?.reason)
  }
  return { sheds: () => gate.sheds, batch }
}

/** Has each of some addresses ask once a second, from second 0 on. */
const askFor = (gate: ReturnType<typeof gateOver>, seconds: number, senders: readonly Address[]): void => {
  for (let second = 0; second < seconds; second += 1) gate.batch(100 + second, Crowd.none, senders)
}

const count = (found: readonly (string | undefined)[], reason: string | undefined): number =>
  found.filter((one) => one === reason).length

describe("under more requests than can be answered", () => {
  it.each([
    ["sixteen", Crowd.sheds, 1 / 16],
    ["256 where requests are lost all the same", Crowd.drowns, 1 / 256]
  ])("those who asked over seconds before are answered, and of strangers one in %s", (_, crowd, spared) => {
    const gate = gateOver(new ArrayBuffer(clientTableBytes(100_000)))
    const regulars = [ipv4(1), ipv4(2), ipv4(3)]
    askFor(gate, 4, regulars)
    let admitted = 0
    const known: (string | undefined)[] = []
    for (let batch = 0; batch < 400; batch += 1) {
      const strangers = Array.from({ length: 61 }, (_, index) => ipv4(1_000 + batch * 61 + index))
      const isAsked = batch % 100 === 0
      const found = gate.batch(104 + batch / 100, crowd, isAsked ? [...strangers, ...regulars] : strangers)
      known.push(...found.slice(61))
      expect(count(found, undefined) + count(found, "crowded-out")).toBe(found.length)
      admitted += count(found.slice(0, 61), undefined)
    }
    expect(known).toEqual(Array.from({ length: 12 }, () => undefined))
    expect(admitted / (400 * 61)).toBeGreaterThan(0.8 * spared)
    expect(admitted / (400 * 61)).toBeLessThan(1.2 * spared)
  })

  it("all are answered in a batch that is not to be shed", () => {
    const gate = gateOver(new ArrayBuffer(clientTableBytes(10_000)))
    for (const crowd of [Crowd.none, Crowd.stands])
      expect(count(gate.batch(100 + crowd, crowd, [ipv4(1), ipv4(2), ipv4(3)]), undefined)).toBe(3)
  })

  it("a client by IPv6 is known by its /64", () => {
    const gate = gateOver(new ArrayBuffer(clientTableBytes(1_000)))
    askFor(gate, 4, [ipv6(1, 1)])
    for (let batch = 0; batch < 8; batch += 1)
      expect(gate.batch(104 + batch, Crowd.sheds, [ipv6(1, 1 + batch)])).toEqual([undefined])
    const strangers = gate.batch(
      113,
      Crowd.sheds,
      Array.from({ length: 60 }, (_, network) => ipv6(100 + network, 1))
    )
    expect(count(strangers, "crowded-out")).toBeGreaterThan(40)
  })

  it("nobody becomes known: not by asking for long, and not in the batches between in which all are answered", () => {
    const gate = gateOver(new ArrayBuffer(clientTableBytes(10_000)))
    const flood = Array.from({ length: 60 }, (_, index) => ipv4(500 + index))
    for (let second = 0; second < 60; second += 1) gate.batch(100 + second, Crowd.stands, flood)
    expect(count(gate.batch(161, Crowd.sheds, flood), "crowded-out")).toBeGreaterThan(40)
    // When it is over, they do by what they do then.
    gate.batch(170, Crowd.none, flood)
    expect(gate.batch(171, Crowd.sheds, flood)).toEqual(flood.map(() => undefined))
  })

  it("a rush of less than three seconds makes nobody known, however often it asks", () => {
    const gate = gateOver(new ArrayBuffer(clientTableBytes(10_000)))
    const flood = Array.from({ length: 60 }, (_, index) => ipv4(500 + index))
    for (let step = 0; step < 29; step += 1) gate.batch(100 + step / 10, Crowd.none, flood)
    expect(count(gate.batch(103.5, Crowd.sheds, flood), "crowded-out")).toBeGreaterThan(40)
  })

  it("a sender in a known client's name is held to that client's limit", () => {
    const gate = gateOver(new ArrayBuffer(clientTableBytes(10_000)))
    askFor(gate, 4, [ipv4(1)])
    const forged = Array.from({ length: 60 }, () => ipv4(1))
    const found = gate.batch(104, Crowd.sheds, forged)
    expect(count(found, "rate-limited")).toBe(60 - count(found, undefined))
    expect(count(found, undefined)).toBeLessThanOrEqual(16)
  })

  it("known clients are not washed out, slow ones neither, by addresses that come again and again", () => {
    const buffer = new ArrayBuffer(clientTableBytes(1_600))
    const gate = gateOver(buffer)
    const slow = Array.from({ length: 20 }, (_, index) => ipv4(index))
    // One in 64 s each, as clients do; then a flood of a thousand times as many for an hour less a little.
    for (let round = 0; round < 4; round += 1) gate.batch(100 + 64 * round, Crowd.none, slow)
    for (let step = 0; step < 3_000; step += 1) {
      const first = 100_000 + ((step * 60) % 20_000)
      const crowd = step % 2 === 0 ? Crowd.sheds : Crowd.stands
      gate.batch(
        300 + step,
        crowd,
        Array.from({ length: 60 }, (_, index) => ipv4(first + index))
      )
    }
    expect(gate.batch(3_300, Crowd.sheds, slow)).toEqual(slow.map(() => undefined))
    expect(clientTotals([buffer])).toMatchObject({ entries: 1_600 })
  })

  it("a worker's successor, and a table of another size, go on with those who are known", () => {
    const buffer = new ArrayBuffer(clientTableBytes(1_000))
    askFor(gateOver(buffer), 4, [ipv4(1)])
    expect(gateOver(buffer, 99).batch(104, Crowd.sheds, [ipv4(1)])).toEqual([undefined])
    const larger = new ArrayBuffer(clientTableBytes(5_000))
    const chance = new Chance(3)
    new ClientTable(larger, plan, new RateLimiter(tokens, chance), chance).inherit(buffer, ticksAt(105))
    const batches = Array.from({ length: 8 }, (_, step) => gateOver(larger).batch(106 + step, Crowd.sheds, [ipv4(1)]))
    expect(batches).toEqual(batches.map(() => [undefined]))
  })

  it("who is passed over takes no place in the list of clients", () => {
    const buffer = new ArrayBuffer(clientTableBytes(10_000))
    const gate = gateOver(buffer)
    const found = gate.batch(
      100,
      Crowd.sheds,
      Array.from({ length: 64 }, (_, index) => ipv4(index))
    )
    expect([...clientsOf(buffer, ticksAt(100))]).toHaveLength(count(found, undefined))
  })

  it("a crowd of which most are known is not to be shed for ten seconds", () => {
    const gate = gateOver(new ArrayBuffer(clientTableBytes(10_000)))
    const regulars = Array.from({ length: 64 }, (_, index) => ipv4(index))
    const crowdOf = (known: number): void => {
      for (let batch = 0; batch < 2_048; batch += 1)
        gate.batch(104 + batch / 1_000, Crowd.sheds, [
          ...regulars.slice(0, known),
          ...Array.from({ length: 64 - known }, (_, index) => ipv4(100_000 + 64 * batch + index))
        ])
    }
    askFor(gate, 4, regulars)
    crowdOf(16)
    expect(gate.sheds()).toBe(true)
    crowdOf(48)
    expect(gate.sheds()).toBe(false)
    gate.batch(115, Crowd.stands, regulars)
    expect(gate.sheds()).toBe(false)
    gate.batch(117, Crowd.stands, regulars)
    expect(gate.sheds()).toBe(true)
  })

  it("a gate that keeps no list of clients passes nobody over", () => {
    const chance = new Chance(1)
    const limiter = new RateLimiter(tokens, chance)
    const gate = new AccessGate(
      new AccessList([compileAccess([])]),
      undefined,
      limiter,
      { limited: false, kod: false, queriesOfAnyVersion: false },
      chance,
      1
    )
    expect(gate.sheds).toBe(false)
    gate.begin({ ...noBatch, addresses: new Uint8Array(SOURCE_STRIDE) }, 100, 1, Crowd.sheds)
    expect(gate.judge(0, CLIENT, 48)).toBeUndefined()
  })
})
