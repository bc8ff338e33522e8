import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clusterKey, type ClusterKeyCommand, clusterKeyInitial } from "../src/cluster-key.ts"
import { contradiction, defaultPolicy, policy, policyInitial, type PolicySettings } from "../src/policy.ts"
import { at, foldsWell, Story } from "./aggregates.ts"

const [first, second, third] = ["1".repeat(16), "2".repeat(16), "3".repeat(16)] as const

describe("the shared policy", () => {
  const change = (changes: Partial<PolicySettings>) => ({ _tag: "Change", changes }) as const

  it("does not contradict itself to begin with", () => expect(contradiction(defaultPolicy)).toBeUndefined())

  it("records what differs and nothing else", () => {
    const story = new Story(policy, policyInitial)
    expect(story.when(change({ ntsAcceptPast: 10, ntsAcceptFuture: 2 }), at(0))).toEqual(["PolicyChanged"])
    expect(story.events[0]?.data).toEqual({ changes: { ntsAcceptFuture: 2 } })
    expect(story.when(change({ ntsAcceptFuture: 2 }), at(1))).toEqual([])
    expect(story.state.settings).toEqual({ ...defaultPolicy, ntsAcceptFuture: 2 })
  })

  it("refuses, and does not fold, settings that are out of range or contradict each other", () => {
    const story = new Story(policy, policyInitial)
    story.when(change({ ntsAcceptFuture: 2 }), at(0))
    const wrong: ReadonlyArray<Partial<PolicySettings>> = [
      { ntsAcceptFuture: 0 },
      { ntsRotationMs: 10 },
      { ntsRotationMs: 15_000 },
      { ntsLeadMs: -1 },
      { symmetricRotationMs: 1_000 },
      { memberSilenceMs: 5 },
      { clockRetentionCount: 1 },
      { ntsAead: 1 as 15 }
    ]
    for (const changes of wrong) {
      expect([changes, story.refused(change(changes), at(1))]).toEqual([changes, "contradiction"])
      expect(story.rejected("PolicyChanged", { changes })).not.toBe("folded")
    }
  })

  it("asks for no more generations than a key ring holds", () => {
    const story = new Story(policy, policyInitial)
    expect(story.refused(change({ ntsAcceptPast: 61, ntsAcceptFuture: 2 }), at(0))).toBe("contradiction")
    expect(story.when(change({ ntsAcceptPast: 60, ntsAcceptFuture: 2 }), at(0))).toEqual(["PolicyChanged"])
  })

  it("never ends up contradicting itself", () => {
    const changes = fc.record(
      {
        ntsRotationMs: fc.integer({ min: 0, max: 100_000 }),
        ntsLeadMs: fc.integer({ min: 0, max: 60_000 }),
        symmetricRotationMs: fc.integer({ min: 0, max: 10 ** 10 }),
        symmetricAnnounceMs: fc.integer({ min: 0, max: 10 ** 10 })
      },
      { requiredKeys: [] }
    )
    fc.assert(
      fc.property(fc.array(changes), fc.nat(20), (list, cut) => {
        const story = new Story(policy, policyInitial)
        for (const it of list) {
          const decision = policy.decide(story.state, change(it), at(1))
          if (decision._tag === "Accepted") story.when(change(it), at(1))
          expect(contradiction(story.state.settings)).toBeUndefined()
        }
        foldsWell(policy, policyInitial, story.events, Math.min(cut, story.events.length))
      })
    )
  })
})

describe("the cluster key", () => {
  const introduced = () => {
    const story = new Story(clusterKey, clusterKeyInitial)
    story.when({ _tag: "Introduce", key: first }, at(0))
    return story
  }

  it("is introduced once", () => {
    const story = introduced()
    expect(story.when({ _tag: "Introduce", key: first }, at(1))).toEqual([])
    expect(story.refused({ _tag: "Introduce", key: second }, at(1))).toBe("already-introduced")
    expect(story.refused({ _tag: "Introduce", key: "no fingerprint" }, at(1))).toBe("malformed")
    expect(story.rejected("ClusterKeyIntroduced", { key: second })).toContain("already")
  })

  it("changes in two steps, the second when every slot is wrapped anew, however often it is resumed", () => {
    const story = introduced()
    expect(story.when({ _tag: "StartChange", to: second }, at(1))).toEqual(["ClusterKeyChangeStarted"])
    expect(story.when({ _tag: "StartChange", to: second }, at(2))).toEqual([])
    expect(story.refused({ _tag: "StartChange", to: third }, at(2))).toBe("under-way")
    expect(story.refused({ _tag: "FinishChange", remaining: 3 }, at(2))).toBe("not-done")
    expect(story.when({ _tag: "FinishChange", remaining: 0 }, at(3))).toEqual(["ClusterKeyChanged"])
    expect(story.state).toMatchObject({ current: second, changingTo: null, former: [first] })
    expect(story.refused({ _tag: "FinishChange", remaining: 0 }, at(4))).toBe("not-started")
  })

  it("does not go back to a former key", () => {
    const story = introduced()
    story.when({ _tag: "StartChange", to: second }, at(1))
    story.when({ _tag: "FinishChange", remaining: 0 }, at(2))
    expect(story.refused({ _tag: "StartChange", to: first }, at(3))).toBe("former-key")
    expect(story.rejected("ClusterKeyChangeStarted", { from: second, to: first })).toContain("cannot change")
    expect(story.rejected("ClusterKeyChanged", { key: third })).toContain("no change")
    expect(new Story(clusterKey, clusterKeyInitial).refused({ _tag: "StartChange", to: first }, at(0))).toBe(
      "no-cluster-key"
    )
  })

  it("folds the same whatever the history and wherever it is cut", () => {
    const command: fc.Arbitrary<ClusterKeyCommand> = fc.oneof(
      fc.constantFrom(first, second).map((key): ClusterKeyCommand => ({ _tag: "Introduce", key })),
      fc.constantFrom(first, second, third).map((to): ClusterKeyCommand => ({ _tag: "StartChange", to })),
      fc.nat(1).map((remaining): ClusterKeyCommand => ({ _tag: "FinishChange", remaining }))
    )
    fc.assert(
      fc.property(fc.array(command), fc.nat(20), (list, cut) => {
        const story = new Story(clusterKey, clusterKeyInitial)
        for (const it of list) {
          const decision = clusterKey.decide(story.state, it, at(1))
          if (decision._tag === "Accepted") story.when(it, at(1))
        }
        expect(story.state.former).not.toContain(story.state.current)
        foldsWell(clusterKey, clusterKeyInitial, story.events, Math.min(cut, story.events.length))
      })
    )
  })
})
