/** Signs as a node with a cluster key would: for tests that write into a log behind the coordinators' backs. */
import { readFileSync } from "node:fs"
import { Authenticity } from "@meridian/event-log"
import { ClusterKeys } from "../src/cluster-keys.ts"

/** The key that a file holds as hexadecimal digits. */
export const keyIn = (file: string): Uint8Array => new Uint8Array(Buffer.from(readFileSync(file, "utf8").trim(), "hex"))

/** @param stream the log's name, see log-names.ts */
export const signerWith = (clusterKey: Uint8Array, stream: string): Authenticity => {
  const keys = new ClusterKeys(clusterKey, "memory", "/nonexistent")
  return new Authenticity(stream, keys, () => keys.first)
}
