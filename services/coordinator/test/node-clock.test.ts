/** Whose time counts: this node's, the other nodes', or that of NATS. Simulated clocks throughout. */
import { describe, expect, it } from "vitest"
import * as fc from "fast-check"
import { toIso, memberSubject } from "@meridian/events"
import { CLOCK_LIMIT_MS } from "../src/clock-witnesses.ts"
import { NodeClock } from "../src/node-clock.ts"

const START = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000
const YEAR = 8_766 * HOUR

/** True time, and a node whose clock is off from it by `skew`. */
const simulated = (compares = true) => {
  const world = { now: START, skew: 0 }
  const clock = new NodeClock({
    clock: () => world.now + world.skew,
    steady: () => world.now - START,
    node: "a",
    compares
  })
  /** A node says something of itself. */
  const hear = (node: string, time: number, subject = memberSubject(node)): void =>
    clock.hear({ type: "x", schema: 1, id: "x", cause: "x", version: 1, node, subject, time: toIso(time) })
  /** Time passes; NATS is heard every second, and each node that is named with the skew of its clock every ten. */
  const pass = (
    seconds: number,
    nodes: Readonly<Record<string, number>> = {},
    server: number | undefined = 0
  ): void => {
    for (let second = 1; second <= seconds; second++) {
      world.now += 1_000
      if (server !== undefined) clock.hearServer(world.now + server)
      if (second % 10 === 0) for (const [node, skew] of Object.entries(nodes)) hear(node, world.now + skew)
      clock.now()
    }
  }
  const error = (): number => clock.now() - world.now
  return { world, clock, hear, pass, error }
}

describe("a node's clock among others", () => {
  it("must not lead before it was compared, and may once it agrees", () => {
    const { clock, pass } = simulated()
    expect([clock.doubt, clock.mayCompete, clock.mayWrite]).toEqual([
      "this node's clock can be compared with no other at the moment",
      true,
      false
    ])
    pass(1)
    expect([clock.doubt, clock.mayCompete, clock.mayWrite]).toEqual(["", true, true])
  })

  it.each([
    [HOUR, "3600 s ahead of"],
    [YEAR, "31557600 s ahead of"],
    [-HOUR, "3600 s behind"]
  ])("is outvoted when it is stepped by %d ms: it does not lead, and decides by the others' time", (skew, words) => {
    const { world, clock, pass, error } = simulated()
    pass(30, { b: 0, c: 300 })
    world.skew = skew
    // At once, before anything more is heard.
    expect(clock.doubt).toBe(`this node's clock is ${words} nodes b, c: it does not lead until it is set right`)
    expect([clock.mayCompete, clock.mayWrite]).toEqual([false, true])
    expect(Math.abs(error())).toBeLessThanOrEqual(1_000)
    pass(300, { b: 0, c: 300 })
    expect(Math.abs(error())).toBeLessThanOrEqual(1_000)
    world.skew = 0
    pass(1, { b: 0, c: 300 })
    expect([clock.doubt, Math.abs(error()) <= 1_000]).toEqual(["", true])
  })

  it("goes by the nodes where NATS is the one that is off", () => {
    const { clock, pass, error } = simulated()
    pass(30, { b: 0 }, YEAR)
    expect([clock.doubt, error()]).toEqual(["", 0])
  })

  it("is good among good ones with a bad one among them, whether or not NATS lies on the bad one's machine", () => {
    for (const server of [0, HOUR]) {
      const { clock, pass, error } = simulated()
      pass(60, { b: 0, c: HOUR }, server)
      expect([clock.doubt, error()]).toEqual(["", 0])
    }
  })

  it("leads and writes nothing where it is one clock against one, and keeps its own time", () => {
    const { world, clock, pass, error } = simulated()
    world.skew = YEAR
    pass(30)
    expect(clock.doubt).toContain("31557600 s ahead of NATS:")
    expect([clock.mayCompete, clock.mayWrite, error()]).toEqual([false, false, YEAR])
    expect(clock.sure).toBe(0)
    // The next start does not take it for what it has seen.
    world.skew = 0
    pass(1)
    expect(clock.sure).toBe(world.now)
    world.skew = YEAR
    expect(clock.sure).toBe(world.now)
  })

  it("goes by NATS between two nodes that differ, and takes its time where the other agrees with it", () => {
    const good = simulated()
    good.pass(60, { b: HOUR })
    expect([good.clock.doubt, good.error()]).toEqual(["", 0])
    const bad = simulated()
    bad.world.skew = HOUR
    bad.pass(60, { b: 0 })
    expect(bad.clock.doubt).toContain("3600 s ahead of NATS and node b")
    expect(bad.error()).toBeLessThanOrEqual(1_000)
  })

  it("does not keep what it saw or wrote down while it was off, once others confirm its clock", () => {
    const { clock, pass, error } = simulated()
    clock.notBefore(START + YEAR)
    expect(error()).toBe(YEAR)
    pass(1)
    expect(error()).toBe(0)
  })

  it("goes on at half speed after a step back where there is nobody to ask", () => {
    const { world, clock, error } = simulated(false)
    clock.now()
    world.skew = -HOUR
    expect([error(), clock.doubt, clock.mayWrite]).toEqual([0, "", true])
    world.now += 60_000
    expect(error()).toBe(-30_000)
  })

  it("takes no event for news that may have waited while NATS was out of reach", () => {
    const { world, clock, hear, pass } = simulated()
    pass(30, { b: 0, c: 0 })
    world.now += 2 * HOUR
    // The backlog of the outage comes before or with the first sign of NATS.
    for (const node of ["b", "c"]) hear(node, world.now - HOUR)
    clock.hearServer(world.now)
    for (const node of ["b", "c"]) for (let i = 0; i < 8; i++) hear(node, world.now - HOUR)
    expect(clock.doubt).toBe("")
  })

  it("hears a node's time only from what it says of itself, and nothing from its own", () => {
    const { world, clock, hear, pass } = simulated()
    pass(10)
    for (const node of ["b", "c"]) hear(node, world.now + YEAR, "keys.nts")
    for (let i = 0; i < 3; i++) hear("a", world.now + YEAR)
    expect(clock.doubt).toBe("")
    for (const node of ["b", "c"]) hear(node, world.now + YEAR)
    expect(clock.doubt).toContain("behind nodes b, c")
  })

  it("never errs by more than the limit while most nodes are right, whatever its own clock does", () => {
    const skews = fc.array(fc.integer({ min: -2 * YEAR, max: 2 * YEAR }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(skews, fc.integer({ min: -YEAR, max: YEAR }), (steps, liar) => {
        const { world, pass, error } = simulated()
        const nodes = { b: 0, c: 500, d: liar, e: -500 }
        pass(30, nodes)
        for (const skew of steps) {
          world.skew = skew
          expect(Math.abs(error())).toBeLessThanOrEqual(2 * CLOCK_LIMIT_MS)
          pass(20, nodes)
          expect(Math.abs(error())).toBeLessThanOrEqual(2 * CLOCK_LIMIT_MS)
        }
      }),
      { numRuns: 100 }
    )
  })
})
