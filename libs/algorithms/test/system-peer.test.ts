import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  decideSystemPeer,
  defaultSystemOptions,
  noSystemPeer,
  type SourceView,
  type SystemDecision,
  type SystemMemory,
  type SystemOptions
} from "../src/system-peer.ts"
import { rootDistance } from "../src/root-distance.ts"
import { source } from "./source-view.ts"

const decide = (
  sources: readonly SourceView[],
  options: Partial<SystemOptions> = {},
  memory: SystemMemory = noSystemPeer
): SystemDecision => decideSystemPeer(sources, 1000, { ...defaultSystemOptions, ...options }, memory)

const verdictsOf = (decision: SystemDecision): Record<string, string> =>
  Object.fromEntries(decision.verdicts.map(({ id, verdict }) => [id, verdict]))

describe("root distance (RFC 5905 §11.1)", () => {
  it("adds half the delays, the dispersions and the jitter, and grows by 15 ppm", () => {
    expect(rootDistance(source("a"), 1000)).toBeCloseTo(0.015 + 0.002 + 0.001 + 0.0005, 12)
    expect(rootDistance(source("a"), 2000)).toBeCloseTo(0.0185 + 0.015, 12)
  })

  it("believes no delay under 5 ms", () => {
    expect(
      rootDistance(source("a", { delay: 0, rootDelay: 0, rootDispersion: 0, dispersion: 0, jitter: 0 }), 1000)
    ).toBe(0.0025)
  })
})

