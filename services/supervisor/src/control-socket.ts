/** The node's own interface: HTTP over a Unix socket in the state directory, for `meridian status` and what comes after it. */
import type { Server } from "node:http"
import { join } from "node:path"
import * as onUse from "@meridian/system/on-use"
import { CONTROL_SOCKET_NAME, listenAt } from "@meridian/ipc/unix-socket"

/** What may be asked for. */
const resources = ["/status", "/sources", "/tracking", "/snapshot", "/clients", "/config", "/reload"] as const
export type Resource = (typeof resources)[number]

/** @param read the resource as it stands; undefined while the node cannot say */
const answerTo = async (
  method: string | undefined,
  url: string | undefined,
  read: (resource: Resource, query: URLSearchParams) => unknown
) => {
  const [path, query = ""] = (url ?? "").split("?")
  const resource = resources.find((known) => known === path)
  if (resource === undefined || method !== (resource === "/reload" ? "POST" : "GET"))
    return [404, { error: `no such resource; expected GET of ${resources.join(", ")}, but POST of /reload` }] as const
  const now = await read(resource, new URLSearchParams(query))
  return now === undefined ? ([503, { error: "the node is starting; ask again" }] as const) : ([200, now] as const)
}

/** Opens the control socket of a directory that is claimed (state-directory.ts), in place of one that a killed node left behind. */
export const openControlSocket = async (
  stateDirectory: string,
  read: (resource: Resource, query: URLSearchParams) => unknown
): Promise<Server> => {
  const server = onUse.http().createServer((asked, response) => {
    void answerTo(asked.method, asked.url, read).then(([code, body]) => {
      response.writeHead(code, { "content-type": "application/json" })
      response.end(`${JSON.stringify(body)}\n`)
    })
  })
  await listenAt(server, join(stateDirectory, CONTROL_SOCKET_NAME))
  return server
}
