/** Snapshots that cannot be used, or are of another log: said, not trusted, and no reason to end. */
import * as Effect from "effect/Effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { overStore, type EventLog, snapshotFiles } from "@meridian/event-log"
import { memoryStore } from "@meridian/event-log/memory"
import { ClusterFold, policyAggregate } from "../src/cluster-fold.ts"
import { carryOut } from "../src/command.ts"
import { LogReplaced, LogWatch } from "../src/log-watch.ts"
import { foreignness, readSnapshot, writeSnapshot } from "../src/own-snapshot.ts"
import { makePlace, type Place, startCoordinator } from "./running-coordinator.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

/** A log of so many changes of the policy, by a writer of that name. */
const logOf = async (changes: number, name: string): Promise<EventLog["Service"]> => {
  const log = overStore(memoryStore())
  const fold = new ClusterFold()
  let ids = 0
  const writer = { log, fold, node: "a", now: () => 1e12, newId: () => `${name}-${(ids += 1)}`, foldedSeq: () => 0 }
  for (let change = 0; change < changes; change++)
    await run(
      carryOut(writer, policyAggregate, () =>
        Effect.succeed({ _tag: "Change" as const, changes: { clockRetentionCount: 1_000 + change } })
      )
    )
  return log
}

describe("a snapshot", () => {
  it("holds what was put in, and is refused with a reason where it is another's", () => {
    const whole = { seq: 7, seen: 5, fold: new ClusterFold(), last: { seq: 6, id: "x.0" } }
    const snapshot = writeSnapshot(whole)
    expect(readSnapshot(snapshot)).toEqual(whole)
    expect(readSnapshot({ ...snapshot, format: 99 })).toContain("format 99")
    for (const state of [
      "",
      "{}",
      "[]",
      "null",
      `{"seen":1,"fold":"{}"}`,
      `{"seen":"x","fold":${JSON.stringify("{}")}}`
    ])
      expect(readSnapshot({ ...snapshot, state })).toContain("does not hold")
  })

  it("is found to be of another log by its end, and by the event there", async () => {
    const [log, fold] = [await logOf(5, "ours"), new ClusterFold()]
    const judge = (of: typeof log, seq: number, id?: string, created?: string) =>
      run(foreignness(of, "a", { seq, fold, created, last: id === undefined ? undefined : { seq, id } }))
    expect(await judge(log, 5, "ours-5.0")).toBeUndefined()
    expect(await judge(log, 5)).toBeUndefined()
    expect((await judge(log, 6))?.why).toContain("ends at 5")
    expect((await judge(log, 3, "theirs-3.0"))?.why).toContain("another event at 3")
    const empty = overStore(memoryStore())
    expect(await judge(empty, 3)).toMatchObject({ why: expect.stringContaining("ends at 0") as string, lost: [] })
    fold.policy = { ...fold.policy, version: 3 }
    expect((await judge(empty, 3))?.lost).toEqual(["policy"])
  })
})

describe("the watch of a log", () => {
  it("says that the log was replaced where it stays shorter than what was folded, and not before", async () => {
    const log = await logOf(3, "ours")
    const watch = new LogWatch()
    const look = (seq: number) =>
      run(Effect.result(watch.look(log, { fold: new ClusterFold(), node: "a", seq, last: undefined }, () => {})))
    expect((await look(3))._tag).toBe("Success")
    expect((await look(9))._tag).toBe("Success")
    expect((await look(3))._tag).toBe("Success")
    expect((await look(9))._tag).toBe("Success")
    const replaced = await look(9)
    expect(replaced._tag === "Failure" && replaced.failure).toBeInstanceOf(LogReplaced)
    expect(replaced._tag === "Failure" && replaced.failure.message).toContain("ends at 3, before the 9")
  })
})

describe("a node whose NATS is out of reach", () => {
  let place: Place
  const ending: Array<() => Promise<unknown>> = []
  beforeEach(() => {
    place = makePlace()
  })
  afterEach(async () => {
    for (const end of ending.splice(0)) await end()
    place.remove()
  })

  const startWith = async (prepare: (snapshots: string) => void | Promise<void>) => {
    const directory = join(place.path, "a")
    const snapshots = join(directory, "snapshots")
    mkdirSync(snapshots, { recursive: true })
    await prepare(snapshots)
    // Nobody listens on the discard port of loopback.
    const node = startCoordinator(directory, "a", ["--nats", "127.0.0.1:9", "--cluster-key", place.clusterKey()])
    ending.push(node.kill)
    return node
  }

  it.each([
    [
      "is damaged",
      /snapshot .* is damaged/,
      (folder: string) => writeFileSync(join(folder, "coordinator.snapshot"), "rubbish\nmore")
    ],
    [
      "is of a later release",
      /format 99/,
      (folder: string) => snapshotFiles(folder).save("coordinator", { seq: 3, format: 99, state: "{}" })
    ],
    [
      "is no JSON",
      /does not hold/,
      (folder: string) => snapshotFiles(folder).save("coordinator", { seq: 3, format: 1, state: "rubbish" })
    ],
    [
      "is a directory",
      /cannot be read \(it is a directory\)/,
      (folder: string) => mkdirSync(join(folder, "coordinator.snapshot"))
    ]
  ] as const)("says that its snapshot %s, and waits", async (_what, said, prepare) => {
    const node = await startWith(prepare)
    expect(await node.warning(said)).toContain("not used")
    expect(await node.warning(/waits, without keys/)).toContain("127.0.0.1:9")
    expect((await node.state()).log.adapter).toBeNull()
  })
})
