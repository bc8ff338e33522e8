/**
 * Whether NATS servers have formed one JetStream group: whether a stream of three copies can be made. Also a program, so that it
 * can be asked from within a network namespace: `node nats-formed.ts ADDRESS:PORT…` ends with 0 if they have, else with 1.
 *
 * Servers of 2.10 that are started for the first time at the same moment, on a machine with much else to do, now and then form
 * a group that one of them stays out of for good; started once more they find together.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"

const LIMIT_MS = 15_000
const NAME = "FORMED"

export const formed = async (urls: ReadonlyArray<string>): Promise<boolean> => {
  for (const end = performance.now() + LIMIT_MS; performance.now() < end; await sleep(100)) {
    try {
      const connection = await connect({ servers: [...urls], reconnect: false, timeout: 5_000 })
      try {
        const { streams } = await jetstreamManager(connection, { timeout: 5_000 })
        await streams.add({ name: NAME, subjects: ["formed"], num_replicas: 3 })
        await streams.delete(NAME)
        return true
      } finally {
        await connection.close()
      }
    } catch {
      // Not yet.
    }
  }
  return false
}

if (import.meta.main) process.exit((await formed(process.argv.slice(2))) ? 0 : 1)
