/** Everything that is asked of the log and the key store in JetStream, of one release of nats-server. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { AnyEvent } from "@meridian/events"
import { overStore } from "../src/commit-store.ts"
import { serverAtLeast } from "../src/connect.ts"
import { type JetStreamOptions, jetstreamStore } from "../src/jetstream.ts"
import { jetstreamKeyStore } from "../src/key-store-jetstream.ts"
import type { LogBatch } from "../src/event-log.ts"
import { eventLogContract } from "./event-log-contract.ts"
import { keyStoreContract } from "./key-store-contract.ts"
import { eventsOf, failure, readAll, run } from "./log-fixture.ts"
import { type NatsBinary, natsServers, type RunningCluster, startNats } from "./nats-server.ts"
import { clockEvent, clockEvents, takeOver } from "./sample-events.ts"

const NEWEST = "2.15"
/** What is waited for comes within moments; on a machine with much else to do it may take minutes. */
const PATIENCE_MS = 120_000

const eventually = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (const deadline = performance.now() + PATIENCE_MS; !(await holds()); await sleep(10))
    if (performance.now() > deadline) throw new Error(`it did not come about within ${PATIENCE_MS / 1_000} s`)
}

/** Runs against one server and against three, or says why it does not. */
export const jetstreamSuite = (version: string): void => {
  const { found, missing } = natsServers()
  const binary = found.find((it) => it.version === version)
  const why = binary === undefined ? ` NOT RUN: ${missing.find((it) => it.includes(version))}` : ""
  for (const size of [1, 3] as const)
    describe.runIf(binary !== undefined)(`JetStream of nats-server ${version} × ${size}${why}`, () => {
      let cluster: RunningCluster
      let connections: ReadonlyArray<NatsConnection> = []
      let streams = 0

      beforeAll(async () => {
        cluster = await startNats(binary as NatsBinary, size)
        connections = await Promise.all(
          [0, 1, 2].map((index) =>
            connect({
              servers: [cluster.urls[index % size] as string],
              maxReconnectAttempts: -1,
              reconnectTimeWait: 100
            })
          )
        )
      })
      afterAll(async () => {
        await Promise.all(connections.map((it) => it.close()))
        await cluster.stop()
      })

      const connection = (): NatsConnection => connections[0] as NatsConnection
      const options = (): JetStreamOptions => {
        streams += 1
        return {
          connection: connection(),
          stream: `LOG${streams}`,
          prefix: `log${streams}`,
          replicas: size,
          maxBytes: 64 * 1024 * 1024,
          manage: true,
          deadlineMs: PATIENCE_MS
        }
      }
      const removed = async (stream: string): Promise<void> => {
        await (await jetstreamManager(connection(), { timeout: PATIENCE_MS })).streams.delete(stream)
      }

      // Making replicated streams takes the older releases most of a second each: there the contract runs on one server.
      const contract = size === 1 || version === NEWEST ? eventLogContract : () => {}
      contract(async () => {
        const chosen = options()
        const store = await jetstreamStore(chosen)
        return {
          store,
          inject: async (subject, body) => {
            await connection().request(`${chosen.prefix}.${subject}`, body, { timeout: PATIENCE_MS })
          },
          close: () => removed(chosen.stream)
        }
      })

      it("lets one of thirty writers over three connections win each version", async () => {
        const chosen = options()
        const logs = await Promise.all(
          connections.map(async (it) => overStore(await jetstreamStore({ ...chosen, connection: it, manage: true })))
        )
        for (let at = 1; at <= 20; at++) {
          const outcomes = await Promise.all(
            Array.from({ length: 30 }, (_, writer) =>
              run(
                Effect.result(
                  (logs[writer % 3] as (typeof logs)[number]).append(
                    "keys.nts",
                    [takeOver(at, `writer-${writer}-${at}`)],
                    at - 1
                  )
                )
              )
            )
          )
          expect(outcomes.filter(Result.isSuccess)).toHaveLength(1)
          const others = outcomes.filter(Result.isFailure).map((it) => it.failure._tag)
          expect(others).toEqual(Array(29).fill("VersionConflict"))
        }
        const batches = await readAll(logs[0] as (typeof logs)[number])
        expect(eventsOf(batches).map((it) => it.version)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
        expect(batches.flatMap((it) => it.quarantined)).toEqual([])
        await removed(chosen.stream)
      })

      it("reads on without a hole when its consumer is taken away", async () => {
        const chosen = options()
        const log = overStore(await jetstreamStore(chosen))
        const manager = await jetstreamManager(connection(), { timeout: PATIENCE_MS })
        await run(log.append("clock.node-a", clockEvents("node-a", 1, 2), 0))
        const seen: Array<AnyEvent> = []
        const subscription = Effect.runFork(
          Stream.runForEachWhile(log.subscribe({ from: 1 }), (batch) =>
            Effect.sync(() => {
              seen.push(...batch.events.map(({ event }) => event))
              return seen.length < 4
            })
          )
        )
        await eventually(() => seen.length === 2)
        for await (const { name } of manager.consumers.list(chosen.stream))
          await manager.consumers.delete(chosen.stream, name)
        await run(log.append("clock.node-a", clockEvents("node-a", 3, 2), 2))
        await run(Fiber.join(subscription))
        expect(seen).toEqual(clockEvents("node-a", 1, 4))
        await removed(chosen.stream)
      })

      it("hands a reader who pauses all there is, and leaves no consumer behind", async () => {
        const chosen = options()
        const log = overStore(await jetstreamStore(chosen))
        const count = 2_000
        const more = 30_000
        for (let from = 1; from <= count; from += 50)
          await run(log.append("clock.node-a", clockEvents("node-a", from, 50), from - 1))
        for (let sent = 0; sent < more; sent++) connection().publish(`${chosen.prefix}.clock.node-b`, "no event")
        await connection().flush()
        const manager = await jetstreamManager(connection(), { timeout: PATIENCE_MS })
        await eventually(async () => (await manager.streams.info(chosen.stream)).state.messages === count / 50 + more)
        const batches: Array<LogBatch> = []
        const counted = connection().stats().inMsgs
        await run(
          Stream.runForEach(log.read({ from: 1 }), (batch) =>
            Effect.promise(async () => {
              if (batches.push(batch) % 40 === 1) await sleep(50)
            })
          )
        )
        // The client counts what it parses: most has come the short way, past it.
        expect(connection().stats().inMsgs - counted).toBeLessThan(more / 4)
        expect(eventsOf(batches)).toEqual(clockEvents("node-a", 1, count))
        expect(batches.reduce((sum, { quarantined }) => sum + quarantined.length, 0)).toBe(more)
        await eventually(async () => (await manager.streams.info(chosen.stream)).state.consumer_count === 0)
        await removed(chosen.stream)
      })

      it("loses and doubles nothing when the connection breaks in mid-replay", async () => {
        const chosen = options()
        const log = overStore(await jetstreamStore(chosen))
        const count = 20_000
        for (let sent = 1; sent <= count; sent++) connection().publish(`${chosen.prefix}.policy`, `no event: ${sent}`)
        await connection().flush()
        const manager = await jetstreamManager(connection())
        await eventually(async () => (await manager.streams.info(chosen.stream)).state.messages === count)
        // A replay comes in as few batches as this process is slow to read them, so one may have no third.
        for (let breaks = 0; breaks < 3;) {
          const seqs: Array<number> = []
          let next = 0
          await run(
            Stream.runForEachWhile(log.subscribe({ from: 1 }), ({ quarantined }) =>
              Effect.promise(async () => {
                seqs.push(...quarantined.map(({ seq }) => seq))
                if (breaks < 3 && seqs.length > next && seqs.length < count) {
                  breaks += 1
                  next += 3_000
                  await connection().reconnect()
                  await sleep(20)
                }
                return seqs.length < count
              })
            )
          )
          expect(seqs).toEqual(Array.from({ length: count }, (_, index) => index + 1))
        }
        await removed(chosen.stream)
      })

      it.runIf(version !== "2.9")(
        "stores a commit whose message id somebody has used up, over a hole too",
        async () => {
          const chosen = options()
          const log = overStore(await jetstreamStore(chosen))
          await run(log.append("keys.nts", [takeOver(1)], 0))
          const client = jetstream(connection(), { timeout: PATIENCE_MS })
          // Refused, and 2.10 in a cluster knows its id all the same; and one that is stored elsewhere.
          const refused = { msgID: "keys.nts:2", expect: { lastSubjectSequence: 77 } }
          await expect(client.publish(`${chosen.prefix}.keys.nts`, "x", refused)).rejects.toThrow("wrong last sequence")
          await client.publish(`${chosen.prefix}.policy`, "x", { msgID: "keys.nts:9" })
          expect(await run(log.append("keys.nts", [takeOver(2)], 1))).toMatchObject({ version: 2, duplicate: false })
          const over = log.append("keys.nts", [takeOver(9)], 8, { overHole: true })
          expect(await run(over)).toMatchObject({ version: 9, duplicate: false })
          expect(await run(over)).toMatchObject({ version: 9, duplicate: true })
          expect(await run(log.version("keys.nts"))).toBe(9)
          await removed(chosen.stream)
        }
      )

      it("says when the server is too old for its own locks", async () => {
        const chosen = options()
        const store = await jetstreamStore(chosen)
        const old = store.warnings.some((it) => it.includes("older than 2.10"))
        expect(old).toBe(version === "2.9")
        expect(serverAtLeast(connection(), 2, 10)).toBe(version !== "2.9")
        await removed(chosen.stream)
      })

      it("says that it is full and stores nothing then", async () => {
        const chosen = { ...options(), maxBytes: 20_000 }
        const log = overStore(await jetstreamStore(chosen))
        let stored = 0
        let last: unknown
        for (let round = 0; round < 50 && last === undefined; round++) {
          const result = await run(
            Effect.result(log.append("clock.node-a", clockEvents("node-a", stored + 1, 8), stored))
          )
          if (Result.isFailure(result)) last = result.failure
          else stored += 8
        }
        expect(last).toMatchObject({ _tag: "LogFull" })
        expect(eventsOf(await readAll(log))).toEqual(clockEvents("node-a", 1, stored))
        await removed(chosen.stream)
      })

      it("fails in time where there is no stream and it may not make one", async () => {
        const rejected = await jetstreamStore({ ...options(), manage: false, deadlineMs: 500 }).catch(
          (error: unknown) => error
        )
        expect(rejected).toMatchObject({ _tag: "LogUnavailable" })
      })

      keyStoreContract(async () => {
        streams += 1
        const stream = `KEY_STORE${streams}`
        const store = await jetstreamKeyStore({
          connection: connection(),
          stream,
          prefix: `keys${streams}`,
          replicas: size,
          manage: true,
          deadlineMs: PATIENCE_MS
        })
        const directories = cluster.servers.map((it) => it.store)
        return { store, directories, onDisk: size === 1, close: () => removed(stream) }
      })
    })

  describe.runIf(binary !== undefined)(`an outage of nats-server ${version}${why}`, () => {
    it("is ridden out by appends, which are stored once, and by subscribers", async () => {
      const cluster = await startNats(binary as NatsBinary, 1)
      const connection = await connect({ servers: [...cluster.urls], maxReconnectAttempts: -1, reconnectTimeWait: 100 })
      try {
        const place = { connection, stream: "LOG", prefix: "log", replicas: 1, maxBytes: 2 ** 20, manage: true }
        const chosen = { ...place, deadlineMs: PATIENCE_MS }
        const log = overStore(await jetstreamStore(chosen))
        const impatient = overStore(await jetstreamStore({ ...chosen, deadlineMs: 300 }))
        await run(log.append("clock.node-a", [clockEvent("node-a", 1)], 0))
        const seen: Array<AnyEvent> = []
        const subscription = Effect.runFork(
          Stream.runForEachWhile(log.subscribe({ from: 1 }), (batch) =>
            Effect.sync(() => {
              seen.push(...batch.events.map(({ event }) => event))
              return seen.length < 3
            })
          )
        )
        const server = cluster.servers[0] as (typeof cluster.servers)[number]
        await server.kill()
        const during = run(log.append("clock.node-a", [clockEvent("node-a", 2)], 1))
        expect(await failure(impatient.append("clock.node-a", [clockEvent("node-a", 2)], 1))).toMatchObject({
          _tag: "LogUnavailable"
        })
        await server.start()
        expect(await during).toMatchObject({ version: 2 })
        await run(log.append("clock.node-a", [clockEvent("node-a", 3)], 2))
        await run(Fiber.join(subscription))
        expect(seen).toEqual(clockEvents("node-a", 1, 3))
      } finally {
        await connection.close()
        await cluster.stop()
      }
    })
  })
}
