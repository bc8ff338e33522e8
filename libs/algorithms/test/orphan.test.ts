import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { orphanParent, type OrphanRank } from "../src/orphan.ts"
import { decideSystemPeer, defaultSystemOptions, noSystemPeer, type SourceView } from "../src/system-peer.ts"
import { source as sourceView } from "./source-view.ts"

const source = (id: string, more: Partial<SourceView> = {}): SourceView =>
  sourceView(id, { stratum: 6, rootDelay: 0, rootDispersion: 0.01, ...more })
const rank = (theirs: number, ours: number): { readonly rank: OrphanRank } => ({ rank: { theirs, ours } })
const decide = (sources: readonly SourceView[], orphan: number | "off" = 6) => {
  const options = orphan === "off" ? defaultSystemOptions : { ...defaultSystemOptions, orphan, minsane: 2 }
  const { verdicts, used } = decideSystemPeer(sources, 1000, options, noSystemPeer)
  return { verdicts: verdicts.map(({ verdict }) => verdict), used: used.map((it) => it.source.id) }
}

describe("orphans among the sources", () => {
  it("are followed when nobody else survives: the one with the lowest address, if it is below ours", () => {
    const [a, b, c] = [source("a", rank(4, 5)), source("b", rank(3, 5)), source("c", rank(9, 5))]
    expect(decide([a, b, c])).toEqual({ verdicts: ["stratum", "system-peer", "stratum"], used: ["b"] })
    expect(decide([c])).toEqual({ verdicts: ["stratum"], used: [] })
    expect(decide([source("a")])).toEqual({ verdicts: ["stratum"], used: [] })
  })

  it("do not vote, however many, once somebody has better time", () => {
    const better = [source("x", { stratum: 2, offset: 1 }), source("y", { stratum: 3, offset: 1 })]
    const orphans = [1, 2, 3].map((number) => source(`o${number}`, rank(number, 9)))
    expect(decide([...orphans, ...better])).toEqual({
      verdicts: ["stratum", "stratum", "stratum", "system-peer", "candidate"],
      used: ["x", "y"]
    })
  })

  it("are passed over when they are silent, unsynchronised or not to be followed", () => {
    const unfit = [{ reach: 0 }, { leap: 3 }, { noselect: true }, { loop: true }]
    for (const each of unfit) expect(decide([source("a", { ...rank(1, 9), ...each })]).used).toEqual([])
  })

  it("are sources like any other where orphan mode is off", () => {
    expect(decide([source("a", rank(9, 1))], "off")).toEqual({ verdicts: ["system-peer"], used: ["a"] })
  })
})

it("an island has one parent, whom all others choose, whatever their addresses", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(0xffffffff), { minLength: 1, maxLength: 8 }), (addresses) => {
      const chosen = addresses.map((ours) => {
        const others = addresses.filter((it) => it !== ours)
        const sources = others.map((theirs) => ({ source: { rank: { theirs, ours } } }))
        return orphanParent(sources)?.source.rank.theirs
      })
      const lowest = Math.min(...addresses)
      expect(chosen).toEqual(addresses.map((ours) => (ours === lowest ? undefined : lowest)))
    })
  )
})