describe("system process (RFC 5905 §11.2)", () => {
  it("follows the best of three and combines the rest", () => {
    const decision = decide([source("a"), source("b", { stratum: 1 }), source("c", { delay: 0.01 })])
    expect(verdictsOf(decision)).toEqual({ a: "candidate", b: "system-peer", c: "candidate" })
    expect(decision.used.map(({ source: { id } }) => id)).toEqual(["b", "c", "a"])
    expect(decision.memory.peer).toBe("b")
  })

  it.each<[string, Partial<SourceView>]>([
    ["unreachable", { reach: 0 }],
    ["unsynchronised", { leap: 3 }],
    ["unsynchronised", { stratum: 16 }],
    ["loop", { loop: true }],
    ["distance", { rootDispersion: 1.6 }],
    ["jitter", { jitter: 1.2 }],
    ["noselect", { noselect: true }],
    ["invalid", { offset: Number.NaN }],
    ["invalid", { delay: -1 }],
    ["invalid", { rootDispersion: Number.POSITIVE_INFINITY }],
    ["falseticker", { offset: 5 }]
  ])("says %s of %o, with a reason", (verdict, more) => {
    const decision = decide([source("a"), source("b"), source("bad", more), source("c")], {
      maxdist: more.jitter === undefined ? 1.5 : 3
    })
    const said = decision.verdicts.find(({ id }) => id === "bad")
    expect(said?.verdict).toBe(verdict)
    expect(said?.reason.length).toBeGreaterThan(10)
    expect(decision.used.map((it) => it.source.id)).not.toContain("bad")
    expect(decision.used.length).toBeGreaterThan(0)
  })

  it("says who is false and where the majority stands", () => {
    const { verdicts } = decide([source("a"), source("b"), source("liar", { offset: 5 })])
    expect(verdicts[2]?.reason).toMatch(/^5\.000 s ± 18\.5 ms is outside -18\.5 ms … 18\.5 ms/)
  })

  it("follows nobody when no majority agrees, unless one is configured as true", () => {
    const split = [source("a"), source("b", { offset: 5 })]
    expect(decide(split)).toMatchObject({ used: [], combined: undefined, memory: { peer: undefined } })
    expect(verdictsOf(decide([split[0] as SourceView, source("b", { offset: 5, alwaysTrue: true })]))).toEqual({
      a: "falseticker",
      b: "system-peer"
    })
  })

  it("follows a preferred source alone; the others back it up", () => {
    const decision = decide([source("a", { stratum: 1 }), source("b"), source("c", { prefer: true, stratum: 3 })])
    expect(verdictsOf(decision)).toEqual({ a: "backup", b: "backup", c: "system-peer" })
    expect(decision.combined?.offset).toBe(0)
  })

  it("does not follow a preferred source that lies", () => {
    expect(verdictsOf(decide([source("a"), source("b"), source("c", { prefer: true, offset: 9 })]))["c"]).toBe(
      "falseticker"
    )
  })

  it("sets no clock with fewer survivors than minsane", () => {
    const decision = decide([source("a"), source("b")], { minsane: 3 })
    expect(decision.used).toEqual([])
    expect(decision.verdicts[0]?.reason).toContain("2 of 3 sources needed")
  })

  it("leaves out what is over maxclock, and outliers", () => {
    const four = [source("a"), source("b"), source("c", { stratum: 3 }), source("d", { stratum: 4 })]
    expect(verdictsOf(decide(four, { maxclock: 2 }))).toEqual({
      a: "system-peer",
      b: "candidate",
      c: "excess",
      d: "excess"
    })
    const quiet = ["a", "b", "c"].map((id) => source(id, { jitter: 1e-6 }))
    expect(verdictsOf(decide([...quiet, source("d", { jitter: 1e-6, offset: 0.01 })]))["d"]).toBe("outlier")
  })

  it("keeps the system peer while the challenger's offset differs by less than a halving allowance", () => {
    const sources = [
      source("old", { delay: 0.03, offset: 4e-4 }),
      source("new", { delay: 0.02 }),
      source("c", { delay: 0.04 })
    ]
    const seen: (string | undefined)[] = []
    let memory: SystemMemory = { peer: "old", clockhop: 0 }
    for (let i = 0; i < 4; i += 1) {
      memory = decide(sources, {}, memory).memory
      seen.push(memory.peer)
    }
    // Allowances: 1 ms, 0.5 ms, then 0.25 ms, under the difference of 0.4 ms.
    expect(seen).toEqual(["old", "old", "new", "new"])
    // A lower stratum wins at once.
    expect(
      decide([sources[0] as SourceView, source("new", { stratum: 1 })], {}, { peer: "old", clockhop: 0 }).memory.peer
    ).toBe("new")
  })

  it("does not follow a minority that contradicts our own clock while the others are silent", () => {
    const silent = [source("b", { reach: 0 }), source("c", { reach: 0 })]
    const liar = source("a", { offset: 5 })
    const own = { offset: 0, distance: 0.05 }
    const decision = decide([liar, ...silent], {}, { ...noSystemPeer, own })
    expect(verdictsOf(decision)).toEqual({ a: "falseticker", b: "unreachable", c: "unreachable" })
    expect(decision.used).toEqual([])
    // It is followed when it agrees with our own clock, when our own clock knows nothing, and when it is half of the sources.
    expect(verdictsOf(decide([liar, ...silent], {}, { ...noSystemPeer, own: { offset: 0, distance: 6 } }))["a"]).toBe(
      "system-peer"
    )
    expect(verdictsOf(decide([liar, ...silent]))["a"]).toBe("system-peer")
    expect(verdictsOf(decide([liar, source("b", { reach: 0 })], {}, { ...noSystemPeer, own }))["a"]).toBe("system-peer")
  })

  const honest = fc.record({
    offset: fc.double({ min: -0.01, max: 0.01, noNaN: true }),
    delay: fc.double({ min: 0.02, max: 0.2, noNaN: true }),
    stratum: fc.integer({ min: 1, max: 4 })
  })
  const liar = fc.record({
    offset: fc.oneof(fc.double({ min: 1, max: 1e9, noNaN: true }), fc.double({ min: -1e9, max: -1, noNaN: true })),
    delay: fc.constant(0.001),
    stratum: fc.constant(1)
  })

  it("a minority of falsetickers never captures, however good it claims to be", () => {
    const groups = fc
      .integer({ min: 1, max: 4 })
      .chain((bad) =>
        fc.tuple(
          fc.array(honest, { minLength: bad + 1, maxLength: bad + 4 }),
          fc.array(liar, { minLength: bad, maxLength: bad })
        )
      )
    fc.assert(
      fc.property(groups, ([good, bad]) => {
        const sources = [...bad.map((it, i) => source(`bad${i}`, it)), ...good.map((it, i) => source(`good${i}`, it))]
        const decision = decide(sources)
        for (const survivor of decision.survivors) expect(survivor.source.id).toMatch(/^good/)
        expect(Math.abs(decision.combined?.offset ?? 0)).toBeLessThanOrEqual(0.0101)
      })
    )
  })

  it("has a verdict for every source and no NaN, whatever it is fed", () => {
    const number = fc.double()
    const anything = fc.record({
      offset: number,
      delay: number,
      dispersion: number,
      jitter: number,
      rootDelay: number,
      rootDispersion: number,
      updated: number,
      stratum: fc.integer({ min: -2, max: 20 })
    })
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 6 }), (all) => {
        const decision = decide(all.map((it, i) => source(String(i), it)))
        expect(decision.verdicts).toHaveLength(all.length)
        for (const { reason } of decision.verdicts) expect(reason).not.toContain("NaN")
        expect(Number.isFinite(decision.combined?.offset ?? 0)).toBe(true)
      })
    )
  })

  it("does not care for the order of sources", () => {
    fc.assert(
      fc.property(fc.array(honest, { minLength: 1, maxLength: 6 }), (all) => {
        const sources = all.map((it, i) => source(String(i), { ...it, rootDelay: 0.01 + i / 1000 }))
        const forwards = decide(sources)
        const backwards = decide(sources.toReversed())
        expect(verdictsOf(backwards)).toEqual(verdictsOf(forwards))
        expect(backwards.combined?.offset ?? 0).toBeCloseTo(forwards.combined?.offset ?? 0, 12)
      })
    )
  })
})

