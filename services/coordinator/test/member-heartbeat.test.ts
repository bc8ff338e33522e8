/** How much an idle node writes: simulated hours over the log in memory. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { overStore, memoryKeyStore, overSlots } from "@meridian/event-log"
import { memoryStore } from "@meridian/event-log/memory"
import { EVENTS_PER_SUMMARY, isLive, type MemberHealth } from "@meridian/events"
import { ClusterFold, policyAggregate } from "../src/cluster-fold.ts"
import { ClusterKeys } from "../src/cluster-keys.ts"
import { carryOut, type Writer } from "../src/command.ts"
import { KeyManager } from "../src/key-manager.ts"
import { Leader } from "../src/leader.ts"
import { heartbeatInterval, MemberHeartbeats } from "../src/member-heartbeat.ts"
import { Mint } from "../src/minting.ts"

const START = Date.UTC(2026, 0, 1)
const DAY_S = 86_400
const health: MemberHealth = { workers: 2, synchronised: true, ntsGeneration: 2, symmetricSet: 0 }

const simulated = (everyMs = 1_000) => {
  let now = START
  let ids = 0
  const log = overStore(memoryStore(() => now))
  const writer: Writer = {
    log,
    fold: new ClusterFold(),
    node: "a",
    now: () => now,
    newId: () => `id-${(ids += 1)}`,
    foldedSeq: () => 0
  }
  const heartbeats = new MemberHeartbeats({ version: "1.0.0", workers: 2 })
  return {
    writer,
    version: () => writer.fold.member("a").version,
    now: () => now,
    /** Speaks every second, as the coordinator does. */
    speak: async (seconds: number, said = health, reason = ""): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        now += everyMs
        await Effect.runPromise(heartbeats.write(writer, said, reason))
        expect(isLive(writer.fold.member("a"), now, writer.fold.policy.settings.memberSilenceMs)).toBe(true)
      }
    },
    change: (memberSilenceMs: number) =>
      Effect.runPromise(
        carryOut(writer, policyAggregate, () =>
          Effect.succeed({ _tag: "Change" as const, changes: { memberSilenceMs } })
        )
      )
  }
}

describe("what a node says of itself", () => {
  it("is 1440 events a day while nothing happens, by default", async () => {
    const { speak, version } = simulated()
    await speak(1)
    const before = version()
    await speak(DAY_S / 24)
    expect((version() - before) * 24).toBe(1_440)
  })

  it("comes at once where something changes", async () => {
    const { speak, version, writer } = simulated()
    await speak(1)
    const before = version()
    await speak(2, { ...health, ntsGeneration: 3 })
    expect(version() - before).toBe(1)
    await speak(2, { ...health, ntsGeneration: 3 }, "the clock is not synchronised")
    expect(version() - before).toBe(2)
    expect(writer.fold.member("a")).toMatchObject({ ready: false, health: { ntsGeneration: 3 } })
  })

  it("follows the policy: three times within the silence that counts as gone, never more than every 10 s", async () => {
    const { speak, version, change } = simulated()
    await change(30_000)
    await speak(1)
    const before = version()
    await speak(600)
    expect(version() - before).toBe(60)
    expect([20_000, 180_000, 3_600_000].map(heartbeatInterval)).toEqual([10_000, 60_000, 1_200_000])
  })

  it("does not pile up: a leader drops what a node has summed up since, and what is left folds to the same", async () => {
    const { speak, writer, now } = simulated(60_000)
    await speak((3 * DAY_S) / 60)
    const before = writer.fold.toText()
    const keys = new ClusterKeys(new Uint8Array(32).fill(7), "memory", "/nonexistent")
    const keyManager = new KeyManager(keys, overSlots(memoryKeyStore()), undefined)
    const lease = { held: () => 1, release: Effect.void, resign: Effect.void }
    const plan = {
      mint: { nts: false, symmetric: false },
      rotationMs: null,
      clockRetention: { ms: null, count: null }
    }
    const leader = new Leader({ ...writer, now }, lease, plan, keyManager, new Mint(keyManager), keys, () => "")
    await Effect.runPromise(leader.step)
    const { families } = await Effect.runPromise(writer.log.status)
    const members = families.find(({ family }) => family === "members")
    expect(members?.dropped).toBeGreaterThanOrEqual(2 * 1_440)
    expect(writer.fold.member("a").version - (members?.dropped ?? 0)).toBeLessThanOrEqual(EVENTS_PER_SUMMARY)
    const fold = new ClusterFold()
    await Effect.runPromise(
      Stream.runForEach(writer.log.read({ from: 1, only: { family: "members" } }), ({ events }) =>
        Effect.sync(() => events.forEach(({ event }) => expect(fold.fold(event)).toBeUndefined()))
      )
    )
    expect(fold.member("a")).toEqual(ClusterFold.fromText(before)?.member("a"))
  })
})
