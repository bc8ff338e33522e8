/**
 * A node among others: log, key store and lease in NATS JetStream. Loaded only where --nats is given, so that a node on its own
 * carries none of it.
 *
 * Names in NATS, for the servers' permissions: stream MERIDIAN (subjects meridian.>), stream MERIDIAN_SHELF (subjects
 * meridian-shelf.>), key-value bucket meridian-lease, and meridian-command.NODE for commands handed on to the leader.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { join } from "node:path"
import { jetstream } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/nats-core"
import type { KeyStore, KeyStoreUnavailable, SnapshotStore } from "@meridian/event-log"
import { overStore, LogUnavailable, overSlots, snapshotFiles } from "@meridian/event-log"
import { readRegularFile } from "@meridian/system/regular-file"
import { connectNats, type NatsOptions } from "@meridian/event-log/connect"
import { jetstreamStore } from "@meridian/event-log/jetstream"
import { jetstreamKeyStore } from "@meridian/event-log/key-store-jetstream"
import type { NatsSettings } from "@meridian/ipc/coordinator-plan"
import { natsForward } from "./cluster-forward.ts"
import { exposure } from "./cluster-keys.ts"
import { type LeaseClock, natsLease } from "./cluster-lease.ts"
import { HandingOn } from "./handing-on.ts"
import { type Backend, localKeyStore, type Scrutiny } from "./embedded.ts"
import { STREAM } from "./log-names.ts"
import { sentence } from "./notices.ts"

export const PREFIX = "meridian"
/** Its first name, which running clusters and their permissions go by. */
const KEY_STORE_STREAM = "MERIDIAN_SHELF"
export const KEY_STORE_PREFIX = "meridian-shelf"
export const LEASE_BUCKET = "meridian-lease"

/** How long a start waits for NATS before it says that it does. */
const PATIENCE_MS = 2_000
const OPEN_AGAIN = Schedule.spaced("1 second")
const ASK_AGAIN = Schedule.spaced("30 seconds")

/** What a node has of its own, whether or not NATS is there. */
export interface Local {
  readonly mirror: KeyStore["Service"]
  readonly snapshots: SnapshotStore
}

export const openLocal = (
  directory: string,
  warn: (message: string) => void
): Effect.Effect<Local, KeyStoreUnavailable, Scope.Scope> =>
  Effect.map(localKeyStore(directory, warn), (mirror) => ({
    mirror,
    snapshots: snapshotFiles(join(directory, "snapshots"), warn)
  }))

/** Waits for NATS for as long as it takes; `waiting` is told why, once it takes longer than a moment. */
export const openCluster = (
  { nats, node }: { readonly nats: NatsSettings; readonly node: string },
  local: Local,
  scrutiny: Scrutiny,
  clock: LeaseClock,
  waiting: (why: string) => void
): Effect.Effect<Backend, LogUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const options = yield* Effect.try({
      try: () => natsOptions(nats, node),
      catch: (error) => new LogUnavailable({ detail: sentence(error), uncertain: false, cause: error })
    })
    const saying = yield* Effect.forkScoped(sayWhy(nats, options, waiting))
    const connection = yield* connectNats(options)
    yield* Fiber.interrupt(saying)
    const open = Effect.tryPromise({
      try: () => openStores(connection, nats, node, local, scrutiny, clock),
      catch: sentence
    })
    const opened = yield* open.pipe(
      Effect.tapError((why) =>
        Effect.sync(() => waiting(`NATS at ${nats.servers.join(", ")} has no log for us: ${why}${advice(why)}`))
      ),
      Effect.retry(OPEN_AGAIN),
      Effect.orDie
    )
    yield* Effect.addFinalizer(() => opened.lease.resign)
    return opened
  })

/** Servers that all run may be of more than one mind about who belongs to their group, for good: that is for people to mend. */
const advice = (failure: string): string =>
  failure.includes("no suitable peers")
    ? " (fewer servers have joined its JetStream group than the log has copies: start those that are missing; where all run, restart them one after another)"
    : ""

