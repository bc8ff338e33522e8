/**
 * A node among others: log, shelf and lease in NATS JetStream. Loaded only where --nats is given, so that a node on its own
 * carries none of it.
 *
 * Names in NATS, for the servers' permissions: stream MERIDIAN (subjects meridian.>), stream MERIDIAN_SHELF (subjects
 * meridian-shelf.>), key-value bucket meridian-lease, and meridian-command.NODE for commands handed on to the leader.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { jetstream } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/nats-core"
import { overStore } from "@meridian/event-log/commit-store"
import type { Inspect } from "@meridian/event-log/commit"
import { connectNats, type NatsOptions } from "@meridian/event-log/connect"
import { LogUnavailable } from "@meridian/event-log/event-log"
import { jetstreamStore } from "@meridian/event-log/jetstream"
import { type KeyShelf, overShelf, type ShelfUnavailable } from "@meridian/event-log/key-shelf"
import { jetstreamShelf } from "@meridian/event-log/shelf-jetstream"
import { snapshotFiles, type SnapshotStore } from "@meridian/event-log/snapshot-file"
import type { Arguments, NatsPlan } from "./arguments.ts"
import { natsForward } from "./cluster-forward.ts"
import { type LeaseClock, natsLease } from "./cluster-lease.ts"
import { type Backend, localShelf } from "./embedded.ts"
import { sentence } from "./notices.ts"

export const STREAM = "MERIDIAN"
export const PREFIX = "meridian"
export const SHELF_STREAM = "MERIDIAN_SHELF"
export const SHELF_PREFIX = "meridian-shelf"
export const LEASE_BUCKET = "meridian-lease"

/** How long a start waits for NATS before it says that it does. */
const PATIENCE_MS = 2_000
const RETRY_MS = 1_000

/** What a node has of its own, whether or not NATS is there. */
export interface Local {
  readonly mirror: KeyShelf["Service"]
  readonly snapshots: SnapshotStore
}

export const openLocal = (directory: string): Effect.Effect<Local, ShelfUnavailable, Scope.Scope> =>
  Effect.map(localShelf(directory), (mirror) => ({ mirror, snapshots: snapshotFiles(join(directory, "snapshots")) }))

/** Waits for NATS for as long as it takes; `waiting` is told why, once it takes longer than a moment. */
export const openCluster = (
  settings: Arguments,
  local: Local,
  inspect: Inspect,
  clock: LeaseClock,
  waiting: (why: string) => void
): Effect.Effect<Backend, LogUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const { nats, node } = settings
    if (nats === undefined) return yield* Effect.die("no NATS in the arguments")
    const options = yield* Effect.try({
      try: () => natsOptions(nats, node),
      catch: (error) => new LogUnavailable({ detail: sentence(error), uncertain: false, cause: error })
    })
    const timer = setTimeout(() => waiting(`no NATS at ${nats.servers.join(", ")}`), PATIENCE_MS)
    const connection = yield* connectNats(options)
    clearTimeout(timer)
    for (;;) {
      const opened = yield* Effect.result(
        Effect.tryPromise({ try: () => openStores(connection, nats, node, local, inspect, clock), catch: sentence })
      )
      if (opened._tag === "Success") {
        yield* Effect.addFinalizer(() => opened.success.lease.resign)
        return opened.success
      }
      waiting(`NATS at ${nats.servers.join(", ")} has no log for us: ${opened.failure}`)
      yield* Effect.sleep(RETRY_MS)
    }
  })

const natsOptions = ({ servers, seedFile, authorityFile }: NatsPlan, node: string): NatsOptions => ({
  servers,
  name: `meridian ${node}`,
  wait: true,
  ...(seedFile === undefined ? {} : { nkeySeed: Buffer.from(readFileSync(seedFile, "utf8").trim()) }),
  ...(authorityFile === undefined ? {} : { tls: { caFile: authorityFile } })
})

const openStores = async (
  connection: NatsConnection,
  { replicas, logBytes }: NatsPlan,
  node: string,
  { snapshots }: Local,
  inspect: Inspect,
  clock: LeaseClock
): Promise<Backend> => {
  const store = await jetstreamStore({
    connection,
    stream: STREAM,
    prefix: PREFIX,
    replicas,
    maxBytes: logBytes,
    manage: true,
    snapshots
  })
  const shelf = await jetstreamShelf({
    connection,
    stream: SHELF_STREAM,
    prefix: SHELF_PREFIX,
    replicas,
    manage: true
  })
  const lease = await natsLease(jetstream(connection, { timeout: 2_000 }), LEASE_BUCKET, replicas, node, clock)
  return {
    log: overStore(store, inspect),
    shelf: overShelf(shelf),
    lease,
    forward: natsForward(connection, node),
    warnings: [...store.warnings, ...shelf.warnings]
  }
}
