/** What a node says of itself over the sockets in its state directory: cheaper than a command, so fit to be asked each second. */
import { request } from "node:http"
import { join } from "node:path"
import type { ClusterState, NodeStatus } from "@meridian/ipc"

const PATIENCE_MS = 1_000

/** The answer's JSON; undefined where none comes. */
const ask = (directory: string, socket: string, path: string): Promise<unknown> =>
  new Promise((done) => {
    const asking = request(
      { socketPath: join(directory, socket), path, agent: false, timeout: PATIENCE_MS },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on("data", (chunk: Buffer) => chunks.push(chunk))
        answer.on("error", () => done(undefined))
        answer.on("end", () => {
          try {
            done(answer.statusCode === 200 ? JSON.parse(Buffer.concat(chunks).toString("utf8")) : undefined)
          } catch {
            done(undefined)
          }
        })
      }
    )
    asking.on("timeout", () => asking.destroy())
    asking.on("error", () => done(undefined))
    asking.end()
  })

/** The supervisor's picture of the node. */
export const askStatus = async (directory: string): Promise<NodeStatus | undefined> =>
  (await ask(directory, "control.sock", "/status")) as NodeStatus | undefined

/** The coordinator's picture of the cluster. */
export const askCluster = async (directory: string): Promise<ClusterState | undefined> =>
  (await ask(directory, "coordinator.sock", "/state")) as ClusterState | undefined
