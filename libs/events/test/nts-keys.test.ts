import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fold, toIso } from "../src/event.ts"
import {
  acceptedGenerations,
  activeGeneration,
  generationsNeeded,
  generationStatus,
  ntsKeys,
  pendingGenerations
} from "../src/nts-keys.ts"
import { ntsKeysInitial, type NtsKeysState } from "../src/nts-keys-state.ts"
import type { NtsKeysCommand, NtsKeysPlan } from "../src/nts-keys-commands.ts"
import { at, DAY, foldsWell, HOUR, iso, START, Story } from "./aggregates.ts"

const plan: NtsKeysPlan = { aead: 15, rotationMs: DAY, acceptPast: 2, acceptFuture: 1, leadMs: 10_000 }
const sealed = (generation: number) => ({ slot: `nts.${generation}.x`, box: "A".repeat(96) })
const supply = (...generations: ReadonlyArray<number>) =>
  generations.map((generation) => ({ generation, sealed: sealed(generation) }))
const many = supply(...Array.from({ length: 60 }, (_, index) => index + 1))

const tick = (supplied = many) => ({ _tag: "Tick", term: 1, plan, supply: supplied }) satisfies NtsKeysCommand
const rotate = (laggards: ReadonlyArray<string> = []): NtsKeysCommand => ({
  _tag: "Rotate",
  term: 1,
  plan,
  supply: many,
  laggards
})
const revoke = (generation: number): NtsKeysCommand => ({
  _tag: "Revoke",
  term: 1,
  plan,
  supply: many,
  generation,
  reason: "left on a train"
})

const numbers = (list: ReadonlyArray<{ readonly generation: number }>) => list.map(({ generation }) => generation)

/** Led by node-a, with generation 1 active from hour 0 and 2 waiting for hour 24. */
const begun = () => {
  const story = new Story(ntsKeys, ntsKeysInitial)
  story.when({ _tag: "TakeOver", term: 1, leader: "node-a" }, at(0))
  story.when(tick(), at(0))
  return story
}

