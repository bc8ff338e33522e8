/**
 * How fast the log is: replay of many events, a start from a snapshot and a tail, appends beside the client's raw publish
 * in the same run. `npm run bench -- event-log` runs it (loadtest/event-log.ts).
 *
 * What is in the log is what a coordinator writes: one commit for each event, as text that encodeEvent makes, in JetStream
 * with the headers that an append sends. A replay reads all of it through the port, judges every event, and folds it.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { clock, type ClockEvent, clockInitial, type ClockState, EventRejected } from "@meridian/events"
import { overStore } from "../src/commit-store.ts"
import type { EventLog } from "../src/event-log.ts"
import { jetstreamStore } from "../src/jetstream.ts"
import { sqliteStore } from "../src/sqlite.ts"
import { natsServers, type RunningCluster, startNats } from "../test/nats-server.ts"
import { clockEvent, peerChoice } from "../test/sample-events.ts"

export type NatsVersion = "2.10" | "2.15"

/** Makes the event of a version, one node's. */
type MakeEvent = (version: number) => ClockEvent

/** A source came into reach or fell out of it: 225 bytes. */
export const reachability: MakeEvent = (version) => clockEvent("node-a", version)
/** A peer was chosen from among four, each with its measurements: 700 bytes. */
export const choice: MakeEvent = (version) => peerChoice("node-a", version)

/** One value a round. */
export interface Replayed {
  readonly eventsPerSecond: ReadonlyArray<number>
  /** User and system time of this process, microseconds; a JetStream server's own is not in it. */
  readonly cpuMicroseconds: ReadonlyArray<number>
  /** Loading a snapshot and replaying the last {@link TAIL} events behind it, milliseconds. */
  readonly startMilliseconds: ReadonlyArray<number>
}

/** Milliseconds from the call to the acknowledgement, each the mean of a round's {@link APPENDS_A_ROUND}. */
interface Appended {
  readonly append: ReadonlyArray<number>
  readonly publish: ReadonlyArray<number>
}

export const TAIL = 10_000
const APPENDS_A_ROUND = 250
const IN_FLIGHT = 512
const SUBJECT = "clock.node-a"
const PREFIX = "log"
const STREAM = "LOG"

type Log = EventLog["Service"]

const bodyOf = (event: ClockEvent): string => JSON.stringify([event])

/** Reads, judges and folds everything from a place on. */
const fold = async (log: Log, from: number): Promise<{ readonly events: number; readonly state: ClockState }> => {
  let state: ClockState = { ...clockInitial("node-a"), version: from - 1 }
  let events = 0
  await Effect.runPromise(
    Stream.runForEach(log.read({ from }), (batch) =>
      Effect.sync(() => {
        for (const { event } of batch.events) {
          const next = clock.evolve(state, event as ClockEvent)
          if (next instanceof EventRejected) throw new Error(next.reason)
          state = next
          events += 1
        }
      })
    )
  )
  return { events, state }
}

/** The first replay warms up and makes the snapshot; the others count. */
const replays = async (log: Log, count: number, rounds: number): Promise<Replayed> => {
  const { events, state } = await fold(log, 1)
  if (events !== count || state.version !== count) throw new Error(`replayed ${events} events of ${count}`)
  await Effect.runPromise(log.saveSnapshot("bench", { seq: count - TAIL, format: 1, state: JSON.stringify(state) }))
  const eventsPerSecond: Array<number> = []
  const cpuMicroseconds: Array<number> = []
  const startMilliseconds: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    const started = performance.now()
    await fold(log, 1)
    const seconds = (performance.now() - started) / 1_000
    const { user, system } = process.cpuUsage(before)
    eventsPerSecond.push(count / seconds)
    cpuMicroseconds.push((user + system) / count)
    const opened = performance.now()
    const snapshot = await Effect.runPromise(log.loadSnapshot("bench"))
    JSON.parse(snapshot?.state ?? "")
    const tail = await fold(log, (snapshot?.seq ?? 0) + 1)
    startMilliseconds.push(performance.now() - opened)
    if (tail.events !== Math.min(TAIL, count)) throw new Error(`the tail had ${tail.events} events`)
  }
  return { eventsPerSecond, cpuMicroseconds, startMilliseconds }
}

