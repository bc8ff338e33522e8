import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clock, type ClockCommand, clockInitial, clockSubject, SOURCES_KEPT } from "../src/clock.ts"
import { at, foldsWell, Story } from "./aggregates.ts"

const measurement = {
  source: "192.0.2.1",
  stratum: 2,
  reach: 255,
  offset: 1e-4,
  delay: 0.01,
  dispersion: 1e-3,
  jitter: 1e-5
}
const choose = (peer: string): ClockCommand => ({
  _tag: "ChoosePeer",
  peer,
  reason: "least distance",
  measurements: [measurement]
})
const reach = (source: string, reachable: boolean): ClockCommand => ({
  _tag: "SetReachability",
  source,
  reachable,
  reach: reachable ? 1 : 0
})
const holdover: ClockCommand = { _tag: "EnterHoldover", rootDispersion: 0.01, reason: "none left", measurements: [] }
const begun = () => new Story(clock, clockInitial("node-a"))

describe("a node's clock", () => {
  it("tells of a system peer when it changes, with the one before and what was measured", () => {
    const story = begun()
    expect(story.when(choose("192.0.2.1"), at(0))).toEqual(["SystemPeerChosen"])
    expect(story.when(choose("192.0.2.1"), at(1))).toEqual([])
    story.when(choose("192.0.2.2"), at(2))
    expect(story.events.at(-1)?.data).toMatchObject({ previous: "192.0.2.1", measurements: [measurement] })
    expect(story.state).toMatchObject({ peer: "192.0.2.2", decidedBy: story.events.at(-1)?.id })
  })

  it("enters holdover once, and leaves it with the next peer, the same one too", () => {
    const story = begun()
    story.when(choose("192.0.2.1"), at(0))
    expect(story.when(holdover, at(1))).toEqual(["HoldoverEntered"])
    expect(story.when(holdover, at(2))).toEqual([])
    expect(story.events.at(-1)?.data).toMatchObject({ lastPeer: "192.0.2.1" })
    expect(story.when(choose("192.0.2.1"), at(3))).toEqual(["SystemPeerChosen"])
    expect(story.state).toMatchObject({ holdover: false, peer: "192.0.2.1" })
  })

  it("tells of reachability when it changes, for a bounded number of sources", () => {
    const story = begun()
    expect(story.when(reach("a", false), at(0))).toEqual([])
    expect(story.when(reach("a", true), at(0))).toEqual(["SourceReachabilityChanged"])
    expect(story.when(reach("a", true), at(1))).toEqual([])
    expect(story.when(reach("a", false), at(2))).toEqual(["SourceReachabilityChanged"])
    for (let index = 0; index < SOURCES_KEPT; index++) story.when(reach(`s${index}`, true), at(3))
    expect(story.refused(reach("one-more", true), at(4))).toBe("too-many-sources")
  })

  it("tells of every peer that was taken and let go, under which key", () => {
    const story = begun()
    const change = {
      _tag: "SetPassivePeer",
      source: "192.0.2.1",
      key: 5,
      taken: true,
      reason: "symmetric active"
    } as const
    expect(story.when(change, at(0))).toEqual(["PassivePeerChanged"])
    // A clock's process that was started anew takes it again, without having let it go.
    expect(story.when(change, at(1))).toEqual(["PassivePeerChanged"])
    expect(story.when({ ...change, taken: false, reason: "not heard for long" }, at(2))).toEqual(["PassivePeerChanged"])
    expect(story.state).toMatchObject({ version: 3, peer: null, reachable: [] })
  })

  it("remembers the last acts of operators, with who they were", () => {
    const story = begun()
    const act = (host: string) => ({ _tag: "Act", act: "offline", changes: [host] }) as const
    for (const [hour, host] of ["a", "b", "c", "d", "e"].entries()) story.when(act(host), at(hour))
    expect(story.state.acts?.map(({ changes }) => changes)).toEqual([["b"], ["c"], ["d"], ["e"]])
    const last = story.state.acts?.at(-1)
    expect(last).toMatchObject({ act: "offline", at: story.state.latest, event: story.events.at(-1)?.id, author: "" })
    const by = { ...story.events.at(-1)!, version: 6, author: "chronyc" }
    expect(clock.evolve(story.state, by)).toMatchObject({ acts: [{}, {}, {}, { author: "chronyc" }] })
    expect(story.state).toMatchObject({ peer: null, holdover: false, reachable: [] })
  })

  it("names the first lines of an act that has many, and long ones in part", () => {
    const story = begun()
    const changes = Array.from({ length: 50 }, (_, line) => `+ server ${line} ${"x".repeat(300)}`)
    story.when({ _tag: "Act", act: "reload", changes }, at(0))
    const [act] = story.state.acts ?? []
    expect(act).toMatchObject({ unnamed: 18, author: "" })
    expect(act?.changes.map((change) => change.length)).toEqual(Array.from({ length: 32 }, () => 256))
  })

  it("tells of steps and leap seconds", () => {
    const story = begun()
    story.when({ _tag: "Step", offset: -1.5, reason: "threshold", measurements: [] }, at(0))
    const armed = { _tag: "ArmLeap", leap: "insert", at: "2027-01-01T00:00:00.000Z", source: "a" } as const
    expect(story.when(armed, at(1))).toEqual(["LeapArmed"])
    expect(story.when(armed, at(2))).toEqual([])
    expect(story.refused({ ...armed, at: null }, at(3))).toBe("leap-without-date")
    expect(story.when({ ...armed, leap: "none", at: null }, at(3))).toEqual(["LeapArmed"])
    expect(story.state).toMatchObject({ steps: 1, lastStep: -1.5, leap: "none" })
  })

  it("belongs to its node alone", () => {
    const story = begun()
    story.when(choose("a"), at(0))
    const other = { source: "a", reachable: true, reach: 1 }
    expect(story.rejected("SourceReachabilityChanged", other, { subject: clockSubject("node-b") })).toContain(
      "clock.node-b"
    )
    expect(new Story(clock, clockInitial("not a name")).refused(holdover, at(0))).toBe("bad-name")
  })

  it("folds the same whatever the history and wherever it is cut", () => {
    const command = fc.oneof(
      fc.constantFrom("a", "b", "c").map(choose),
      fc.tuple(fc.constantFrom("a", "b"), fc.boolean()).map(([source, reachable]) => reach(source, reachable)),
      fc.constant(holdover),
      fc.constant<ClockCommand>({ _tag: "SetPassivePeer", source: "b", key: 5, taken: true, reason: "x" }),
      fc.constant<ClockCommand>({ _tag: "Act", act: "reload", changes: ["+ server a"] }),
      fc.constant<ClockCommand>({ _tag: "Step", offset: 1, reason: "x", measurements: [] })
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(command, fc.integer({ min: -5, max: 5 }))), fc.nat(50), (history, cut) => {
        const story = begun()
        let hours = 0
        for (const [wanted, step] of history) story.when(wanted, at((hours += step)))
        foldsWell(clock, clockInitial("node-a"), story.events, Math.min(cut, story.events.length))
        expect(story.state.version).toBe(story.events.length)
      })
    )
  })
})