describe("pulses", () => {
  const pulse = (more: Partial<SourceView> = {}): SourceView =>
    source("pps", { stratum: 0, pulse: true, delay: 0, dispersion: 1e-6, jitter: 1e-6, rootDelay: 0, ...more })
  const usedBy = (decision: SystemDecision): readonly string[] => decision.used.map(({ source: { id } }) => id)

  it("are followed alone where another source survives, and have no vote in which does", () => {
    // 200 ms off, which is outside the pulse's own interval: a serial line is like that.
    const decision = decide([pulse(), source("gps", { stratum: 0, offset: 0.2 }), source("a", { offset: 0.2 })])
    expect(usedBy(decision)).toEqual(["pps"])
    expect(verdictsOf(decision)).toEqual({ pps: "system-peer", gps: "backup", a: "backup" })
    expect(decision.combined?.offset).toBe(0)
    expect(decision.verdicts[0]?.reason).toBe("its pulses are 200 ms from gps, which numbers their seconds")
  })

  it("are nothing by themselves, however sure", () => {
    for (const others of [[], [source("a", { reach: 0 })], [source("a", { noselect: true })]]) {
      const decision = decide([pulse({ prefer: true, alwaysTrue: true }), ...others])
      expect(usedBy(decision)).toEqual([])
      expect(verdictsOf(decision)["pps"]).toBe("unsynchronised")
    }
    const disagreeing = [source("a"), source("b", { offset: 3 })]
    expect(usedBy(decide([pulse(), ...disagreeing]))).toEqual([])
  })

  it("over 0.4 s from what numbers them are false", () => {
    const decision = decide([pulse({ offset: 1 }), source("a", { offset: 0.59 })])
    expect(usedBy(decision)).toEqual(["a"])
    expect(verdictsOf(decision)).toEqual({ pps: "falseticker", a: "system-peer" })
    expect(usedBy(decide([pulse({ offset: 1 }), source("a", { offset: 0.61 })]))).toEqual(["pps"])
  })

  it("number by the preferred source, and the better of two pulses is followed", () => {
    const decision = decide([
      pulse({ jitter: 1e-4 }),
      { ...pulse(), id: "pps1" },
      source("a"),
      source("b", { offset: 0.001, prefer: true })
    ])
    expect(usedBy(decision)).toEqual(["pps1"])
    expect(decision.verdicts[1]?.reason).toContain("from b, which numbers")
    expect(verdictsOf(decision)).toMatchObject({ pps: "backup", a: "backup", b: "backup" })
  })

  it("are subject to noselect, maxdist and reach as others are", () => {
    for (const more of [{ noselect: true }, { dispersion: 5 }, { reach: 0 }])
      expect(usedBy(decide([pulse(more), source("a")]))).toEqual(["a"])
    expect(verdictsOf(decide([pulse({ leap: 3 }), source("a")]))["pps"]).toBe("unsynchronised")
  })
})

describe("reference clocks", () => {
  it("at stratum 0 are above the default floor, and below a higher one", () => {
    expect(verdictsOf(decide([source("gps", { stratum: 0 })]))).toEqual({ gps: "system-peer" })
    expect(verdictsOf(decide([source("gps", { stratum: 0 })], { floor: 2 }))).toEqual({ gps: "stratum" })
  })
})