/** Replays from an SQLite file in the system's folder for temporary files. */
export const replaySqlite = async (make: MakeEvent, count: number, rounds: number): Promise<Replayed> => {
  const directory = mkdtempSync(join(tmpdir(), "meridian-bench-"))
  const file = join(directory, "log.db")
  const store = sqliteStore({ file })
  try {
    // Rows as an append writes them, but in one transaction: a million of them would take ten minutes.
    const filler = new DatabaseSync(file)
    const insert = filler.prepare(
      "INSERT INTO commits (subject, first, last, id, stored, body) VALUES (?, ?, ?, ?, 0, ?)"
    )
    filler.exec("BEGIN")
    for (let version = 1; version <= count; version++) {
      const event = make(version)
      insert.run(SUBJECT, version, version, event.id, bodyOf(event))
    }
    filler.exec("COMMIT")
    filler.close()
    return await replays(overStore(store), count, rounds)
  } finally {
    store.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Why there is no such server here, if so. */
export const missingServer = (version: NatsVersion): string | undefined =>
  natsServers().found.some((it) => it.version === version)
    ? undefined
    : natsServers().missing.find((it) => it.includes(version))

const withServers = async <A>(
  version: NatsVersion,
  size: 1 | 3,
  body: (cluster: RunningCluster) => Promise<A>
): Promise<A> => {
  const binary = natsServers().found.find((it) => it.version === version)
  if (binary === undefined) throw new Error(`no nats-server ${version} here`)
  const cluster = await startNats(binary, size)
  try {
    return await body(cluster)
  } finally {
    await cluster.stop()
  }
}

const openLog = async (cluster: RunningCluster, replicas: 1 | 3) => {
  const connection = await connect({ servers: [...cluster.urls], noAsyncTraces: true })
  const options = { connection, prefix: PREFIX, stream: STREAM, replicas, maxBytes: 1_500_000_000, manage: true }
  return { connection, log: overStore(await jetstreamStore(options)) }
}

/** Replays from one nats-server with the store in a temporary folder. */
export const replayJetStream = (
  version: NatsVersion,
  make: MakeEvent,
  count: number,
  rounds: number
): Promise<Replayed> =>
  withServers(version, 1, async (cluster) => {
    const { connection, log } = await openLog(cluster, 1)
    try {
      const client = jetstream(connection, { timeout: 30_000 })
      for (let done = 0; done < count; done += IN_FLIGHT)
        await Promise.all(
          Array.from({ length: Math.min(IN_FLIGHT, count - done) }, (_, index) => {
            const at = done + index + 1
            return client.publish(`${PREFIX}.${SUBJECT}`, bodyOf(make(at)), {
              msgID: `${SUBJECT}:${at}`,
              expect: { streamName: STREAM, lastSubjectSequence: at - 1 }
            })
          })
        )
      return await replays(log, count, rounds)
    } finally {
      await connection.close()
    }
  })

/** Appends and raw publishes of the same events in turns; a first round of both warms up. */
export const appends = (version: NatsVersion, size: 1 | 3, make: MakeEvent, rounds: number): Promise<Appended> =>
  withServers(version, size, async (cluster) => {
    const { connection, log } = await openLog(cluster, size)
    try {
      await (await jetstreamManager(connection)).streams.add({ name: "RAW", subjects: ["raw"], num_replicas: size })
      const client = jetstream(connection, { timeout: 10_000 })
      let [published, appended] = [0, 0]
      const publish = () => client.publish("raw", bodyOf(make((published += 1))))
      const append = () => Effect.runPromise(log.append(SUBJECT, [make((appended += 1))], appended - 1))
      const mean = async (act: () => Promise<unknown>): Promise<number> => {
        const started = performance.now()
        for (let index = 0; index < APPENDS_A_ROUND; index++) await act()
        return (performance.now() - started) / APPENDS_A_ROUND
      }
      await mean(publish)
      await mean(append)
      const times: { append: Array<number>; publish: Array<number> } = { append: [], publish: [] }
      for (let round = 0; round < rounds; round++) {
        times.publish.push(await mean(publish))
        times.append.push(await mean(append))
      }
      return times
    } finally {
      await connection.close()
    }
  })
