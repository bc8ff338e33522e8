/** Keys in the log that do not open, met on read: put aside, counted, never served with; and what the node does without. */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import type { KeyStore, WrappedKey } from "@meridian/event-log"
import { overStore, memoryKeyStore, overSlots, ntsKeyPlace, sealKey } from "@meridian/event-log"
import { sqliteKeyStore } from "@meridian/event-log/key-store-sqlite"
import { sqliteStore } from "@meridian/event-log/sqlite"
import { type AnyEvent, toIso, type NtsGeneration, NTS_KEYS_SUBJECT, type SealedKey } from "@meridian/events"
import { ClusterFold } from "../src/cluster-fold.ts"
import { ClusterKeys } from "../src/cluster-keys.ts"
import { KeyManager } from "../src/key-manager.ts"
import { Mint } from "../src/minting.ts"
import { NodeKeys } from "../src/node-keys.ts"
import { OWN_LOG } from "../src/log-names.ts"
import { keyIn, signerWith } from "./signing.ts"
import { coordinatorsForEach } from "./coordinators-for-each.ts"
import { ids } from "./running-coordinator.ts"

const CLUSTER_KEY = new Uint8Array(32).fill(7)
const START = Date.UTC(2026, 0, 1)
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

/** Sealed for `sealedFor`, as the log gives it out for another number. */
const sealedFor = (clusterKey: Uint8Array, generation: number) => {
  const slot = `nts.${generation}.${randomBytes(8).toString("hex")}`
  return { slot, ...sealKey(clusterKey, ntsKeyPlace(generation), slot, new Uint8Array(randomBytes(32))) }
}

describe("a node that meets a key it cannot open", () => {
  const keyStore: KeyStore["Service"] = overSlots(memoryKeyStore())
  const mirror: KeyStore["Service"] = overSlots(memoryKeyStore())
  let condemned = 0
  let sent: ServingKeys | undefined
  const warnings: Array<string> = []

  const setUp = (): { readonly nodeKeys: NodeKeys; readonly fold: ClusterFold } => {
    const keys = new ClusterKeys(CLUSTER_KEY, "memory", "/nonexistent")
    const keyManager = new KeyManager(keys, keyStore, mirror)
    condemned = 0
    sent = undefined
    const nodeKeys = new NodeKeys({
      node: "node-a",
      keyManager,
      mint: new Mint(keyManager),
      keys,
      notices: {
        warn: (message) => void warnings.push(message),
        warnOnce: (_cause, message) => void warnings.push(message)
      },
      expects: { nts: true, symmetric: false },
      send: (message) => void (sent = message),
      condemned: () => void (condemned += 1)
    })
    return { nodeKeys, fold: new ClusterFold() }
  }
  const lay = async (slot: string, wrapped: WrappedKey): Promise<void> => run(keyStore.put(slot, wrapped))
  const generation = (number: number, activation: number, sealed: SealedKey): NtsGeneration => ({
    generation: number,
    aead: 15,
    notBefore: START,
    activation,
    retirement: activation + 100_000,
    sealed,
    publishedBy: `e${number}`
  })
  const withLive = (fold: ClusterFold, live: ReadonlyArray<NtsGeneration>): void => {
    fold.nts = { ...fold.nts, next: live.length + 1, live }
  }

  it("serves on with the generation before, and is not unready for what nobody can open", async () => {
    const { nodeKeys, fold } = setUp()
    const [good, moved] = [sealedFor(CLUSTER_KEY, 1), sealedFor(CLUSTER_KEY, 9)]
    await lay(good.slot, good.wrapped)
    await lay(moved.slot, moved.wrapped)
    withLive(fold, [generation(1, START, good.sealed), generation(2, START + 10_000, moved.sealed)])
    for (const at of [START + 1_000, START + 11_000, START + 12_000]) {
      await run(nodeKeys.follow(fold, at, true))
      expect(sent && ids(sent)).toEqual([1])
      expect(nodeKeys.problem).toBeUndefined()
      expect(nodeKeys.held.ntsGeneration).toBe(1)
    }
    expect(nodeKeys.putAside).toEqual([expect.stringContaining("keys.nts 2 is wrongly sealed") as string])
    expect([condemned, warnings.filter((it) => it.includes("keys.nts 2 is wrongly"))]).toMatchObject([1, { length: 1 }])
  })

  it("does not take one generation's key for another's because both name its slot", async () => {
    const { nodeKeys, fold } = setUp()
    const good = sealedFor(CLUSTER_KEY, 1)
    await lay(good.slot, good.wrapped)
    withLive(fold, [generation(1, START, good.sealed), generation(2, START + 10_000, good.sealed)])
    await run(nodeKeys.follow(fold, START + 20_000, true))
    expect(sent && ids(sent)).toEqual([1])
    expect(condemned).toBe(1)
  })

  it("is unready where a key is missing that others have", async () => {
    const { nodeKeys, fold } = setUp()
    const [good, elsewhere] = [sealedFor(CLUSTER_KEY, 1), sealedFor(CLUSTER_KEY, 2)]
    await lay(good.slot, good.wrapped)
    withLive(fold, [generation(1, START, good.sealed), generation(2, START + 10_000, elsewhere.sealed)])
    await run(nodeKeys.follow(fold, START + 1_000, true))
    expect([nodeKeys.problem, nodeKeys.putAside]).toEqual([undefined, [expect.stringContaining("no other node")]])
    const health = { workers: 1, synchronised: true, ntsGeneration: 2, symmetricSet: 0 }
    fold.members.set("node-b", { ...fold.member("node-b"), release: "1.0.0", health, heardAt: START })
    await run(nodeKeys.follow(fold, START + 1_000, true))
    expect(nodeKeys.problem).toContain("keys.nts 2 cannot be opened: its slot in the key store is empty")
    expect([condemned, sent && ids(sent)]).toEqual([0, [1]])
    // A slot that is damaged may be whole for others: missing, not put aside.
    await lay(elsewhere.slot, { ...elsewhere.wrapped, box: new Uint8Array(80) })
    await run(nodeKeys.follow(fold, START + 1_000, true))
    expect(nodeKeys.problem).toContain("keys.nts 2 cannot be opened: slot")
    expect(condemned).toBe(0)
  })

  it("takes the key store's where its own copy is damaged", async () => {
    const { nodeKeys, fold } = setUp()
    const good = sealedFor(CLUSTER_KEY, 1)
    await lay(good.slot, good.wrapped)
    await run(mirror.put(good.slot, { ...good.wrapped, box: new Uint8Array(80) }))
    withLive(fold, [generation(1, START, good.sealed)])
    await run(nodeKeys.follow(fold, START + 1_000, true))
    expect([nodeKeys.problem, sent && ids(sent)]).toEqual([undefined, [1]])
  })
})