describe("NTS master keys", () => {
  it("begin with one generation in use and the next a full rotation ahead", () => {
    const story = begun()
    expect(story.events.map(({ type }) => type)).toEqual([
      "NtsLeaderTookOver",
      "NtsGenerationPublished",
      "NtsGenerationPublished",
      "NtsGenerationActivated"
    ])
    expect(activeGeneration(story.state, START)?.generation).toBe(1)
    expect(pendingGenerations(story.state, START)).toMatchObject([{ generation: 2, activation: START + DAY }])
    expect(story.events[1]?.data).toMatchObject({ notBefore: iso(0), activation: iso(0), retirement: iso(72) })
  })

  it("go on from the keys of an earlier log, under their numbers, as far as their cookies are still opened", () => {
    const story = new Story(ntsKeys, ntsKeysInitial)
    story.when({ _tag: "TakeOver", term: 1, leader: "node-a" }, at(0))
    // Number 6 was revoked; 4 is three rotations old.
    const earlier = [
      { generation: 7, activation: START - HOUR },
      { generation: 5, activation: START - HOUR - 2 * DAY },
      { generation: 4, activation: START - HOUR - 3 * DAY }
    ]
    const inherit = { ...tick(), earlier }
    expect(generationsNeeded(story.state, inherit, at(0))).toEqual([5, 7, 8])
    expect(story.refused({ ...inherit, supply: supply(5, 8) }, at(0))).toBe("key-missing")
    story.when(inherit, at(0))
    expect(activeGeneration(story.state, START)?.generation).toBe(7)
    expect(numbers(acceptedGenerations(story.state, START))).toEqual([5, 7, 8])
    expect(pendingGenerations(story.state, START)).toMatchObject([{ generation: 8, activation: START + DAY }])
    expect(story.state.next).toBe(9)
    for (const ended of [4, 6]) expect(generationStatus(story.state, ended, START)).toBe("ended")
    // Once numbers are in use, none is skipped, and earlier keys count no more.
    expect(story.rejected("NtsGenerationPublished", { ...story.events[1]?.data, generation: 10 })).toContain("expected")
    expect(story.when({ ...inherit, earlier: [{ generation: 20, activation: START }] }, at(1))).toEqual([])
  })

  it("begin anew where an earlier log's keys are all too old, and at once where their times are from the future", () => {
    for (const [activation, active] of [
      [START - 90 * DAY, 1],
      [START + 90 * DAY, 7]
    ] as const) {
      const story = new Story(ntsKeys, ntsKeysInitial)
      story.when({ _tag: "TakeOver", term: 1, leader: "node-a" }, at(0))
      story.when({ ...tick(), earlier: [{ generation: 7, activation }] }, at(0))
      expect(activeGeneration(story.state, START)?.generation).toBe(active)
    }
  })

  it("become active by time alone, with no event", () => {
    const { state } = begun()
    expect(activeGeneration(state, START + DAY - 1)?.generation).toBe(1)
    expect(activeGeneration(state, START + DAY)?.generation).toBe(2)
    expect(numbers(acceptedGenerations(state, START + DAY))).toEqual([1, 2])
  })

  it("record the activation and publish the next, no sooner than a full rotation ahead", () => {
    const story = begun()
    expect(story.when(tick(), at(23))).toEqual([])
    expect(story.when(tick(), at(27))).toEqual(["NtsGenerationPublished", "NtsGenerationActivated"])
    expect(pendingGenerations(story.state, START + 27 * HOUR)).toMatchObject([
      { generation: 3, activation: START + 51 * HOUR }
    ])
  })

  it("open cookies until they retire, and then never again", () => {
    const story = begun()
    for (const hour of [24, 48, 72, 96]) story.when(tick(), at(hour))
    expect(generationStatus(story.state, 1, START)).toBe("ended")
    expect(story.state.tombstones).toMatchObject([
      { generation: 1, end: "retired" },
      { generation: 2, end: "retired" }
    ])
    expect(story.rejected("NtsGenerationActivated", { generation: 1 })).toContain("cannot become active")
    expect(story.rejected("NtsGenerationPublished", { ...story.events[1]?.data, generation: 1 })).toContain("expected")
  })

  it("stay in use past their time when nobody publishes a next one", () => {
    const { state } = begun()
    const later = START + 90 * DAY
    expect(activeGeneration(state, later)?.generation).toBe(2)
    expect(numbers(acceptedGenerations(state, later))).toEqual([2])
  })

  it("keep a generation that served long beyond its time for as long as the policy says after it is replaced", () => {
    const story = begun()
    story.when(tick(), at(24 * 20))
    const replaced = START + 21 * DAY
    expect(activeGeneration(story.state, replaced)?.generation).toBe(3)
    expect(numbers(acceptedGenerations(story.state, replaced + DAY))).toContain(2)
    expect(numbers(acceptedGenerations(story.state, replaced + 2 * DAY))).not.toContain(2)
  })

  it("rotate on command: the waiting generation comes forward, and another waits a rotation behind it", () => {
    const story = begun()
    expect(story.when(rotate(), at(5))).toEqual(["NtsGenerationBroughtForward", "NtsGenerationPublished"])
    const soon = START + 5 * HOUR + plan.leadMs
    expect(activeGeneration(story.state, soon - 1)?.generation).toBe(1)
    expect(activeGeneration(story.state, soon)?.generation).toBe(2)
    expect(pendingGenerations(story.state, soon)).toMatchObject([{ generation: 3, activation: soon + DAY }])
    expect(story.refused(rotate(), at(5))).toBe("under-way")
  })

  it("do not rotate to a generation that a live node lacks", () => {
    expect(begun().refused(rotate(["node-b"]), at(5))).toBe("not-everywhere")
  })

  it("are revoked at once, the waiting generation taking over", () => {
    const story = begun()
    expect(story.when(revoke(1), at(5))).toEqual([
      "NtsGenerationRevoked",
      "NtsGenerationBroughtForward",
      "NtsGenerationPublished",
      "NtsGenerationActivated"
    ])
    expect(activeGeneration(story.state, START + 5 * HOUR)?.generation).toBe(2)
    expect(numbers(acceptedGenerations(story.state, START + 5 * HOUR))).toEqual([2, 3])
    expect(story.refused(revoke(1), at(6))).toBe("already-ended")
    expect(story.refused(revoke(99), at(6))).toBe("unknown-generation")
  })

  it("never fall back to an older generation when the active one is revoked with none waiting", () => {
    const story = begun()
    story.when(tick(), at(24))
    story.when(revoke(3), at(25))
    story.when(revoke(4), at(25))
    story.when(revoke(5), at(25))
    const { state } = story
    const [last] = pendingGenerations(state, START + 25 * HOUR)
    const without: NtsKeysState = { ...state, live: state.live.filter((it) => it.generation < (last?.generation ?? 0)) }
    const story2 = new Story(ntsKeys, without)
    story2.when(revoke(2), at(25))
    expect(activeGeneration(story2.state, START + 25 * HOUR)).toBeUndefined()
    expect(activeGeneration(story2.state, START + 25 * HOUR + plan.leadMs)?.generation).toBe(state.next)
    expect(numbers(acceptedGenerations(story2.state, START + 25 * HOUR))).not.toContain(2)
  })

  it("are not brought back by a clock that goes back an hour", () => {
    const story = begun()
    story.when(tick(), at(24))
    expect(activeGeneration(story.state, START + 23 * HOUR)?.generation).toBe(2)
    expect(story.when(tick(), at(23))).toEqual([])
    story.when(revoke(2), at(23))
    expect(story.events.at(-1)?.time).toBe(iso(24))
    expect(generationStatus(story.state, 2, START)).toBe("ended")
    const seen = { ...begun().state, latest: START + DAY }
    expect(activeGeneration(seen, START + 23 * HOUR)?.generation).toBe(2)
  })

  it("are limited in number when rotated often", () => {
    const story = begun()
    for (const hour of [1, 2, 3, 4, 5, 6]) {
      story.when(rotate(), at(hour))
      story.when(tick(), at(hour + 0.5))
    }
    expect(acceptedGenerations(story.state, START + 7 * HOUR).length).toBeLessThanOrEqual(1 + plan.acceptPast + 1)
    expect(story.state.tombstones.every(({ reason }) => reason === "limit")).toBe(true)
  })

  it("are decided by the leader of the newest term alone", () => {
    const story = begun()
    story.when({ _tag: "TakeOver", term: 7, leader: "node-b" }, at(1))
    expect(story.refused(tick(), at(2))).toBe("fenced")
    expect(story.refused({ _tag: "Tick", term: 8, plan, supply: many }, at(2))).toBe("not-leader")
    expect(story.when({ _tag: "TakeOver", term: 7, leader: "node-b" }, at(2))).toEqual([])
    expect(story.refused({ _tag: "TakeOver", term: 3, leader: "node-a" }, at(2))).toBe("fenced")
    expect(story.state).toMatchObject({ term: 7, leader: "node-b" })
    expect(story.rejected("NtsLeaderTookOver", { term: 7, leader: "node-c" })).toContain("cannot follow")
  })

  it("say which keys a command needs, and refuse it without them", () => {
    const story = new Story(ntsKeys, ntsKeysInitial)
    story.when({ _tag: "TakeOver", term: 1, leader: "node-a" }, at(0))
    const bare = { _tag: "Tick", term: 1, plan, supply: [] } as const
    expect(generationsNeeded(story.state, bare, at(0))).toEqual([1, 2])
    expect(story.refused(bare, at(0))).toBe("key-missing")
    expect(story.refused(tick(supply(1)), at(0))).toBe("key-missing")
    story.when(tick(supply(1, 2)), at(0))
    expect(generationsNeeded(story.state, bare, at(1))).toEqual([])
  })

  it("leave out of the fold what nobody could have decided", () => {
    const story = begun()
    expect(story.rejected("NtsGenerationRetired", { generation: 1, reason: "expired" })).toContain("is active")
    expect(story.rejected("NtsGenerationRevoked", { generation: 9, reason: "x" })).toContain("not live")
    const forward = { generation: 2, activation: iso(30), retirement: iso(90), reason: "rotate" }
    expect(story.rejected("NtsGenerationBroughtForward", forward)).toContain("cannot be brought forward")
    expect(story.rejected("NtsGenerationBroughtForward", { ...forward, generation: 1 })).toContain("not waiting")
    const late = { ...story.events[2]?.data, generation: 3, activation: iso(-5), notBefore: iso(-6) }
    expect(story.rejected("NtsGenerationPublished", late)).toContain("out of order")
  })

  const command = fc.oneof(
    fc.constant({ kind: "tick" as const }),
    fc.constant({ kind: "rotate" as const }),
    fc.record({ kind: fc.constant("revoke" as const), back: fc.integer({ min: -1, max: 4 }) })
  )
  const steps = fc.array(fc.tuple(command, fc.integer({ min: -2 * HOUR, max: 40 * HOUR })), { maxLength: 40 })

  it("hold their promises through any history, clocks going back included", () => {
    fc.assert(
      fc.property(steps, fc.nat(120), fc.integer({ min: 1, max: 3 }), (history, cut, acceptFuture) => {
        const varied = { ...plan, acceptFuture }
        const story = new Story(ntsKeys, ntsKeysInitial)
        story.when({ _tag: "TakeOver", term: 1, leader: "node-a" }, at(0))
        let now = START
        const ended = new Set<number>()
        for (const [{ kind, ...rest }, step] of history) {
          now += step
          const minted = Array.from({ length: 12 }, (_, index) => story.state.next + index)
          const common = { term: 1, plan: varied, supply: supply(...minted) }
          const generation = story.state.next - 1 - ("back" in rest ? (rest.back as number) : 0)
          const wanted: NtsKeysCommand =
            kind === "tick"
              ? { _tag: "Tick", ...common }
              : kind === "rotate"
                ? { _tag: "Rotate", laggards: [], ...common }
                : { _tag: "Revoke", generation, reason: "test", ...common }
          const context = { id: `c${story.events.length}`, node: "node-a", now }
          const before = story.state
          const decision = ntsKeys.decide(before, wanted, context)
          if (decision._tag === "Refused") continue
          story.when(wanted, context)
          const when = Math.max(now, before.latest)
          for (const event of decision.events) {
            if (event.type === "NtsGenerationRetired" || event.type === "NtsGenerationRevoked")
              ended.add(event.data.generation)
          }
          const planned = decision.events.flatMap((event) =>
            event.type === "NtsGenerationPublished" && before.live.length > 0 && kind === "tick"
              ? [Date.parse(event.data.activation) - when]
              : []
          )
          expect(planned.filter((ahead) => ahead < plan.rotationMs)).toEqual([])
          for (const look of [now - HOUR, now, now + 3 * DAY]) {
            const accepted = acceptedGenerations(story.state, look)
            expect(accepted.filter((it) => ended.has(it.generation))).toEqual([])
            const active = activeGeneration(story.state, look)
            expect(active === undefined || accepted.includes(active)).toBe(true)
          }
          const active = activeGeneration(before, now)?.generation ?? 0
          const then = activeGeneration(story.state, now - HOUR)?.generation
          expect(then ?? Infinity).toBeGreaterThanOrEqual(active)
        }
        foldsWell(ntsKeys, ntsKeysInitial, story.events, Math.min(cut, story.events.length))
      }),
      { numRuns: 150 }
    )
  })

  it("decide the same events for the same command, byte for byte", () => {
    const context = { id: "fixed", node: "node-a", now: START + 5 * HOUR, cause: "operator", author: "http alice" }
    const once = () => JSON.stringify(ntsKeys.decide(begun().state, rotate(), context))
    expect(once()).toBe(once())
    expect(JSON.parse(once())).toMatchObject({
      events: [
        { id: "fixed.0", cause: "operator", author: "http alice", version: 5, time: toIso(context.now) },
        { id: "fixed.1", version: 6 }
      ]
    })
    expect(fold(ntsKeys, ntsKeysInitial, begun().events).state.version).toBe(4)
  })
})
