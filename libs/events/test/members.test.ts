import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fold } from "../src/event.ts"
import {
  EVENTS_PER_SUMMARY,
  isLive,
  isServing,
  isSummary,
  member,
  type MemberCommand,
  type MemberHealth,
  memberInitial,
  memberSubject
} from "../src/members.ts"
import { at, foldsWell, HOUR, START, Story } from "./aggregates.ts"

const health: MemberHealth = { workers: 2, synchronised: true, ntsGeneration: 1, symmetricSet: 0 }
const second = 1 / 3_600

const registered = () => {
  const story = new Story(member, memberInitial("node-a"))
  story.when({ _tag: "Register", version: "0.1.0", workers: 2 }, at(0))
  return story
}

describe("a member", () => {
  it("is not known before it registers", () => {
    const story = new Story(member, memberInitial("node-a"))
    expect(story.refused({ _tag: "Drain", reason: "typo" }, at(0))).toBe("unknown-member")
    expect(new Story(member, memberInitial("Not A Name")).refused({ _tag: "SetReady" }, at(0))).toBe("bad-name")
    expect(isLive(story.state, START, HOUR)).toBe(false)
  })

  it("starts unready, and serves once ready and not drained", () => {
    const story = registered()
    expect(isServing(story.state)).toBe(false)
    expect(story.when({ _tag: "SetReady" }, at(1))).toEqual(["MemberReady"])
    expect(story.when({ _tag: "SetReady" }, at(1))).toEqual([])
    expect(isServing(story.state)).toBe(true)
    expect(story.when({ _tag: "Drain", reason: "disk" }, at(2))).toEqual(["MemberDrained"])
    expect(story.when({ _tag: "Drain", reason: "disk" }, at(2))).toEqual([])
    expect(isServing(story.state)).toBe(false)
    story.when({ _tag: "Undrain" }, at(3))
    expect(story.when({ _tag: "Undrain" }, at(3))).toEqual([])
    expect(isServing(story.state)).toBe(true)
  })

  it("says why it is unready, and says so again only for another reason", () => {
    const story = registered()
    story.when({ _tag: "SetReady" }, at(1))
    expect(story.when({ _tag: "SetUnready", reason: "generation 7 is missing" }, at(2))).toEqual(["MemberUnready"])
    expect(story.when({ _tag: "SetUnready", reason: "generation 7 is missing" }, at(3))).toEqual([])
    expect(story.when({ _tag: "SetUnready", reason: "clock" }, at(3))).toEqual(["MemberUnready"])
    expect(story.state).toMatchObject({ ready: false, reason: "clock" })
  })

  it("stays drained over a restart, and is unready after it", () => {
    const story = registered()
    story.when({ _tag: "SetReady" }, at(1))
    story.when({ _tag: "Drain", reason: "disk" }, at(1))
    story.when({ _tag: "Register", version: "0.2.0", workers: 4 }, at(2))
    expect(story.state).toMatchObject({ release: "0.2.0", workers: 4, drained: true, ready: false })
  })

  it("is heard at a bounded rate, sooner where something changed", () => {
    const story = registered()
    const beat = (over: Partial<MemberHealth> = {}): MemberCommand => ({
      _tag: "Heartbeat",
      health: { ...health, ...over }
    })
    expect(story.when(beat(), at(second))).toEqual(["MemberHeartbeat"])
    expect(story.when(beat(), at(9 * second))).toEqual([])
    expect(story.when(beat(), at(11 * second))).toEqual(["MemberHeartbeat"])
    expect(story.when(beat({ ntsGeneration: 2 }), at(11.5 * second))).toEqual([])
    expect(story.when(beat({ ntsGeneration: 2 }), at(12 * second))).toEqual(["MemberHeartbeat"])
    expect(isLive(story.state, START + 40_000, 30_000)).toBe(true)
    expect(isLive(story.state, START + 50_000, 30_000)).toBe(false)
  })

  it("says all that is known of it every thousandth event, and folds the same from there alone", () => {
    const story = registered()
    story.when({ _tag: "Drain", reason: "disk" }, at(second))
    story.when({ _tag: "SetUnready", reason: "clock" }, at(second))
    const kinds = new Map<string, number>()
    for (let beat = 1; beat <= 2 * EVENTS_PER_SUMMARY; beat++)
      for (const type of story.when({ _tag: "Heartbeat", health }, at(beat * 11 * second)))
        kinds.set(type, (kinds.get(type) ?? 0) + 1)
    expect(Object.fromEntries(kinds)).toEqual({ MemberHeartbeat: 2 * EVENTS_PER_SUMMARY - 2, MemberSummarised: 2 })
    const last = story.events.findLastIndex(isSummary)
    const { state, rejected } = fold(member, memberInitial("node-a"), story.events.slice(last))
    expect(rejected).toEqual([])
    expect(state).toEqual(story.state)
    expect(state).toMatchObject({ drained: true, ready: false, reason: "clock", health, release: "0.1.0" })
    // A state folded before there were summaries.
    const { summarised, ...old } = story.state
    expect(summarised).toBeGreaterThan(EVENTS_PER_SUMMARY)
    const decision = member.decide(old, { _tag: "Heartbeat", health }, at(HOUR))
    expect(decision).toMatchObject({ _tag: "Accepted", events: [{ type: "MemberSummarised" }] })
  })

  it("does not fold another node's events, nor any before its first start", () => {
    const story = registered()
    expect(story.rejected("MemberReady", {}, { subject: memberSubject("node-b") })).toContain("members.node-b")
    const fresh = new Story(member, memberInitial("node-a"))
    fresh.events.push(...registered().events)
    expect(fresh.rejected("MemberReady", {})).toContain("not registered")
  })

  it("folds the same whatever the history and wherever it is cut", () => {
    const command: fc.Arbitrary<MemberCommand> = fc.oneof(
      fc.constant<MemberCommand>({ _tag: "Register", version: "1", workers: 1 }),
      fc.nat(3).map((ntsGeneration): MemberCommand => ({ _tag: "Heartbeat", health: { ...health, ntsGeneration } })),
      fc.constantFrom<MemberCommand>(
        { _tag: "SetReady" },
        { _tag: "SetUnready", reason: "x" },
        { _tag: "Drain", reason: "x" },
        { _tag: "Undrain" }
      )
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(command, fc.integer({ min: -60, max: 60 }))), fc.nat(50), (history, cut) => {
        const story = registered()
        let time = 0
        for (const [wanted, step] of history) story.when(wanted, at((time += step) * second))
        foldsWell(member, memberInitial("node-a"), story.events, Math.min(cut, story.events.length))
        const times = story.events.map((event) => Date.parse(event.time))
        expect(times).toEqual(times.toSorted((a, b) => a - b))
      })
    )
  })
})
