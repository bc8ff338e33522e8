import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { unauthenticated } from "../src/association-authentication.ts"
import { defaultAssociationOptions, InvalidAssociationOption } from "../src/association-options.ts"
import { AssociationSet, defaultSetOptions } from "../src/association-set.ts"
import type { SetAction } from "../src/association-set-actions.ts"
import type { SourceConfiguration } from "../src/association-source.ts"
import { referenceIdFromText } from "@meridian/wire/reference-id"
import { at, environment, moment, replyTo } from "./association-harness.ts"

const newSet = (options: Partial<typeof defaultSetOptions> = {}): AssociationSet =>
  new AssociationSet({ ...defaultSetOptions, ...options }, environment())
const line = (kind: SourceConfiguration["kind"], host: string, change: Partial<SourceConfiguration> = {}) => ({
  kind,
  host,
  address: /^[0-9.:]+$/.test(host) ? host : undefined,
  port: 123,
  options: { ...defaultAssociationOptions, iburst: true },
  authentication: () => unauthenticated,
  ...change
})
const addresses = (count: number, from = 1): string[] =>
  Array.from({ length: count }, (_, index) => `192.0.2.${from + index}`)
const short = (actions: readonly SetAction[]): readonly string[] =>
  actions.map((each) => {
    switch (each._tag) {
      case "Mobilised":
        return `+${each.endpoint.address}`
      case "Demobilised":
        return `-${each.endpoint.address} ${each.reason}`
      case "Resolve":
        return `?${each.host}`
      case "Refused":
      case "CallerRefused":
        return `!${each.reason}`
      case "Associated":
        return each.action._tag
    }
  })

/** Runs a set on its own timers; servers in `alive` answer, DNS answers from `names`. Gives what happened, and when. */
const run = (
  set: AssociationSet,
  from: number,
  until: number,
  alive: (address: string) => boolean,
  names: Record<string, string[]>
) => {
  const log: { at: number; what: string }[] = []
  const handle = (now: number, actions: readonly SetAction[]): void => {
    for (const [index, each] of actions.entries()) {
      if (each._tag !== "Associated") log.push({ at: now, what: short(actions)[index]! })
      if (each._tag === "Resolve") handle(now, set.resolved(moment(now), each.host, names[each.host] ?? []))
      if (each._tag === "Associated" && each.action._tag === "Send" && alive(each.action.to.address)) {
        const reply = replyTo(each.action.bytes, at(now), at(now))
        handle(now, set.receive(moment(now + 0.01), each.id, reply, at(now + 0.01), each.action.to))
      }
    }
  }
  for (let step = 0, now = from; step < 20_000; step += 1) {
    now = Math.max(now, set.nextDue)
    if (now > until) break
    handle(now, set.poll(moment(now)))
  }
  return log
}
const all = (): boolean => true
const none = (): boolean => false

describe("two servers at one address", () => {
  it("are told apart by their ports, of their key exchange where they have one", () => {
    const set = newSet()
    const on = (host: string, change: Partial<SourceConfiguration>) =>
      short(set.configure(moment(5), line("server", host, { address: "192.0.2.1", ...change })))
    expect(on("192.0.2.1:1123", { port: 1123 })).toEqual(["+192.0.2.1"])
    expect(on("192.0.2.1:1124", { port: 1124 })).toEqual(["+192.0.2.1"])
    expect(on("192.0.2.1:4461", { askedPort: 4461 })).toEqual(["+192.0.2.1"])
    expect(on("ntp.example:1123", { port: 1123 })).toEqual(["!duplicate-address"])
    expect([set.find("192.0.2.1"), set.find("192.0.2.1", 1124), set.find("192.0.2.1", 9)]).toEqual([1, 2, undefined])
    expect(short(set.unpeer("192.0.2.1:1123"))).toEqual(["-192.0.2.1 unpeered"])
    expect(set.find("192.0.2.1", 1124)).toBe(2)
  })

  it("may be two names of it", () => {
    const set = newSet()
    for (const [host, port] of [
      ["a", 123],
      ["b", 1123],
      ["c", 123]
    ] as const)
      set.configure(moment(5), line("server", host, { port }))
    expect(short(set.resolved(moment(5), "a", ["192.0.2.1"]))).toEqual(["+192.0.2.1"])
    expect(short(set.resolved(moment(5), "b", ["192.0.2.1"]))).toEqual(["+192.0.2.1"])
    expect(short(set.resolved(moment(5), "c", ["192.0.2.1"]))).toEqual(["!duplicate-address"])
  })
})

