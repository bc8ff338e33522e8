/** A process that appends to an SQLite log as fast as it can and prints each acknowledged version, until it is killed. */
import * as Effect from "effect/Effect"
import { overStore } from "../src/commit-store.ts"
import { sqliteStore } from "../src/sqlite.ts"
import { clockEvent } from "./sample-events.ts"

const log = overStore(sqliteStore({ file: process.argv[2] as string }))
for (let version = 1; version <= 10_000; version++) {
  await Effect.runPromise(log.append("clock.node-a", [clockEvent("node-a", version)], version - 1))
  process.stdout.write(`${version}\n`)
}
