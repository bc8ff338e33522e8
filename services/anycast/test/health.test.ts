/** What makes a node unhealthy, and how long it must last. */
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { healthProblems, type HealthView } from "../src/health.ts"
import { Hysteresis } from "../src/hysteresis.ts"

const NOW = 1_800_000_000
const generation = { id: 7, activation: NOW - 100, retirement: NOW + 100 }
const curve = { ...unsynchronisedCurve(), baseMonotonic: 1_000, deadline: 1_012, leap: 0, stratum: 2 } as const
const good: HealthView = {
  plan: { announces: true, exchangeOnly: false, generations: [generation], maximumError: 0.5, maximumRate: null },
  facts: { workers: 2, exchanging: 0, keyProblem: "", clockDoubt: "", rate: 1e6 },
  curve,
  monotonic: 1_001,
  now: NOW,
  silent: []
}

describe("health", () => {
  it("lacks nothing where nothing is lacking", () => {
    expect(healthProblems(good)).toEqual({ known: [], seen: [] })
    // Nobody needs a key where none is served.
    expect(healthProblems({ ...good, plan: { ...good.plan, generations: null } })).toEqual({ known: [], seen: [] })
  })

  it.each<[string, Partial<HealthView>]>([
    ["an operator drains the node", { plan: { ...good.plan, announces: false } }],
    ["the clock page is stale: the clock's process has not written for too long", { monotonic: 1_012.1 }],
    ["the clock is not synchronised", { curve: { ...curve, leap: 3 } }],
    ["the clock is not synchronised", { curve: { ...curve, stratum: 16 } }],
    [
      "served time may be off by 0.600 s, more than the 0.5 s of anycast maxerror",
      { curve: { ...curve, rootDelay: 0.8, rootDispersion: 0.2, dispersionRate: 0 } }
    ],
    ["the supervisor has said nothing of the workers yet", { facts: undefined }],
    ["no worker reads its sockets", { facts: { workers: 0, exchanging: 1, keyProblem: "", clockDoubt: "", rate: 0 } }],
    ["no process takes key exchanges", { plan: { ...good.plan, exchangeOnly: true } }],
    ["no answer to a probe of 192.0.2.1", { silent: ["192.0.2.1"] }],
    [
      "1000000 requests a second, more than the 200000 of anycast maxrate",
      { plan: { ...good.plan, maximumRate: 200_000 } }
    ],
    [
      "a key is missing: nobody can open generation 8",
      { facts: { workers: 2, exchanging: 1, keyProblem: "nobody can open generation 8", clockDoubt: "", rate: 0 } }
    ],
    [
      "this node's clock is 20 s ahead of nodes b, c",
      { facts: { ...good.facts!, clockDoubt: "this node's clock is 20 s ahead of nodes b, c" } }
    ],
    ["no NTS master key is active", { plan: { ...good.plan, generations: [] } }],
    ["no NTS master key is active", { now: NOW + 100 }],
    ["no NTS master key is active", { now: NOW - 101 }]
  ])("%s", (problem, view) => {
    const { known, seen } = healthProblems({ ...good, ...view })
    expect([...known, ...seen]).toEqual([problem])
  })
})

describe("hysteresis", () => {
  it("falls sooner for what is known than for what was not seen", () => {
    const it = new Hysteresis({ rise: 0, fall: 1 })
    const looks = [
      [true, 0, 1],
      [false, 1, 1],
      [false, 1.5, 1],
      [false, 1.6, 0.2],
      [true, 2, 1],
      [false, 3, 5],
      [false, 3.9, 5],
      [false, 4, 5]
    ] as const
    expect(looks.filter(([isGood, now, fall]) => it.look(isGood, now, fall)).map(([, now]) => now)).toEqual([
      0, 1.6, 2, 4
    ])
  })

  it("rises after as long a time of good health as it is told, and falls after its own", () => {
    const it = new Hysteresis({ rise: 10, fall: 1 })
    const looks = [
      [true, 0],
      [true, 9.9],
      [false, 10],
      [true, 10.5],
      [true, 20.4],
      [true, 20.5],
      [false, 30],
      [true, 30.9],
      [false, 31],
      [false, 32]
    ] as const
    expect(looks.filter(([isGood, now]) => it.look(isGood, now)).map(([, now]) => now)).toEqual([20.5, 32])
  })

  it("decides nothing at first, and falls at once by order", () => {
    const it = new Hysteresis({ rise: 10, fall: 1 })
    expect(it.state).toBeUndefined()
    expect(it.drop(5)).toBe(true)
    expect([it.state, it.drop(6)]).toEqual([false, false])
    expect([it.look(true, 7), it.look(true, 16), it.look(true, 17)]).toEqual([false, false, true])
  })

  it("never turns sooner than it may, whatever it sees", () => {
    const look = fc.record({ isGood: fc.boolean(), after: fc.double({ min: 0.01, max: 3, noNaN: true }) })
    fc.assert(
      fc.property(fc.array(look, { maxLength: 100 }), (looks) => {
        const hysteresis = new Hysteresis({ rise: 2, fall: 1 })
        let now = 0
        let since = 0
        let last: boolean | undefined
        for (const { isGood, after } of looks) {
          now += after
          if (isGood !== last) since = now
          last = isGood
          const turned = hysteresis.look(isGood, now)
          const lasted = now - since
          expect(turned && lasted < (isGood ? 2 : 1)).toBe(false)
          expect(lasted >= 2 && hysteresis.state !== isGood).toBe(false)
        }
      })
    )
  })
})