describe("a server", () => {
  it("given by address is asked at once, without DNS", () => {
    const set = newSet()
    expect(short(set.configure(moment(5), line("server", "192.0.2.1")))).toEqual(["+192.0.2.1"])
    expect(set.nextDue).toBeLessThanOrEqual(5.5)
    expect(short(set.poll(moment(5.5)))).toEqual(["Send"])
    expect(set.find("192.0.2.1")).toBe(1)
    expect(set.get(1)?.endpoint).toEqual({ address: "192.0.2.1", port: 123 })
  })

  it("given by name is looked up, and its first free address taken", () => {
    const set = newSet()
    set.configure(moment(0), line("server", "192.0.2.1"))
    expect(set.configure(moment(0), line("server", "ntp.test"))).toEqual([])
    expect(short(set.poll(moment(0)))).toEqual(["?ntp.test"])
    expect(short(set.resolved(moment(0.1), "ntp.test", addresses(3)))).toEqual(["+192.0.2.2"])
    expect(short(set.poll(moment(1)))).toEqual(["Send", "Send"])
    expect(short(set.resolved(moment(2), "ntp.test", addresses(3)))).toEqual([])
    expect(short(set.resolved(moment(2), "unknown.test", addresses(3)))).toEqual([])
  })

  it("whose name does not resolve is asked for again for ever, ever more rarely", () => {
    const log = run(
      (() => {
        const set = newSet()
        set.configure(moment(0), line("server", "ntp.test"))
        return set
      })(),
      0,
      20_000,
      none,
      {}
    )
    const times = log.map(({ at: time }) => time)
    expect(times.slice(0, 10)).toEqual([0, 2, 6, 14, 30, 62, 126, 254, 510, 1022])
    expect(times.at(-1)! - times.at(-2)!).toBe(1024)
    expect(new Set(log.map(({ what }) => what))).toEqual(new Set(["?ntp.test"]))
  })

  it("is looked up again even if nobody tells how a look-up ended", () => {
    const set = newSet()
    set.configure(moment(0), line("server", "ntp.test"))
    set.poll(moment(0))
    expect(short(set.poll(moment(29)))).toEqual([])
    expect(short(set.poll(moment(30)))).toEqual(["?ntp.test"])
  })

  it("that fell silent is looked up again, and moved when its name has moved", () => {
    const set = newSet()
    set.configure(moment(0), line("server", "ntp.test"))
    run(set, 0, 10, all, { "ntp.test": ["192.0.2.1"] })
    const stays = run(set, 11, 3000, none, { "ntp.test": ["192.0.2.1"] })
    expect(stays.length).toBeGreaterThan(1)
    expect(new Set(stays.map(({ what }) => what))).toEqual(new Set(["?ntp.test"]))
    const moves = run(set, 3001, 6000, (address) => address === "192.0.2.9", { "ntp.test": ["192.0.2.9"] }).map(
      ({ what }) => what
    )
    expect(moves.slice(-2)).toEqual(["-192.0.2.1 replaced", "+192.0.2.9"])
    expect(set.find("192.0.2.1")).toBeUndefined()
  })

  it("that fell silent is left for another address of its name, and the other way round", () => {
    const set = newSet()
    set.configure(moment(0), line("server", "ntp.test"))
    const names = { "ntp.test": addresses(2) }
    run(set, 0, 10, all, names)
    const other = run(set, 11, 1500, (address) => address === "192.0.2.2", names).map(({ what }) => what)
    expect(other).toEqual(["?ntp.test", "-192.0.2.1 replaced", "+192.0.2.2"])
    const back = run(set, 1501, 3500, (address) => address === "192.0.2.1", names).map(({ what }) => what)
    expect(back).toEqual(["?ntp.test", "-192.0.2.2 replaced", "+192.0.2.1"])
  })

  it("that denied us is left alone for good", () => {
    const set = newSet()
    set.configure(moment(0), line("server", "ntp.test"))
    set.poll(moment(0))
    set.resolved(moment(0), "ntp.test", ["192.0.2.1"])
    const [send] = set.poll(moment(1))
    const request = send?._tag === "Associated" && send.action._tag === "Send" ? send.action.bytes : new Uint8Array(0)
    const deny = replyTo(request, at(1), at(1), { leap: 3, stratum: 0, referenceId: referenceIdFromText("DENY") })
    const from = { address: "192.0.2.1", port: 123 }
    expect(short(set.receive(moment(1), 1, deny, at(1), from))).toEqual(["Kiss", "Drop", "-192.0.2.1 denied"])
    expect(set.nextDue).toBe(Infinity)
    expect(set.resolved(moment(2), "ntp.test", addresses(3))).toEqual([])
    expect(set.receive(moment(2), 1, deny, at(2), from)).toEqual([])
  })
})

