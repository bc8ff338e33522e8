/** A node on its own: log and key store in SQLite files of the state directory, and nobody else to lead. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { join } from "node:path"
import type { Authenticity, Inspect, EventLog, KeyStore } from "@meridian/event-log"
import {
  overStore,
  LogFull,
  LogUnavailable,
  overSlots,
  KeyStoreUnavailable,
  openOrBeginAnew
} from "@meridian/event-log"
import { sqliteKeyStore } from "@meridian/event-log/key-store-sqlite"
import { sqliteStore } from "@meridian/event-log/sqlite"
import { reasonOf } from "@meridian/system/errno-words"
import { makeDirectory } from "@meridian/system/make-directory"
import type { Lease } from "./lease.ts"

/** Where events and keys lie and who leads. */
export interface Backend {
  readonly log: EventLog["Service"]
  readonly keyStore: KeyStore["Service"]
  readonly lease: Lease
  /** Hands a command to the node that leads, where there may be others. */
  readonly forward?: Forward
  readonly warnings: ReadonlyArray<string>
}

/** What is asked of each event, beyond its schema. */
export interface Scrutiny {
  readonly inspect: Inspect
  readonly authenticity: Authenticity
  /** Milliseconds since 1970, as the node decides by it. */
  readonly now: () => number
}

/** A command for the leader as the API has it, and the leader's answer. */
export interface ForwardedCommand {
  readonly path: string
  readonly body: string
}
export interface ForwardedAnswer {
  readonly status: number
  readonly body: string
}
export interface Forward {
  readonly ask: (node: string, command: ForwardedCommand) => Promise<ForwardedAnswer>
  readonly serve: (answer: (command: ForwardedCommand) => Promise<ForwardedAnswer>) => void
}

const isDamagedKeyStore = (error: unknown): boolean => error instanceof KeyStoreUnavailable && error.damaged === true

/**
 * The key store in the state directory. One that is damaged is put aside by name: in a cluster its copies are fetched again, on a
 * node of its own the keys that nobody can open any more are revoked.
 */
export const localKeyStore = (
  directory: string,
  warn: (message: string) => void
): Effect.Effect<KeyStore["Service"], KeyStoreUnavailable, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          makeDirectory(join(directory, "shelf"), 0o700)
          const file = join(directory, "shelf", "keys.sqlite")
          const { opened, aside } = openOrBeginAnew(file, () => sqliteKeyStore(file), isDamagedKeyStore, Date.now)
          if (aside !== undefined)
            warn(
              `the key store was damaged and is begun anew, the old one is kept as ${aside}; keys that are nowhere else are minted anew. What is left in the old one is wrapped keys: destroy it`
            )
          return opened
        },
        catch: (error) =>
          error instanceof KeyStoreUnavailable
            ? error
            : new KeyStoreUnavailable({ detail: reasonOf(error), cause: error })
      }),
      (store) => Effect.sync(() => store.close())
    ),
    overSlots
  )

/** Nobody else writes to a node's own log, but for an operator who repairs it: what he appends is heard within twelve seconds. */
const LOOK_FOR_OTHERS_MS = 12_000

const isDamagedLog = (error: unknown): boolean => error instanceof LogUnavailable && error.damaged === true

export const openEmbedded = (
  directory: string,
  { inspect, authenticity }: Scrutiny,
  warn: (message: string) => void
): Effect.Effect<Backend, LogUnavailable | LogFull | KeyStoreUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* Effect.acquireRelease(
      Effect.try({
        try: () => {
          makeDirectory(join(directory, "log"), 0o700)
          const file = join(directory, "log", "events.sqlite")
          const { opened, aside } = openOrBeginAnew(
            file,
            () => sqliteStore({ file, pollMs: LOOK_FOR_OTHERS_MS }),
            isDamagedLog,
            Date.now
          )
          if (aside !== undefined)
            warn(`the event log was damaged and is begun anew, the old one is kept as ${aside}; keys are minted anew`)
          return opened
        },
        catch: (error) =>
          error instanceof LogFull || error instanceof LogUnavailable
            ? error
            : new LogUnavailable({ detail: reasonOf(error), uncertain: false, cause: error })
      }),
      (opened) => Effect.sync(() => opened.close())
    )
    const keyStore = yield* localKeyStore(directory, warn)
    yield* Effect.tryPromise({
      try: () => authenticity.learn((subject) => store.read({ from: 1, only: { subject } })),
      catch: (error) =>
        error instanceof LogUnavailable
          ? error
          : new LogUnavailable({ detail: reasonOf(error), uncertain: false, cause: error })
    })
    return {
      log: overStore(store, inspect, authenticity),
      keyStore,
      lease: { held: () => 1, release: Effect.void, resign: Effect.void },
      warnings: [...store.warnings, ...keyStore.warnings]
    }
  })
