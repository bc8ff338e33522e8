/**
 * A process that appends to an SQLite log until that fails, and prints as JSON how it failed and what is in the log then,
 * before and after it opens the file again. Run where the disk or the process's files may grow no further.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { overStore } from "../src/commit-store.ts"
import type { EventLog } from "../src/event-log.ts"
import { sqliteStore } from "../src/sqlite.ts"
import { clockEvents } from "./sample-events.ts"

const file = process.argv[2] as string
const EVENTS = 8

const versions = async (log: EventLog["Service"]): Promise<ReadonlyArray<number>> =>
  (await Effect.runPromise(Stream.runCollect(log.read({ from: 1 })))).flatMap((batch) =>
    batch.events.map(({ event }) => event.version)
  )

const store = sqliteStore({ file })
const log = overStore(store)
let version = 0
let failure: { readonly _tag: string; readonly message: string } | undefined
while (failure === undefined && version < 100_000) {
  const outcome = await Effect.runPromise(
    Effect.result(log.append("clock.node-a", clockEvents("node-a", version + 1, EVENTS), version))
  )
  if (Result.isFailure(outcome)) failure = outcome.failure
  else version += EVENTS
}
const held = await versions(log)
store.close()
const again = sqliteStore({ file })
const reopened = await versions(overStore(again))
again.close()
console.log(JSON.stringify({ tag: failure?._tag, message: failure?.message, acknowledged: version, held, reopened }))