describe("a pool", () => {
  it("is filled up to maxclock, over several answers, without duplicates", () => {
    const set = newSet({ maxclock: 6 })
    set.configure(moment(0), line("server", "192.0.2.2"))
    set.configure(moment(0), line("pool", "pool.test"))
    set.poll(moment(0))
    expect(short(set.resolved(moment(0), "pool.test", ["192.0.2.1", "192.0.2.1", ...addresses(3)]))).toEqual([
      "+192.0.2.1",
      "+192.0.2.3"
    ])
    const [again] = run(set, 1, 100, all, { "pool.test": addresses(9) })
    expect(again).toEqual({ at: 64, what: "?pool.test" })
    expect(addresses(9).filter((address) => set.find(address) !== undefined)).toEqual(addresses(6))
    expect(run(set, 101, 20_000, all, {})).toEqual([])
  })

  it("replaces members that fall silent by others, and does not take them back soon", () => {
    const set = newSet({ maxclock: 4 })
    set.configure(moment(0), line("pool", "pool.test"))
    run(set, 0, 20, all, { "pool.test": addresses(4) })
    const alive = (address: string): boolean => address !== "192.0.2.3"
    const log = run(set, 21, 1500, alive, { "pool.test": ["192.0.2.3", ...addresses(5)] }).map(({ what }) => what)
    expect(log).toEqual(["?pool.test", "-192.0.2.3 replaced", "+192.0.2.5"])
    const odd = (address: string): boolean => address !== "192.0.2.5"
    const later = run(set, 1501, 3500, odd, { "pool.test": ["192.0.2.3", ...addresses(6)] }).map(({ what }) => what)
    expect(later).toEqual(["?pool.test", "-192.0.2.5 replaced", "+192.0.2.6"])
  })

  it("keeps its silent members while DNS knows no others: the network may be down", () => {
    const set = newSet({ maxclock: 3 })
    set.configure(moment(0), line("pool", "pool.test"))
    run(set, 0, 20, all, { "pool.test": addresses(3) })
    const down = run(set, 21, 10_000, none, {})
    expect(new Set(down.map(({ what }) => what))).toEqual(new Set(["?pool.test"]))
    const up = run(set, 10_001, 14_000, all, { "pool.test": addresses(3) })
    expect(up.every(({ what }) => what === "?pool.test")).toBe(true)
    expect([1, 2, 3].every((id) => set.get(id)!.reach > 0)).toBe(true)
    expect(run(set, 14_001, 20_000, all, { "pool.test": addresses(9) })).toEqual([])
  })

  it("replaces a member that the selection finds bad", () => {
    const set = newSet({ maxclock: 2 })
    set.configure(moment(0), line("pool", "pool.test"))
    run(set, 0, 20, all, { "pool.test": addresses(2) })
    set.replace(moment(21), 2)
    expect(run(set, 21, 200, all, {}).every(({ what }) => what === "?pool.test")).toBe(true)
    const log = run(set, 201, 500, all, { "pool.test": addresses(3) }).map(({ what }) => what)
    expect(log).toEqual(["?pool.test", "-192.0.2.2 replaced", "+192.0.2.3"])
  })
})

describe("what cannot be", () => {
  it("two lines with one host or one address", () => {
    const set = newSet()
    set.configure(moment(0), line("server", "192.0.2.1"))
    expect(short(set.configure(moment(0), line("peer", "192.0.2.1")))).toEqual(["!duplicate-host"])
    set.configure(moment(0), line("server", "ntp.test"))
    set.poll(moment(0))
    expect(short(set.resolved(moment(0), "ntp.test", ["192.0.2.1"]))).toEqual(["!duplicate-address"])
    expect(short(set.configure(moment(0), line("server", "ntp.test", { address: "192.0.2.1" })))).toEqual([
      "!duplicate-host"
    ])
  })

  it("options out of range, even before the name is looked up", () => {
    const options = { ...defaultAssociationOptions, minpoll: 99 }
    expect(() => newSet().configure(moment(0), line("server", "ntp.test", { options }))).toThrow(
      InvalidAssociationOption
    )
  })
})

it("unpeer ends a line by its host, or one association by its address", () => {
  const set = newSet()
  set.configure(moment(0), line("pool", "pool.test"))
  set.poll(moment(0))
  set.resolved(moment(0), "pool.test", addresses(3))
  expect(short(set.unpeer("192.0.2.2"))).toEqual(["-192.0.2.2 unpeered"])
  expect(short(set.unpeer("pool.test"))).toEqual(["-192.0.2.1 unpeered", "-192.0.2.3 unpeered"])
  expect(short(set.unpeer("pool.test"))).toEqual(["!unknown-host"])
  expect(set.nextDue).toBe(Infinity)
})

