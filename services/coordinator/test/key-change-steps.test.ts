/**
 * A change of the cluster key, killed at every step: before and after each thing that the leader does to the log or to the
 * key store. Whoever leads next must finish it, with every key as it was and nothing left under the old cluster key.
 */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import type { EventLog, KeyStore } from "@meridian/event-log"
import {
  overStore,
  LogUnavailable,
  memoryKeyStore,
  overSlots,
  KeyStoreUnavailable,
  fingerprint,
  openKey
} from "@meridian/event-log"
import { memoryStore } from "@meridian/event-log/memory"
import { clusterKeyAggregate, ClusterFold } from "../src/cluster-fold.ts"
import { ClusterKeys } from "../src/cluster-keys.ts"
import { carryOut, catchUp, type Writer } from "../src/command.ts"
import { KeyManager } from "../src/key-manager.ts"
import { Leader } from "../src/leader.ts"
import { Mint } from "../src/minting.ts"
import { liveKeys, wantedKeys } from "../src/serving.ts"

const START = Date.UTC(2026, 0, 1)
const oldKey = new Uint8Array(32).fill(7)
const newKey = new Uint8Array(32).fill(8)
const to = fingerprint(newKey)

/** A process that is killed at its nth step, before or after the step is carried out; Infinity for never. */
const killedAt = (step: number, after: boolean) => {
  let steps = 0
  const through = <A, E>(effect: Effect.Effect<A, E>, dead: Effect.Effect<never, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      steps += 1
      if (steps < step) return effect
      return steps === step && after ? Effect.andThen(effect, dead) : dead
    })
  return { through, steps: () => steps }
}

type Killed = ReturnType<typeof killedAt>

const worldOf = (log: EventLog["Service"], keyStore: KeyStore["Service"], killed: Killed) => {
  const noLog = Effect.fail(new LogUnavailable({ detail: "killed", uncertain: true }))
  const noKeyStore = Effect.fail(new KeyStoreUnavailable({ detail: "killed" }))
  const mortalLog: EventLog["Service"] = { ...log, append: (...args) => killed.through(log.append(...args), noLog) }
  const mortalKeyStore: KeyStore["Service"] = {
    ...keyStore,
    put: (...args) => killed.through(keyStore.put(...args), noKeyStore),
    rewrap: (...args) => killed.through(keyStore.rewrap(...args), noKeyStore),
    shred: (...args) => killed.through(keyStore.shred(...args), noKeyStore)
  }
  return { log: mortalLog, keyStore: mortalKeyStore }
}

/** A process that leads under a lease of its own, with both cluster keys. */
const processOf = async (
  log: EventLog["Service"],
  keyStore: KeyStore["Service"],
  revision: number,
  killed: Killed,
  isHeld = () => true
) => {
  const world = worldOf(log, keyStore, killed)
  const keys = new ClusterKeys(oldKey.slice(), "memory", "/nonexistent")
  keys.add(newKey.slice())
  const keyManager = new KeyManager(keys, world.keyStore, undefined)
  let ids = 0
  const writer: Writer = {
    log: world.log,
    fold: new ClusterFold(),
    node: "a",
    now: () => START,
    newId: () => `p${revision}-${(ids += 1)}`,
    foldedSeq: () => 0
  }
  for (const subject of ["keys.nts", "keys.symmetric", "keys.cluster"])
    await Effect.runPromise(catchUp(writer, subject))
  const lease = { held: () => (isHeld() ? revision : undefined), release: Effect.void, resign: Effect.void }
  const plan = {
    mint: { nts: true, symmetric: true },
    rotationMs: null,
    clockRetention: { ms: null, count: null }
  }
  const leader = new Leader(writer, lease, plan, keyManager, new Mint(keyManager), keys, () => "")
  return {
    fold: writer.fold,
    step: () => Effect.runPromise(Effect.result(leader.step)),
    begin: () =>
      Effect.runPromise(
        Effect.result(carryOut(writer, clusterKeyAggregate, () => Effect.succeed({ _tag: "StartChange" as const, to })))
      )
  }
}

/** A log and a key store with keys under the old cluster key. */
const begun = async () => {
  const log = overStore(memoryStore())
  const keyStore = overSlots(memoryKeyStore())
  const first = await processOf(log, keyStore, 1, killedAt(Infinity, false))
  expect((await first.step())._tag).toBe("Success")
  return { log, keyStore, before: await opened(first.fold, keyStore, oldKey) }
}

/** The live keys in the clear, opened with one cluster key alone. */
const opened = async (
  fold: ClusterFold,
  keyStore: KeyStore["Service"],
  under: Uint8Array
): Promise<ReadonlyArray<string>> =>
  Promise.all(
    liveKeys(wantedKeys(fold, START)).map(async ({ place, sealed }) => {
      const wrapped = await Effect.runPromise(keyStore.get(sealed.slot))
      if (wrapped === undefined) throw new Error(`slot ${sealed.slot} is empty`)
      return Buffer.from(openKey(under, place, sealed, wrapped)).toString("hex")
    })
  )

describe("a change of the cluster key", () => {
  it("takes some steps, or killing it at each would show nothing", async () => {
    const { log, keyStore, before } = await begun()
    expect(before).toHaveLength(3)
    const counted = killedAt(Infinity, false)
    const whole = await processOf(log, keyStore, 2, counted)
    await whole.begin()
    expect((await whole.step())._tag).toBe("Success")
    // The start, two takeovers, three slots, the end.
    expect(counted.steps()).toBe(7)
    expect(whole.fold.clusterKey).toMatchObject({ current: to, changingTo: null })
  })

  it.each([1, 2, 3, 4, 5, 6, 7].flatMap((step) => [[step, "before"] as const, [step, "after"] as const]))(
    "is finished by the next leader where it was killed at step %i, %s it",
    async (step, when) => {
      const { log, keyStore, before } = await begun()
      const killed = killedAt(step, when === "after")
      const victim = await processOf(log, keyStore, 2, killed)
      await victim.begin()
      await victim.step()
      expect(killed.steps()).toBeGreaterThanOrEqual(step)
      const next = await processOf(log, keyStore, 3, killedAt(Infinity, false))
      await next.begin()
      expect((await next.step())._tag).toBe("Success")
      expect(next.fold.clusterKey).toMatchObject({ current: to, changingTo: null, former: [fingerprint(oldKey)] })
      expect(await opened(next.fold, keyStore, newKey)).toEqual(before)
      expect((await Effect.runPromise(keyStore.list)).map(({ under }) => under)).toEqual([to, to, to])
    }
  )

  it("is not declared finished by a leader whose lease has lapsed meanwhile", async () => {
    const { log, keyStore } = await begun()
    const counted = killedAt(Infinity, false)
    const stale = await processOf(log, keyStore, 2, counted, () => counted.steps() < 6)
    await stale.begin()
    const outcome = await stale.step()
    expect(outcome._tag === "Failure" && outcome.failure._tag).toBe("NotLeading")
    expect(stale.fold.clusterKey).toMatchObject({ changingTo: to })
  })
})