describe("a coordinator whose log has a wrongly sealed key", () => {
  const own = coordinatorsForEach()

  /** The number that comes after the two that a fresh log has. */
  const bad = 3

  /** Appends it as the next generation, due in two days, behind the coordinator's back, as a node with the cluster key could. */
  const smuggle = async (directory: string, clusterKey: Uint8Array, sealed: SealedKey): Promise<void> => {
    const store = sqliteStore({ file: join(directory, "log", "events.sqlite") })
    try {
      const log = overStore(store, undefined, signerWith(clusterKey, OWN_LOG))
      for (;;) {
        const version = await run(log.version(NTS_KEYS_SUBJECT))
        const at = Date.now()
        const event: AnyEvent = {
          type: "NtsGenerationPublished",
          schema: 1,
          id: `smuggled-${version}`,
          time: toIso(at),
          node: "node-a",
          cause: "test",
          subject: NTS_KEYS_SUBJECT,
          version: version + 1,
          data: {
            generation: bad,
            aead: 15,
            notBefore: toIso(at),
            activation: toIso(at + 172_800_000),
            retirement: toIso(at + 999_999_999),
            predecessorUntil: toIso(at + 172_800_000),
            sealed
          }
        }
        const appended = await run(Effect.result(log.append(NTS_KEYS_SUBJECT, [event], version)))
        if (appended._tag === "Success") return
      }
    } finally {
      store.close()
    }
  }

  it("puts it aside, says so, goes on, and has its leader replace it", async () => {
    const coordinator = own.start("a", "node-a")
    coordinator.send({ type: "health", workers: 1, synchronised: true, stratum: 2 })
    await coordinator.report(({ ready, leading }) => ready && leading)
    const clusterKey = keyIn(join(coordinator.directory, "cluster-key"))
    const { slot, sealed, wrapped } = sealedFor(clusterKey, 99)
    const keyStore = sqliteKeyStore(join(coordinator.directory, "shelf", "keys.sqlite"))
    await keyStore.put(slot, wrapped)
    keyStore.close()
    await smuggle(coordinator.directory, clusterKey, sealed)
    expect(await coordinator.warning(/wrongly sealed/)).toContain(`keys.nts ${bad}`)
    const report = await coordinator.report(({ quarantined }) => quarantined === 1)
    expect(report).toMatchObject({ ready: true, reason: "" })
    const state = await coordinator.stateWhen(
      ({ ntsKeys, putAside }) =>
        putAside.length === 0 && ntsKeys.some(({ generation, status }) => generation === bad && status === "revoked")
    )
    expect(state.log.quarantined).toBe(1)
    const events = (await coordinator.ask("GET", "/log?subject=keys.nts")).text
    expect(events).toContain('"reason":"wrongly sealed: no node can open it"')
    expect(coordinator.allKeys.flatMap(ids)).not.toContain(bad)
    expect(ids(await coordinator.keys())).toEqual([1, 2])
  })
})