it("keys that move an association to an address that is taken are refused", () => {
  const set = newSet()
  set.configure(moment(0), line("server", "192.0.2.1"))
  set.configure(moment(0), line("server", "192.0.2.2"))
  const nts = undefined as never
  expect(short(set.keysExchanged(moment(1), 1, nts, { address: "192.0.2.2", port: 123 }))).toEqual([
    "!duplicate-address"
  ])
})

it("never has two associations with one address, whatever DNS says and whoever is silent", () => {
  const step = fc.record({
    dns: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 8 }),
    alive: fc.nat(4095),
    hours: fc.nat(2)
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), fc.integer({ min: 1, max: 8 }), (steps, maxclock) => {
      const set = newSet({ maxclock })
      set.configure(moment(0), line("server", "fixed.test"))
      set.configure(moment(0), line("pool", "pool.test"))
      let now = 0
      const held = new Map<string, number>()
      for (const { dns, alive, hours } of steps) {
        const list = dns.map((number) => `192.0.2.${number}`)
        const isAlive = (address: string): boolean => ((alive >> Number(address.split(".")[3])) & 1) === 1
        const log = run(set, now, now + 60 + hours * 3600, isAlive, { "pool.test": list, "fixed.test": list })
        now += 61 + hours * 3600
        for (const { what } of log) {
          const address = what.slice(1).split(" ")[0]!
          const change = what.startsWith("+") ? 1 : what.startsWith("-") ? -1 : 0
          if (change !== 0) held.set(address, (held.get(address) ?? 0) + change)
        }
        for (const count of held.values()) expect([0, 1]).toContain(count)
        const members = [...held.values()].reduce((sum, count) => sum + count, 0)
        expect(members).toBeLessThanOrEqual(Math.max(maxclock, 1) + 1)
      }
    }),
    { numRuns: 60 }
  )
})

describe("what an operator has done with a source", () => {
  const sends = (
    set: AssociationSet,
    from: number,
    until: number,
    alive: (address: string) => boolean = all
  ): readonly number[] => {
    const times: number[] = []
    run(
      set,
      from,
      until,
      (address) => {
        times.push(Math.round(set.nextDue * 10) / 10)
        return alive(address)
      },
      {}
    )
    return times
  }

  it("offline: it is not asked, out of reach, and what still comes from it counts for nothing; online: it is asked at once", () => {
    const set = newSet()
    set.configure(moment(0), line("server", "192.0.2.1"))
    run(set, 0, 300, all, {})
    expect(set.get(1)?.reach).not.toBe(0)
    set.setOnline(moment(300), 1, false)
    expect([set.isOffline(1), set.get(1)?.reach, set.nextDue]).toEqual([true, 0, Infinity])
    expect(set.askNow(moment(301), 1)).toEqual([])
    set.startBurst(moment(302), 1, 2, 4)
    expect(sends(set, 302, 5_000)).toEqual([])
    set.setOnline(moment(5_000), 1, true)
    expect(set.nextDue).toBe(5_000)
    run(set, 5_000, 5_020, all, {})
    expect(set.get(1)?.reach).not.toBe(0)
  })

  it("a burst: so many requests until so many are answered, whether it answers or not", () => {
    const quiet = { options: { ...defaultAssociationOptions, minpoll: 10, maxpoll: 10 } }
    for (const [alive, good, total, sent] of [
      [all, 3, 8, 3],
      [none, 2, 5, 5]
    ] as const) {
      const set = newSet()
      set.configure(moment(0), line("server", "192.0.2.1", quiet))
      run(set, 0, 3_000, alive, {})
      set.startBurst(moment(3_000), 1, good, total)
      expect(sends(set, 3_000, 3_000 + 2 * total, alive)).toHaveLength(sent)
    }
  })

  it("refreshed: names are looked up again, and who is at an address that a name has no more makes way", () => {
    const set = newSet({ maxclock: 3 })
    set.configure(moment(0), line("server", "one.test"))
    set.configure(moment(0), line("pool", "many.test"))
    run(set, 0, 100, all, { "one.test": ["192.0.2.1"], "many.test": addresses(2, 2) })
    set.refresh(moment(100))
    const log = run(set, 100, 200, all, { "one.test": ["192.0.2.9"], "many.test": addresses(2, 3) })
    expect(
      log
        .map(({ what }) => what)
        .filter((what) => what.startsWith("-"))
        .toSorted()
    ).toEqual(["-192.0.2.1 replaced", "-192.0.2.2 replaced"])
    // A name that cannot be looked up leaves all as it is.
    set.refresh(moment(200))
    expect(run(set, 200, 210, all, {}).filter(({ what }) => what.startsWith("-"))).toEqual([])
  })
})
