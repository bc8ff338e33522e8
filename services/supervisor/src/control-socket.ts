/**
 * The node's own door: HTTP over a Unix socket in the state directory, for `meridian status` and what comes after it.
 * The socket is also the node's mark: whoever answers on it owns the directory.
 */
import { chmodSync, rmSync } from "node:fs"
import { createServer, request, type Server } from "node:http"
import { join } from "node:path"
import { CONTROL_SOCKET_NAME, LONGEST_SOCKET_PATH } from "@meridian/ipc/node-status"

/** The state directory cannot be used: another node has it, or its path is too long for a Unix socket. */
export class StateDirectoryTaken {
  readonly _tag = "StateDirectoryTaken"
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

/** What may be asked for. */
export const resources = ["/status", "/sources", "/tracking", "/snapshot", "/clients"] as const
export type Resource = (typeof resources)[number]

/** @param read the resource as it stands; undefined while the node cannot say */
const answerTo = (
  method: string | undefined,
  url: string | undefined,
  read: (resource: Resource, query: URLSearchParams) => unknown
) => {
  const [path, query = ""] = (url ?? "").split("?")
  const resource = resources.find((known) => known === path)
  if (method !== "GET" || resource === undefined)
    return [404, { error: `no such resource; expected GET of ${resources.join(", ")}` }] as const
  const now = read(resource, new URLSearchParams(query))
  return now === undefined ? ([503, { error: "the node is starting; ask again" }] as const) : ([200, now] as const)
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const asking = request({ socketPath: path, path: "/status", timeout: 2_000 }, (response) => {
      response.resume()
      resolve(true)
    })
    asking.on("error", () => resolve(false))
    asking.on("timeout", () => asking.destroy())
    asking.end()
  })

/**
 * Opens the control socket, taking over one that a killed node left behind.
 * @throws StateDirectoryTaken
 */
export const openControlSocket = async (
  stateDirectory: string,
  read: (resource: Resource, query: URLSearchParams) => unknown
): Promise<Server> => {
  const path = join(stateDirectory, CONTROL_SOCKET_NAME)
  if (path.length > LONGEST_SOCKET_PATH)
    throw new StateDirectoryTaken(
      `the control socket's path ${path} has ${path.length} characters, a Unix socket takes at most ${LONGEST_SOCKET_PATH}; choose a shorter --state DIR`
    )
  if (await answers(path))
    throw new StateDirectoryTaken(
      `a node already runs with the state directory ${stateDirectory}; stop it or give this one another --state DIR`
    )
  rmSync(path, { force: true })
  const server = createServer((asked, response) => {
    const [code, body] = answerTo(asked.method, asked.url, read)
    response.writeHead(code, { "content-type": "application/json" })
    response.end(`${JSON.stringify(body)}\n`)
  })
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o660)
  return server
}
