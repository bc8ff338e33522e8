/** Two nodes of one name: each hears of the other, and both say so. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { expect, it } from "vitest"
import { overStore, type EventLog } from "@meridian/event-log"
import { memoryStore } from "@meridian/event-log/memory"
import { ClusterFold } from "../src/cluster-fold.ts"
import { MemberHeartbeats } from "../src/member-heartbeat.ts"

const START = Date.UTC(2026, 0, 1)
const health = { workers: 1, synchronised: true, ntsGeneration: 1, symmetricSet: 0 }

/** A process of node a: what it does each second, and whether it finds its name taken. */
const processOf = (log: EventLog["Service"], name: string) => {
  const fold = new ClusterFold()
  const heartbeats = new MemberHeartbeats({ version: "1.0.0", workers: 1 })
  let now = START
  let ids = 0
  let registrations = 0
  const writer = { log, fold, node: "a", now: () => now, newId: () => `${name}-${(ids += 1)}`, foldedSeq: () => 0 }
  return {
    isNameTaken: () => heartbeats.isNameTaken,
    registrations: () => registrations,
    second: async (): Promise<void> => {
      now += 1_000
      registrations = 0
      await Effect.runPromise(
        Stream.runForEach(log.read({ from: 1 }), ({ events }) =>
          Effect.sync(() => {
            for (const { event } of events) {
              fold.fold(event)
              if (event.type !== "MemberRegistered") continue
              heartbeats.hearRegistration(event.version)
              registrations += event.id.startsWith(name) ? 1 : 0
            }
          })
        )
      )
      await Effect.runPromise(heartbeats.write(writer, health, ""))
    }
  }
}

it("is found out by both, and each registers once more at most", async () => {
  const log = overStore(memoryStore())
  const [first, second] = [processOf(log, "first"), processOf(log, "second")]
  for (let seconds = 0; seconds < 3; seconds++) await first.second()
  expect(first.isNameTaken()).toBe(false)
  for (let seconds = 0; seconds < 5; seconds++) {
    await second.second()
    await first.second()
  }
  expect([first.isNameTaken(), second.isNameTaken()]).toEqual([true, true])
  for (let seconds = 0; seconds < 50; seconds++) {
    await second.second()
    await first.second()
  }
  expect([first.registrations(), second.registrations()]).toEqual([2, 2])
})

it("is no matter where a node is started again", async () => {
  const log = overStore(memoryStore())
  const before = processOf(log, "before")
  for (let seconds = 0; seconds < 3; seconds++) await before.second()
  const after = processOf(log, "after")
  for (let seconds = 0; seconds < 5; seconds++) await after.second()
  expect(after.isNameTaken()).toBe(false)
  expect(after.registrations()).toBe(1)
})