/** The connection that waits keeps its reasons to itself: another one asks for them, now and then, until interrupted. */
const sayWhy = (nats: NatsSettings, options: NatsOptions, waiting: (why: string) => void): Effect.Effect<never> =>
  Effect.scoped(connectNats({ ...options, wait: false })).pipe(
    Effect.match({
      onSuccess: () => undefined,
      onFailure: ({ cause }) => waiting(`no NATS at ${nats.servers.join(", ")}: ${refusal(nats, cause)}`)
    }),
    Effect.repeat(ASK_AGAIN),
    Effect.delay(PATIENCE_MS),
    Effect.andThen(Effect.never)
  )

/** What to do about it, in words. */
export const refusal = ({ seedFile, authorityFile }: NatsSettings, cause: unknown): string => {
  const { code, name } = cause as { readonly code?: unknown; readonly name?: unknown }
  const certificate = typeof code === "string" && /^(UNABLE_TO|CERT_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS)/.test(code)
  if (certificate)
    return authorityFile === null
      ? `it shows a certificate (${code}): name the authority that signed it, \`cluster ca FILE\``
      : `its certificate is not signed by the authority in ${authorityFile}, or not for that host (${code})`
  if (name === "AuthorizationError")
    return seedFile === null
      ? "it lets nobody in without an nkey: name this node's, `cluster nkey FILE`"
      : `it does not let in the nkey in ${seedFile}`
  return sentence(cause)
}

const natsOptions = ({ servers, seedFile, authorityFile }: NatsSettings, node: string): NatsOptions => ({
  servers,
  name: `meridian ${node}`,
  wait: true,
  ...(seedFile === null ? {} : { nkeySeed: readSeed(seedFile) }),
  ...(authorityFile === null ? {} : { tls: { caFile: authorityFile } })
})

/** A seed is one short line. */
const LONGEST_SEED_FILE = 4_096

const readSeed = (file: string): Buffer => {
  const exposed = exposure(file, "the nkey")
  if (exposed !== undefined) throw new Error(exposed)
  const seed = readRegularFile(file, LONGEST_SEED_FILE).toString("utf8").trim()
  if (/^SU[A-Z2-7]{56}$/.test(seed)) return Buffer.from(seed)
  throw new Error(`${file} holds no seed of a user's nkey: expected one line that begins with SU`)
}

/** TLS is asked for by naming the authority; otherwise it is up to the server, or to whoever stands in between. */
const UNPROVEN_SERVERS =
  "nothing proves that the NATS servers are ours: whoever is on the way can sign in as this node; name the authority of their certificates, `cluster ca FILE`"

const openStores = async (
  connection: NatsConnection,
  { replicas, logBytes, seedFile, authorityFile }: NatsSettings,
  node: string,
  { snapshots }: Local,
  { inspect, authenticity, now }: Scrutiny,
  clock: LeaseClock
): Promise<Backend> => {
  const store = await jetstreamStore({
    connection,
    stream: STREAM,
    prefix: PREFIX,
    replicas,
    maxBytes: logBytes,
    manage: true,
    snapshots,
    believes: (commit) => authenticity.believes(commit)
  })
  await authenticity.learn((subject) => store.read({ from: 1, only: { subject } }))
  const keyStore = await jetstreamKeyStore({
    connection,
    stream: KEY_STORE_STREAM,
    prefix: KEY_STORE_PREFIX,
    replicas,
    manage: true
  })
  const lease = await natsLease(jetstream(connection, { timeout: 2_000 }), LEASE_BUCKET, replicas, node, clock)
  return {
    log: overStore(store, inspect, authenticity),
    keyStore: overSlots(keyStore),
    lease,
    forward: natsForward(connection, node, new HandingOn(node, authenticity, now)),
    warnings: [
      ...store.warnings,
      ...keyStore.warnings,
      ...(seedFile !== null && authorityFile === null ? [UNPROVEN_SERVERS] : [])
    ]
  }
}
