/**
 * How fast the log is, as JSON: appends against the client's raw publish in the same run, replay of a million events, and
 * a start from a snapshot with a tail. The processor time of an event tells what is left of a rate on a busy machine. `node bench/replay.ts [events]`; PEERS says where nats-servers are.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { clock, type ClockEvent, clockInitial, type ClockState } from "@meridian/events/clock"
import { EventRejected } from "@meridian/events/event"
import { overStore } from "../src/commit-store.ts"
import type { EventLog } from "../src/event-log.ts"
import { jetstreamStore } from "../src/jetstream.ts"
import { sqliteStore } from "../src/sqlite.ts"
import { natsServers, startNats } from "../test/nats-server.ts"
import { clockEvent } from "../test/sample-events.ts"

const EVENTS = Math.min(Number(process.argv[2] ?? 1_000_000), 5_000_000)
const APPENDS = 2_000
const ROUNDS = 6
const TAIL = 10_000
const IN_FLIGHT = 512
const SUBJECT = "clock.node-a"

type Log = EventLog["Service"]

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN
const bodyOf = (version: number): string => JSON.stringify([clockEvent("node-a", version)])

/** Reads and folds everything from a place on; returns the rate and the state. */
const replay = async (
  log: Log,
  from: number
): Promise<{ events: number; seconds: number; cpu: number; state: ClockState }> => {
  let state: ClockState = { ...clockInitial("node-a"), version: from - 1 }
  let events = 0
  const before = process.cpuUsage()
  const started = performance.now()
  await Effect.runPromise(
    Stream.runForEach(log.read({ from }), (batch) =>
      Effect.sync(() => {
        for (const { event } of batch.events) {
          const next = clock.evolve(state, event as ClockEvent)
          if (!(next instanceof EventRejected)) state = next
          events += 1
        }
      })
    )
  )
  const { user, system } = process.cpuUsage(before)
  return { events, seconds: (performance.now() - started) / 1_000, cpu: (user + system) / events, state }
}

const replayed = async (log: Log): Promise<Record<string, number>> => {
  const rates: Array<number> = []
  const cpus: Array<number> = []
  for (let round = 0; round < 3; round++) {
    const { events, seconds, cpu } = await replay(log, 1)
    if (events !== EVENTS) throw new Error(`replayed ${events} of ${EVENTS}`)
    rates.push(events / seconds)
    cpus.push(cpu)
  }
  const { state } = await replay(log, 1)
  await Effect.runPromise(log.saveSnapshot("bench", { seq: EVENTS - TAIL, format: 1, state: JSON.stringify(state) }))
  const started = performance.now()
  const snapshot = await Effect.runPromise(log.loadSnapshot("bench"))
  JSON.parse(snapshot?.state ?? "{}")
  await replay(log, (snapshot?.seq ?? 0) + 1)
  return {
    replayPerSecondBest: Math.round(Math.max(...rates)),
    replayPerSecondMedian: Math.round(median(rates)),
    replayCpuMicrosecondsEachBest: Math.min(...cpus),
    startFromSnapshotMs: Math.round(performance.now() - started)
  }
}

const benchSqlite = async (): Promise<unknown> => {
  const directory = mkdtempSync(join(tmpdir(), "meridian-bench-"))
  const file = join(directory, "log.db")
  const store = sqliteStore({ file })
  try {
    const log = overStore(store)
    const filler = new DatabaseSync(file)
    const insert = filler.prepare(
      "INSERT INTO commits (subject, first, last, id, stored, body) VALUES (?, ?, ?, ?, 0, ?)"
    )
    filler.exec("BEGIN")
    for (let version = 1; version <= EVENTS; version++)
      insert.run(SUBJECT, version, version, `node-a-${version}`, bodyOf(version))
    filler.exec("COMMIT")
    filler.close()
    const rates = await replayed(log)
    const started = performance.now()
    for (let index = 1; index <= APPENDS; index++)
      await Effect.runPromise(log.append(SUBJECT, [clockEvent("node-a", EVENTS + index)], EVENTS + index - 1))
    return { ...rates, appendMs: (performance.now() - started) / APPENDS }
  } finally {
    store.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

const benchJetStream = async (version: string, size: 1 | 3): Promise<unknown> => {
  const binary = natsServers().found.find((it) => it.version === version)
  if (binary === undefined) return "no such server here"
  const cluster = await startNats(binary, size)
  const connection = await connect({ servers: [...cluster.urls], noAsyncTraces: true })
  try {
    const options = { connection, prefix: "log", stream: "LOG", replicas: size, maxBytes: 1_500_000_000, manage: true }
    const log = overStore(await jetstreamStore(options))
    await (await jetstreamManager(connection)).streams.add({ name: "RAW", subjects: ["raw"], num_replicas: size })
    const client = jetstream(connection, { timeout: 10_000 })
    const [appends, raws]: [Array<number>, Array<number>] = [[], []]
    let appended = 0
    const each = APPENDS / ROUNDS
    for (let round = 0; round < ROUNDS; round++) {
      let started = performance.now()
      for (let index = 0; index < each; index++) await client.publish("raw", bodyOf(index))
      raws.push((performance.now() - started) / each)
      started = performance.now()
      for (let index = 0; index < each; index++, appended++)
        await Effect.runPromise(log.append("clock.node-b", [clockEvent("node-b", appended + 1)], appended))
      appends.push((performance.now() - started) / each)
    }
    const figures = { appendMs: median(appends), rawPublishMs: median(raws), ratio: median(appends) / median(raws) }
    if (size === 3) return figures
    await (await jetstreamManager(connection)).streams.purge("LOG")
    await (await jetstreamManager(connection)).streams.delete("LOG")
    const fresh = overStore(await jetstreamStore(options))
    for (let version = 1; version <= EVENTS; version += IN_FLIGHT)
      await Promise.all(
        Array.from({ length: Math.min(IN_FLIGHT, EVENTS - version + 1) }, (_, index) =>
          client.publish(`log.${SUBJECT}`, bodyOf(version + index))
        )
      )
    return { ...figures, ...(await replayed(fresh)) }
  } finally {
    await connection.close()
    await cluster.stop()
  }
}

const only = process.argv[3]
const runs: Readonly<Record<string, () => Promise<unknown>>> = {
  sqlite: benchSqlite,
  "jetstream-2.10-single": () => benchJetStream("2.10", 1),
  "jetstream-2.15-single": () => benchJetStream("2.15", 1),
  "jetstream-2.10-three": () => benchJetStream("2.10", 3),
  "jetstream-2.15-three": () => benchJetStream("2.15", 3)
}
const results: Record<string, unknown> = { events: EVENTS }
for (const [name, run] of Object.entries(runs)) if (only === undefined || only === name) results[name] = await run()
console.log(JSON.stringify(results, null, 2))
