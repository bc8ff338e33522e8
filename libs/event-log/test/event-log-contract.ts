/** What every event log does, whichever store keeps it. Each suite below runs against a log that is empty at its start. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import type { AnyEvent } from "@meridian/events"
import type { Inspect } from "../src/commit.ts"
import type { ReadOptions } from "../src/event-log.ts"
import { eventsOf, failure, type Fixture, readAll, run, subscribedUntil, withLogOf } from "./log-fixture.ts"
import { retentionContract } from "./retention-contract.ts"
import { clockEvent, clockEvents, policyEvent, takeOver } from "./sample-events.ts"

export const eventLogContract = (open: () => Promise<Fixture>): void => {
  const withLog = withLogOf(open)

  retentionContract(open)

  it("hands back what was appended, in order, from any place", () =>
    withLog(async (log) => {
      expect(await readAll(log)).toEqual([])
      const first = await run(log.append("keys.nts", [takeOver(1)], 0))
      expect(first).toMatchObject({ version: 1, duplicate: false })
      const second = await run(log.append("clock.node-a", [clockEvent("node-a", 1)], 0))
      const third = await run(log.append("keys.nts", [takeOver(2)], 1))
      expect(second.seq).toBeGreaterThan(first.seq)
      expect(third.seq).toBeGreaterThan(second.seq)
      const batches = await readAll(log)
      expect(eventsOf(batches)).toEqual([takeOver(1), clockEvent("node-a", 1), takeOver(2)])
      expect(batches.at(-1)).toMatchObject({ upTo: third.seq, caughtUp: true })
      expect(eventsOf(await readAll(log, { from: second.seq }))).toEqual([clockEvent("node-a", 1), takeOver(2)])
      expect(await readAll(log, { from: third.seq + 1 })).toEqual([])
      expect(await run(log.version("keys.nts"))).toBe(2)
      expect(await run(log.version("policy"))).toBe(0)
    }))

  it("hands back one subject or one family alone", () =>
    withLog(async (log) => {
      await run(log.append("keys.nts", [takeOver(1)], 0))
      await run(log.append("clock.node-a", [clockEvent("node-a", 1)], 0))
      await run(log.append("policy", [policyEvent(1)], 0))
      await run(log.append("clock.node-b", [clockEvent("node-b", 1)], 0))
      const only = async (only: NonNullable<ReadOptions["only"]>) => eventsOf(await readAll(log, { from: 1, only }))
      expect(await only({ subject: "clock.node-b" })).toEqual([clockEvent("node-b", 1)])
      expect(await only({ family: "clock" })).toEqual([clockEvent("node-a", 1), clockEvent("node-b", 1)])
      expect(await only({ family: "keys" })).toEqual([takeOver(1)])
      expect(await only({ family: "policy" })).toEqual([policyEvent(1)])
      expect(await only({ family: "members" })).toEqual([])
    }))

  it("refuses an append to a version that has passed, and says which it is", () =>
    withLog(async (log) => {
      await run(log.append("keys.nts", [takeOver(1), takeOver(2)], 0))
      expect(await failure(log.append("keys.nts", [takeOver(1, "rival")], 0))).toMatchObject({
        _tag: "VersionConflict",
        expected: 0,
        actual: 2
      })
      expect(await failure(log.append("keys.nts", [takeOver(2, "rival")], 1))).toMatchObject({ actual: 2 })
      expect(await failure(log.append("keys.nts", [takeOver(9)], 8))).toMatchObject({
        _tag: "VersionConflict",
        actual: 2
      })
      expect(eventsOf(await readAll(log))).toEqual([takeOver(1), takeOver(2)])
    }))

  it("stores an append once however often it is repeated, also after others", () =>
    withLog(async (log) => {
      const first = await run(log.append("keys.nts", [takeOver(1)], 0))
      await run(log.append("keys.nts", [takeOver(2), takeOver(3)], 1))
      expect(await run(log.append("keys.nts", [takeOver(1)], 0))).toEqual({ ...first, duplicate: true })
      expect(await run(log.append("keys.nts", [takeOver(2), takeOver(3)], 1))).toMatchObject({
        version: 3,
        duplicate: true
      })
      expect(eventsOf(await readAll(log))).toHaveLength(3)
    }))

  it("gives the events of one append one place", () =>
    withLog(async (log) => {
      const appended = await run(log.append("clock.node-a", clockEvents("node-a", 1, 5), 0))
      const batches = await readAll(log)
      expect(batches.flatMap((it) => it.events.map(({ seq }) => seq))).toEqual(Array(5).fill(appended.seq))
      expect(appended.version).toBe(5)
    }))

  it("refuses what is no event and stores nothing of it", () =>
    withLog(async (log) => {
      const refused = async (subject: string, events: ReadonlyArray<unknown>, expected = 0) =>
        (await failure(log.append(subject, events as ReadonlyArray<AnyEvent>, expected))) as { reason?: string }
      expect(await refused("keys.nts", [])).toMatchObject({ _tag: "EventRefused", reason: "malformed" })
      expect(await refused("keys.other", [takeOver(1)])).toMatchObject({ reason: "wrong-subject" })
      expect(await refused("policy", [takeOver(1)])).toMatchObject({ reason: "wrong-subject" })
      expect(await refused("keys.nts", [{ ...takeOver(1), type: "NoSuchThing" }])).toMatchObject({
        reason: "unknown-type"
      })
      expect(await refused("keys.nts", [{ ...takeOver(1), schema: 99 }])).toMatchObject({ reason: "unknown-version" })
      expect(await refused("keys.nts", [{ ...takeOver(1), data: { term: "x" } }])).toMatchObject({
        reason: "malformed"
      })
      expect(await refused("keys.nts", [{ ...takeOver(1), cause: "x".repeat(70_000) }])).toMatchObject({
        reason: "oversized"
      })
      expect(await refused("keys.nts", [takeOver(2)])).toMatchObject({ reason: "out-of-order" })
      expect(await refused("keys.nts", [takeOver(1), takeOver(3)])).toMatchObject({ reason: "out-of-order" })
      expect(await readAll(log)).toEqual([])
    }))

  it("puts aside what it cannot read, counts it, and goes on", () =>
    withLog(async (log, { inject }) => {
      await run(log.append("keys.nts", [takeOver(1)], 0))
      await inject("keys.nts", "no JSON at all")
      await inject("keys.nts", `[${JSON.stringify({ ...policyEvent(7), type: "NoSuchThing" })}]`)
      await inject("clock.node-a", `[${JSON.stringify({ ...clockEvent("node-a", 1), schema: 99 })}]`)
      await inject("clock.node-a", `[${JSON.stringify(takeOver(2))}]`)
      await inject("clock.node-b", "x".repeat(300_000))
      await inject("clock.node-c", `[${JSON.stringify({ ...clockEvent("node-c", 1), more: "x".repeat(70_000) })}]`)
      await inject("clock.node-d", `[${JSON.stringify(clockEvent("node-d", 1))},{"type":"NoSuchThing"}]`)
      await inject("keys.nts", `[${JSON.stringify(takeOver(1, "again"))}]`)
      await run(log.append("policy", [policyEvent(1)], 0))
      const batches = await readAll(log)
      expect(eventsOf(batches)).toEqual([takeOver(1), policyEvent(1)])
      const reasons =
        "malformed unknown-type unknown-version wrong-subject oversized oversized malformed out-of-order".split(" ")
      expect(batches.flatMap((it) => it.quarantined.map(({ reason }) => reason))).toEqual(reasons)
      expect(batches.flatMap((it) => it.quarantined).every(({ seq, detail }) => seq > 1 && detail.length > 3)).toBe(
        true
      )
      // A subscriber meets the same, and what is appended then.
      const seen = await subscribedUntil(
        log,
        1,
        (events) => events.length >= 3,
        () => run(log.append("policy", [policyEvent(2)], 1))
      )
      expect(seen).toEqual([takeOver(1), policyEvent(1), policyEvent(2)])
      await readAll(log)
      const { quarantined } = await run(log.status)
      expect(quarantined.total).toBe(8)
      expect(quarantined.byReason).toEqual({
        ...Object.fromEntries(reasons.map((reason) => [reason, 1])),
        malformed: 2,
        oversized: 2
      })
      expect(quarantined.recent.map(({ subject }) => subject)).toContain("clock.node-b")
    }))

  it("refuses and puts aside what the inspection condemns", async () => {
    const inspect: Inspect = (event) => (event.id === "forged" ? "does not open" : undefined)
    await withLog(async (log, { inject }) => {
      expect(await failure(log.append("keys.nts", [takeOver(1, "forged")], 0))).toMatchObject({
        reason: "wrongly-sealed"
      })
      await inject("keys.nts", `[${JSON.stringify(takeOver(1, "forged"))}]`)
      await run(log.append("policy", [policyEvent(1)], 0))
      const batches = await readAll(log)
      expect(eventsOf(batches)).toEqual([policyEvent(1)])
      expect(batches[0]?.quarantined).toMatchObject([{ reason: "wrongly-sealed", subject: "keys.nts" }])
    }, inspect)
  })

  it("lets a subject go on after a message that is none", () =>
    withLog(async (log, { inject, store }) => {
      if (store.adapter === "sqlite") return // only the log writes there, and rows carry their versions
      await run(log.append("keys.nts", [takeOver(1)], 0))
      await inject("keys.nts", "no JSON at all")
      await run(log.append("keys.nts", [takeOver(2)], 1))
      await inject("keys.nts", `[${JSON.stringify(takeOver(1, "forged"))}]`)
      expect(await run(log.version("keys.nts"))).toBe(2)
      expect(await run(log.append("keys.nts", [takeOver(3)], 2))).toMatchObject({ version: 3, duplicate: false })
      expect(eventsOf(await readAll(log))).toEqual([takeOver(1), takeOver(2), takeOver(3)])
    }))

  it("tells a subscriber what was there and then what comes", () =>
    withLog(async (log) => {
      await run(log.append("clock.node-a", clockEvents("node-a", 1, 3), 0))
      const seen = await subscribedUntil(
        log,
        1,
        (events) => events.length >= 6,
        async (before) => {
          expect(before).toHaveLength(3)
          await run(log.append("clock.node-a", [clockEvent("node-a", 4)], 3))
          await run(log.append("clock.node-b", clockEvents("node-b", 1, 2), 0))
        }
      )
      expect(seen).toEqual([...clockEvents("node-a", 1, 4), ...clockEvents("node-b", 1, 2)])
    }))

  it("tells a subscriber of an empty log that it is caught up, and stops at once when interrupted", () =>
    withLog(async (log) => {
      let caughtUp = (): void => {}
      const first = new Promise<void>((resolve) => (caughtUp = resolve))
      const fiber = Effect.runFork(
        Stream.runForEach(log.subscribe({ from: 1 }), (batch) => Effect.sync(() => batch.caughtUp && caughtUp()))
      )
      await first
      await run(Fiber.interrupt(fiber))
      expect(fiber.pollUnsafe()).toBeDefined()
    }))

  it("keeps snapshots by name", () =>
    withLog(async (log) => {
      expect(await run(log.loadSnapshot("fold"))).toBeUndefined()
      await run(log.saveSnapshot("fold", { seq: 3, format: 1, state: "{}" }))
      await run(log.saveSnapshot("fold", { seq: 9, format: 2, state: `{"ü":"\\n"}` }))
      expect(await run(log.loadSnapshot("fold"))).toEqual({ seq: 9, format: 2, state: `{"ü":"\\n"}` })
      const bad = await run(Effect.result(log.saveSnapshot("../fold", { seq: 1, format: 1, state: "" })))
      expect(Result.isFailure(bad) && bad.failure._tag).toBe("SnapshotRefused")
    }))

  it("lets one of many rivals win each version", () =>
    withLog(async (log) => {
      for (let version = 1; version <= 5; version++) {
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, (_, rival) =>
            run(Effect.result(log.append("keys.nts", [takeOver(version, `rival-${rival}-${version}`)], version - 1)))
          )
        )
        expect(outcomes.filter(Result.isSuccess)).toHaveLength(1)
        const losses = outcomes.filter(Result.isFailure).map((it) => it.failure._tag)
        expect(losses).toEqual(Array(19).fill("VersionConflict"))
      }
      expect(eventsOf(await readAll(log)).map(({ version }) => version)).toEqual([1, 2, 3, 4, 5])
    }))

  it("agrees with a list per subject, whatever is appended", () =>
    withLog(async (log) => {
      const model = new Map<string, Array<string>>()
      let id = 0
      const steps = fc.array(
        fc.record({
          node: fc.constantFrom("a", "b"),
          lag: fc.constantFrom(0, 0, 0, 1, -1),
          count: fc.integer({ min: 1, max: 3 })
        }),
        { maxLength: 8 }
      )
      const holds = async (plan: ReadonlyArray<{ node: string; lag: number; count: number }>): Promise<void> => {
        for (const { node, lag, count } of plan) {
          const list = model.get(node) ?? []
          const expected = Math.max(0, list.length - lag)
          const events = Array.from({ length: count }, (_, index) =>
            clockEvent(node, expected + 1 + index, `id-${(id += 1)}`)
          )
          const result = await run(Effect.result(log.append(`clock.${node}`, events, expected)))
          expect(Result.isSuccess(result)).toBe(expected === list.length)
          if (Result.isSuccess(result)) model.set(node, [...list, ...events.map((event) => event.id)])
        }
        const all = eventsOf(await readAll(log))
        for (const [node, ids] of model)
          expect(all.filter(({ subject }) => subject === `clock.${node}`).map((event) => event.id)).toEqual(ids)
      }
      await fc.assert(fc.asyncProperty(steps, holds), { numRuns: 10, endOnFailure: true })
    }))
}
