/** What an explanation says of times that lie off the log, and of clocks whose first events are gone. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { overStore } from "@meridian/event-log"
import { memoryStore } from "@meridian/event-log/memory"
import { clockAggregate } from "../src/cluster-fold.ts"
import { carryOut, type Writer } from "../src/command.ts"
import { ClusterFold } from "../src/cluster-fold.ts"
import { explain, momentOf } from "../src/explain.ts"

const START = Date.parse("2026-01-01T00:00:00.000Z")
const MINUTE = 60_000

type ClockCommand = Parameters<ReturnType<typeof clockAggregate>["decider"]["decide"]>[1]

const choose = (peer: string): ClockCommand => ({ _tag: "ChoosePeer", peer, reason: "test", measurements: [] })
const reach = (source: string): ClockCommand => ({ _tag: "SetReachability", source, reachable: true, reach: 1 })

/** A log with one clock event a minute. */
const logOf = async (commands: ReadonlyArray<ClockCommand>) => {
  const log = overStore(memoryStore())
  let now = START
  let id = 0
  const writer: Writer = {
    log,
    fold: new ClusterFold(),
    node: "a",
    now: () => now,
    newId: () => `id-${(id += 1)}`,
    foldedSeq: () => 0
  }
  for (const command of commands) {
    await Effect.runPromise(carryOut(writer, clockAggregate("a"), () => Effect.succeed(command)))
    now += MINUTE
  }
  const at = (moment: number) => Effect.runPromise(explain(log, moment, now))
  return { log, at }
}

describe("an explanation", () => {
  it("does not say that a clock followed nobody where the event that chose its peer was dropped", async () => {
    const { log, at } = await logOf([choose("p1"), reach("p1"), reach("p2"), choose("p2"), reach("p3")])
    expect((await at(START + 2 * MINUTE)).clocks).toMatchObject([{ peer: "p1" }])
    await Effect.runPromise(log.retain({ family: "clock", storedBefore: 0, keepPerSubject: 3 }))
    const before = await at(START + 2 * MINUTE)
    expect(before.clocks).toMatchObject([{ peer: null, event: null }])
    expect(before.dropped).toMatchObject([{ subject: "clock.a", events: 2, matters: true }])
    const after = await at(START + 3 * MINUTE)
    expect(after.clocks).toMatchObject([{ peer: "p2" }])
    expect(after.dropped).toMatchObject([{ subject: "clock.a", events: 2, matters: false }])
  })

  it("says of a moment to come that it is one, and of one before everything that there was nothing", async () => {
    const { at } = await logOf([choose("p1")])
    expect(await at(START + 60 * MINUTE)).toMatchObject({ future: true, clocks: [{ peer: "p1" }] })
    expect(await at(START)).toMatchObject({ future: false, clocks: [{ peer: "p1" }] })
    expect(await at(Date.parse("0001-01-01T00:00:00Z"))).toMatchObject({ future: false, leader: null, clocks: [] })
  })

  it("takes years beyond 9999 and before 0 for what they are", async () => {
    const { at } = await logOf([choose("p1")])
    expect((await at(Date.UTC(12_000, 0))).clocks).toMatchObject([{ peer: "p1" }])
    expect((await at(Date.UTC(-50, 0))).clocks).toEqual([])
  })

  it("finds the moment of an event by its id, and none of one that is not there", async () => {
    const { log } = await logOf([choose("p1"), choose("p2")])
    const moments = ["id-1.0", "id-2.0", "id-3.0", ""].map((id) => Effect.runPromise(momentOf(log, id)))
    expect(await Promise.all(moments)).toEqual([START, START + MINUTE, undefined, undefined])
  })
})
