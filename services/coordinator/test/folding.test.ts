/** Commands, the clock's relay, explanations and what the node serves with, over the log in memory. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { MOST_LIVE_GENERATIONS, type NtsGeneration } from "@meridian/events"
import { describe, expect, it } from "vitest"
import { overStore, type EventLog, LogUnavailable, ntsKeyPlace } from "@meridian/event-log"
import { memoryStore } from "@meridian/event-log/memory"
import { type Aead, type AeadParameters, aeadParameters } from "@meridian/auth/aead"
import { nobleAeads } from "@meridian/auth/aead-noble"
import { COOKIE_AEAD, COOKIE_NONCE_BYTES } from "@meridian/auth/cookie"
import { openCookie, sealCookie } from "@meridian/testkit/cookies"
import { type Generation, KeyRing, MAXIMUM_GENERATIONS } from "@meridian/auth/key-ring"
import { KeyTable } from "@meridian/auth/key-table"
import { readServingKeys } from "@meridian/auth/serving-keys"
import { ClockRelay, CLOCK_QUEUE_LENGTH } from "../src/clock-relay.ts"
import { clockAggregate, ClusterFold, memberAggregate, policyAggregate } from "../src/cluster-fold.ts"
import { carryOut, catchUp, type Writer } from "../src/command.ts"
import { explain } from "../src/explain.ts"
import { keyName } from "../src/key-manager.ts"
import { ForwardClock } from "../src/forward-clock.ts"
import { unreadyReason } from "../src/membership.ts"
import { liveSlots, servingKeys, signatureOf, wantedKeys } from "../src/serving.ts"

const START = Date.UTC(2026, 0, 1)
let ids = 0
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

const writerOver = (log: EventLog["Service"], node = "a", now = (): number => START): Writer => ({
  log,
  fold: new ClusterFold(),
  node,
  now,
  newId: () => `id-${(ids += 1)}`,
  foldedSeq: () => 0
})

const change = (writer: Writer, clockRetentionCount: number): Effect.Effect<unknown, unknown> =>
  carryOut(writer, policyAggregate, () => Effect.succeed({ _tag: "Change" as const, changes: { clockRetentionCount } }))

const choose = (peer: string) => ({ _tag: "ChoosePeer" as const, peer, reason: "test", measurements: [] })

describe("carrying out a command", () => {
  it("folds what other writers have appended and decides again", async () => {
    const log = overStore(memoryStore())
    const [one, other] = [writerOver(log), writerOver(log, "b")]
    await run(change(one, 200))
    await run(change(other, 300))
    await Promise.all([run(change(one, 400)), run(change(other, 500))])
    await run(change(one, 600))
    expect(one.fold.policy).toMatchObject({ version: 5, settings: { clockRetentionCount: 600 } })
  })

  it("goes on after a commit that had to be put aside", async () => {
    const store = memoryStore()
    const writer = writerOver(overStore(store))
    await run(change(writer, 200))
    // A release that is not ours yet has written version 2.
    const [commit] = [{ subject: "policy", first: 2, last: 2, id: "x", body: '[{"version":2,"subject":"policy"}]' }]
    await store.append(commit)
    await run(change(writer, 300))
    expect(writer.fold.policy).toMatchObject({ version: 3, settings: { clockRetentionCount: 300 } })
  })

  it("folds what a purged log has at a version that was used up before, from its snapshot too", async () => {
    const store = memoryStore()
    const writer = writerOver(overStore(store))
    await run(change(writer, 200))
    await store.append({ subject: "policy", first: 2, last: 2, id: "x", body: '[{"version":2,"subject":"policy"}]' })
    await run(catchUp(writer, "policy"))
    const kept = ClusterFold.fromText(writer.fold.toText())
    expect(kept?.policy.version).toBe(2)
    // Purged, and written on by a node that never met version 2.
    const other = writerOver(overStore(memoryStore()), "b")
    await run(change(other, 200))
    await run(change(other, 300))
    for (const fold of [writer.fold, kept]) {
      await run(
        Stream.runForEach(other.log.read({ from: 1 }), ({ events }) =>
          Effect.sync(() => events.forEach(({ event }) => fold?.fold(event)))
        )
      )
      expect(fold?.toText()).toBe(other.fold.toText())
    }
  })

  it("says which rule refuses it", async () => {
    const writer = writerOver(overStore(memoryStore()))
    const drained = await run(
      Effect.result(
        carryOut(writer, memberAggregate("z"), () => Effect.succeed({ _tag: "Drain" as const, reason: "x" }))
      )
    )
    expect(Result.isFailure(drained) && drained.failure).toMatchObject({
      _tag: "CommandRefused",
      rule: "unknown-member"
    })
  })
})

describe("the relay of clock events", () => {
  it("keeps order over an outage, is bounded, and counts what it lost", async () => {
    const log = overStore(memoryStore())
    let away = true
    const flaky: EventLog["Service"] = {
      ...log,
      append: (...args) =>
        away ? Effect.fail(new LogUnavailable({ detail: "test", uncertain: false })) : log.append(...args)
    }
    const writer = writerOver(flaky)
    const relay = new ClockRelay()
    relay.add([choose("p1"), { _tag: "Unheard" }, choose("p2"), choose("p".repeat(200)), choose("p3")], START + 5)
    const refused: Array<string> = []
    const flush = relay.flush(writer, ({ _tag }) => refused.push(_tag))
    expect(Result.isFailure(await run(Effect.result(flush)))).toBe(true)
    expect([relay.length, relay.dropped]).toEqual([4, 1])
    away = false
    await run(flush)
    expect([relay.length, relay.dropped, refused]).toEqual([0, 2, ["EventRefused"]])
    expect(writer.fold.clock("a")).toMatchObject({ peer: "p3", version: 3, latest: START + 5 })
    relay.add(
      Array.from({ length: CLOCK_QUEUE_LENGTH + 10 }, (_, index) => choose(`q${index}`)),
      START
    )
    expect([relay.length, relay.dropped]).toEqual([CLOCK_QUEUE_LENGTH, 12])
  })
})

describe("an explanation", () => {
  it("tells the moment asked for, and what retention has dropped", async () => {
    const store = memoryStore()
    const log = overStore(store)
    let now = START
    const writer = writerOver(log, "a", () => now)
    for (let minute = 0; minute < 5; minute++) {
      now = START + minute * 60_000
      await run(carryOut(writer, clockAggregate("a"), () => Effect.succeed(choose(`peer-${minute}`))))
    }
    const peerAt = async (at: number): Promise<unknown> => (await run(explain(log, at, now))).clocks[0]?.peer
    expect(await peerAt(START - 1)).toBeUndefined()
    expect(await peerAt(START + 90_000)).toBe("peer-1")
    expect(await peerAt(START + 120_000)).toBe("peer-2")
    await run(log.retain({ family: "clock", storedBefore: 0, keepPerSubject: 2 }))
    expect((await run(explain(log, START + 90_000, now))).dropped).toEqual([
      { subject: "clock.a", events: 3, firstLeft: "2026-01-01T00:03:00.000Z", matters: true }
    ])
    expect((await run(explain(log, START + 200_000, now))).dropped).toMatchObject([{ matters: false }])
  })
})

describe("what a node serves with", () => {
  const generation = (number: number, activation: number, retirement: number): NtsGeneration => ({
    generation: number,
    aead: 15,
    notBefore: START,
    activation,
    retirement,
    sealed: { slot: `nts.${number}.x`, box: "" },
    publishedBy: `e${number}`
  })
  const fold = new ClusterFold()
  fold.nts = {
    ...fold.nts,
    next: 4,
    floor: 1,
    live: [
      generation(1, START, START + 50_000),
      generation(2, START + 20_000, START + 70_000),
      generation(3, START + 40_000, START + 90_000)
    ]
  }
  const opened = new Map([1, 2, 3].map((it) => [keyName(ntsKeyPlace(it)), new Uint8Array(32).fill(it)]))
  const at = (now: number) => servingKeys(fold, wantedKeys(fold, now), opened, now)

  it("is the past, the active and the future generations, the message that a worker takes", () => {
    const keys = at(START + 30_000)
    expect(keys.generations.map(({ id, activation }) => [id, activation])).toEqual([
      [1, 0],
      [2, 0],
      [3, (START + 40_000) / 1_000]
    ])
    const parsed = readServingKeys(structuredClone(keys))
    expect(parsed.ring.activeAt((START + 30_000) / 1_000)?.id).toBe(2)
    // A worker whose clock goes back an hour does not seal with generation 1 again.
    expect(parsed.ring.activeAt((START + 30_000) / 1_000 - 3_600)?.id).toBe(2)
    expect(parsed.ring.activeAt((START + 45_000) / 1_000)?.id).toBe(3)
    expect(parsed.table).toEqual(KeyTable.of([]).withTrusted([]))
  })

  it("and the policy agree on how many generations may be live", () => {
    expect(MOST_LIVE_GENERATIONS).toBe(MAXIMUM_GENERATIONS)
  })

  it("leaves out what has retired or cannot be opened, and changes its signature with what it says", () => {
    expect(at(START + 60_000).generations.map(({ id }) => id)).toEqual([2, 3])
    const some = servingKeys(fold, wantedKeys(fold, START), new Map([...opened].slice(1)), START)
    expect(some.generations.map(({ id }) => id)).toEqual([2, 3])
    expect(signatureOf(at(START + 30_000))).not.toBe(signatureOf(at(START + 41_000)))
    expect(signatureOf(at(START + 30_000))).toBe(signatureOf(at(START + 31_000)))
    expect(signatureOf(at(START))).not.toMatch(/key/)
    expect([...liveSlots(fold)]).toEqual(["nts.1.x", "nts.2.x", "nts.3.x"])
  })

  it("opens cookies of clients of every AEAD, and none of them changes its length with the generation", () => {
    const before = readServingKeys(structuredClone(at(START + 10_000))).ring
    const after = readServingKeys(structuredClone(at(START + 30_000))).ring
    const sealing = nobleAeads.get(COOKIE_AEAD) as Aead
    for (const id of [15, 16, 17, 30]) {
      const aead = aeadParameters(id) as AeadParameters
      const keys = { aead, c2s: new Uint8Array(aead.keyBytes).fill(1), s2c: new Uint8Array(aead.keyBytes).fill(2) }
      const nonce = new Uint8Array(COOKIE_NONCE_BYTES)
      const seal = (ring: KeyRing, now: number): Uint8Array =>
        sealCookie(sealing, ring.activeAt(now / 1_000) as Generation, keys, nonce)
      const [old, fresh] = [seal(before, START + 10_000), seal(after, START + 30_000)]
      expect(fresh.length).toBe(old.length)
      expect(fresh).not.toEqual(old)
      for (const cookie of [old, fresh])
        expect(openCookie(sealing, after, cookie, (START + 30_000) / 1_000)).toMatchObject({
          c2s: keys.c2s,
          s2c: keys.s2c
        })
    }
  })

  it("survives a snapshot", () => {
    expect(ClusterFold.fromText(fold.toText())?.toText()).toBe(fold.toText())
    expect(ClusterFold.fromText("{}")).toBeUndefined()
    expect(ClusterFold.fromText("rubbish")).toBeUndefined()
  })
})

describe("a clock that does not go back", () => {
  it("runs on at half speed where it is stepped back, until it has caught up", () => {
    let [wall, steady] = [1_000, 0]
    const clock = new ForwardClock(
      () => wall,
      () => steady
    )
    const after = (ms: number): number => {
      wall += ms
      steady += ms
      return clock.now()
    }
    expect([clock.now(), after(10)]).toEqual([1_000, 1_010])
    wall -= 100
    expect([clock.now(), after(50), after(150), after(10)]).toEqual([1_010, 1_035, 1_110, 1_120])
    clock.notBefore(5_000)
    clock.notBefore(4_000)
    expect([clock.now(), after(10)]).toEqual([5_000, 5_005])
  })
})

describe("readiness", () => {
  const health = { type: "health", workers: 2, synchronised: true, stratum: 2 } as const
  const view = { health, ntsGeneration: 2, symmetricSet: 0, keyProblem: undefined, folded: true }
  it("names the first thing that is missing", () => {
    expect(unreadyReason(view)).toBe("")
    expect(unreadyReason({ ...view, folded: false })).toContain("event log")
    expect(unreadyReason({ ...view, keyProblem: "x".repeat(999) })).toHaveLength(256)
    expect(unreadyReason({ ...view, health: undefined })).toContain("no word")
    expect(unreadyReason({ ...view, health: { ...health, workers: 0 } })).toContain("no worker")
    expect(unreadyReason({ ...view, health: { ...health, synchronised: false } })).toContain("not synchronised")
  })
})
