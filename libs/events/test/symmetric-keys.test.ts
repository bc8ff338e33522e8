import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  acceptedSets,
  sendingSet,
  setNeeded,
  setStatus,
  symmetricKeys,
  type SymmetricKeysCommand,
  type SymmetricKeysPlan
} from "../src/symmetric-keys.ts"
import { symmetricKeysInitial } from "../src/symmetric-keys-state.ts"
import { at, DAY, foldsWell, HOUR, iso, START, Story } from "./aggregates.ts"

const plan: SymmetricKeysPlan = { rotationMs: 10 * DAY, announceMs: DAY, graceMs: 2 * DAY, leadMs: 10_000 }
const keys = (set: number) =>
  [1, 2].map((index) => ({
    keyId: ((set - 1) * 2 + index) % 65_535 || 1,
    type: "AES128CMAC",
    sealed: { slot: `symmetric.${set}.k${index}`, box: "A".repeat(96) }
  }))
const supply = (set: number) => ({ set, keys: keys(set) })
const tick = (set: number): SymmetricKeysCommand => ({ _tag: "Tick", term: 1, plan, supply: supply(set) })
const rotate = (set: number): SymmetricKeysCommand => ({ _tag: "Rotate", term: 1, plan, supply: supply(set) })
const revoke = (set: number, next: number): SymmetricKeysCommand => ({
  _tag: "Revoke",
  term: 1,
  plan,
  supply: supply(next),
  set,
  reason: "mailed to the wrong list"
})
const numbers = (list: ReadonlyArray<{ readonly set: number }>) => list.map(({ set }) => set)

/** Led by node-a, set 1 trusted from hour 0. */
const begun = () => {
  const story = new Story(symmetricKeys, symmetricKeysInitial)
  story.when({ _tag: "TakeOver", term: 1, leader: "node-a" }, at(0))
  story.when(rotate(1), at(0))
  return story
}

describe("symmetric key sets", () => {
  it("begin on command, the first trusted at once", () => {
    const fresh = new Story(symmetricKeys, symmetricKeysInitial)
    fresh.when({ _tag: "TakeOver", term: 1, leader: "node-a" }, at(0))
    expect(fresh.when(tick(1), at(0))).toEqual([])
    expect(fresh.when(rotate(1), at(0))).toEqual(["SymmetricSetAnnounced", "SymmetricSetTrusted"])
    expect(sendingSet(fresh.state, START)?.set).toBe(1)
  })

  it("are accepted before they are trusted for sending, and the old one in grace after", () => {
    const story = begun()
    story.when(rotate(2), at(24))
    const [announced, trusted, over] = [START + 25 * HOUR, START + 48 * HOUR, START + 96 * HOUR]
    expect(sendingSet(story.state, announced)?.set).toBe(1)
    expect(numbers(acceptedSets(story.state, announced))).toEqual([1, 2])
    expect(setStatus(story.state, 2, announced)).toBe("announced")
    expect(sendingSet(story.state, trusted)?.set).toBe(2)
    expect(numbers(acceptedSets(story.state, over - 1))).toEqual([1, 2])
    expect(setStatus(story.state, 1, trusted)).toBe("grace")
    expect(numbers(acceptedSets(story.state, over))).toEqual([2])
    expect(story.when(tick(3), at(97))).toEqual(["SymmetricSetTrusted", "SymmetricSetRetired"])
    expect(setStatus(story.state, 1, START)).toBe("ended")
  })

  it("follow each other by schedule, announced in time", () => {
    const story = begun()
    expect(story.when(tick(2), at(9 * 24 - 1))).toEqual([])
    expect(story.when(tick(2), at(9 * 24))).toEqual(["SymmetricSetAnnounced"])
    expect(story.state.live.at(-1)?.trustedFrom).toBe(START + 10 * DAY)
    const late = begun()
    late.when(tick(2), at(30 * 24))
    expect(late.state.live.at(-1)?.trustedFrom).toBe(START + 31 * DAY)
    const never = { ...tick(2), plan: { ...plan, rotationMs: 0 } } as SymmetricKeysCommand
    expect(begun().when(never, at(9_000))).toEqual([])
  })

  it("are not rotated twice at a time, nor with key ids in use", () => {
    const story = begun()
    expect(story.refused({ ...rotate(2), supply: { set: 2, keys: keys(1) } } as SymmetricKeysCommand, at(1))).toBe(
      "key-id-in-use"
    )
    const doubled = { set: 2, keys: [...keys(2), ...keys(2)] }
    expect(story.refused({ ...rotate(2), supply: doubled } as SymmetricKeysCommand, at(1))).toBe("key-id-in-use")
    story.when(rotate(2), at(1))
    expect(story.refused(rotate(3), at(2))).toBe("under-way")
  })

  it("are revoked at once: the announced one takes over, or a fresh one after the lead", () => {
    const story = begun()
    story.when(rotate(2), at(1))
    expect(story.when(revoke(1, 3), at(2))).toEqual([
      "SymmetricSetRevoked",
      "SymmetricSetBroughtForward",
      "SymmetricSetTrusted"
    ])
    expect(numbers(acceptedSets(story.state, START + 2 * HOUR))).toEqual([2])
    expect(story.when(revoke(2, 3), at(3))).toEqual(["SymmetricSetRevoked", "SymmetricSetAnnounced"])
    expect(sendingSet(story.state, START + 3 * HOUR)).toBeUndefined()
    expect(sendingSet(story.state, START + 3 * HOUR + plan.leadMs)?.set).toBe(3)
    expect(story.refused(revoke(2, 4), at(4))).toBe("already-ended")
    expect(story.refused(revoke(9, 4), at(4))).toBe("unknown-set")
  })

  it("never fall back to a set in grace when the trusted one is revoked", () => {
    const story = begun()
    story.when(rotate(2), at(0))
    story.when(tick(3), at(24))
    story.when(revoke(2, 3), at(25))
    expect(sendingSet(story.state, START + 25 * HOUR)).toBeUndefined()
    expect(numbers(acceptedSets(story.state, START + 25 * HOUR))).toEqual([1, 3])
  })

  it("are not brought back by a clock that goes back", () => {
    const story = begun()
    story.when(rotate(2), at(0))
    story.when(tick(3), at(24))
    expect(sendingSet(story.state, START + 23 * HOUR)?.set).toBe(2)
    expect(story.when(tick(3), at(22))).toEqual([])
    expect(story.rejected("SymmetricSetTrusted", { set: 1 })).toContain("cannot be trusted")
  })

  it("are decided by the leader of the newest term alone, and never without keys", () => {
    const story = begun()
    story.when({ _tag: "TakeOver", term: 5, leader: "node-b" }, at(1))
    expect(story.refused(rotate(2), at(2))).toBe("fenced")
    expect(story.refused({ ...rotate(2), term: 6 } as SymmetricKeysCommand, at(2))).toBe("not-leader")
    const bare = { _tag: "Rotate", term: 5, plan } as const
    expect(story.refused(bare, at(2))).toBe("key-missing")
    expect(setNeeded(story.state, bare, at(2))).toBe(2)
    expect(setNeeded(story.state, { _tag: "Tick", term: 5, plan }, at(2))).toBeUndefined()
  })

  it("leave out of the fold what nobody could have decided", () => {
    const story = begun()
    expect(story.rejected("SymmetricSetRetired", { set: 1 })).toContain("sent with")
    expect(story.rejected("SymmetricSetRevoked", { set: 4, reason: "x" })).toContain("not live")
    const announced = { set: 2, keys: keys(2), trustedFrom: iso(9), predecessorUntil: iso(20) }
    expect(story.rejected("SymmetricSetAnnounced", { ...announced, set: 1 })).toContain("expected")
    expect(story.rejected("SymmetricSetAnnounced", { ...announced, keys: keys(1) })).toContain("reuses key id")
    expect(story.rejected("SymmetricSetAnnounced", { ...announced, trustedFrom: iso(-9) })).toContain("before the one")
    expect(story.rejected("SymmetricSetBroughtForward", { set: 1, trustedFrom: iso(5) })).toContain("cannot be trusted")
    expect(story.rejected("SymmetricLeaderTookOver", { term: 1, leader: "node-b" })).toContain("cannot follow")
  })

  it("hold their promises through any history", () => {
    const commands = fc.array(
      fc.tuple(fc.constantFrom("tick", "rotate", "revoke"), fc.integer({ min: -HOUR, max: 4 * DAY }), fc.nat(3)),
      { maxLength: 40 }
    )
    fc.assert(
      fc.property(commands, fc.nat(80), (history, cut) => {
        const story = begun()
        let now = START
        const ended = new Set<number>()
        for (const [kind, step, back] of history) {
          now += step
          const next = story.state.next
          const command =
            kind === "tick" ? tick(next) : kind === "rotate" ? rotate(next) : revoke(next - 1 - back, next)
          const context = { id: `c${story.events.length}`, node: "node-a", now }
          const decision = symmetricKeys.decide(story.state, command, context)
          if (decision._tag === "Refused") continue
          const before = sendingSet(story.state, now)?.set ?? 0
          story.when(command, context)
          for (const event of decision.events)
            if (event.type === "SymmetricSetRetired" || event.type === "SymmetricSetRevoked") ended.add(event.data.set)
          for (const look of [now - HOUR, now, now + DAY]) {
            const accepted = acceptedSets(story.state, look)
            expect(accepted.filter((it) => ended.has(it.set))).toEqual([])
            const sending = sendingSet(story.state, look)
            expect(sending === undefined || accepted.includes(sending)).toBe(true)
            expect(sending === undefined || look < now || sending.set >= before).toBe(true)
            const ids = story.state.live.flatMap((it) => it.keys.map(({ keyId }) => keyId))
            expect(new Set(ids).size).toBe(ids.length)
          }
        }
        foldsWell(symmetricKeys, symmetricKeysInitial, story.events, Math.min(cut, story.events.length))
      }),
      { numRuns: 100 }
    )
  })
})
