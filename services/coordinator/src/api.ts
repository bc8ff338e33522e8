/**
 * The coordinator's interface: HTTP over a Unix socket in the state directory, for `meridian log`, `keys`, `cluster` and
 * `explain`. Whoever may open the socket (the owner and the group) may give commands.
 *
 * Minting is the leader's. A node that does not lead hands rotate and revoke on to the one that does, over NATS, and passes
 * its answer back; where no leader answers, the caller is told who led last.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { join, resolve } from "node:path"
import { COORDINATOR_SOCKET_NAME, isSocketServed, listenAt, LONGEST_SOCKET_PATH } from "@meridian/ipc/unix-socket"
import { reasonOf } from "@meridian/system/errno-words"
import * as onUse from "@meridian/system/on-use"
import { type ApiAnswer, ApiError, toAnswer } from "./api-answer.ts"
import { runCommand, runForwarded } from "./api-commands.ts"
import { readState, streamLog } from "./api-queries.ts"
import type { Coordinator } from "./coordinator.ts"

const MAX_BODY_BYTES = 16_384
const BODY_LIMIT_MS = 5_000

/** Opens the socket, for as long as the scope lives. Dies where another coordinator has the directory. */
export const openApi = (coordinator: Coordinator): Effect.Effect<void, ApiError, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.tryPromise({
        try: () => openSocket(coordinator),
        catch: (error) => {
          if (error instanceof ApiError) return error
          const { directory } = coordinator.settings
          return new ApiError(
            500,
            "SocketFailed",
            `cannot make ${COORDINATOR_SOCKET_NAME} in ${directory}: ${reasonOf(error)}; check its owner and mode`
          )
        }
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    )
  )

const openSocket = async (coordinator: Coordinator): Promise<Server> => {
  const path = resolve(join(coordinator.settings.directory, COORDINATOR_SOCKET_NAME))
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH)
    throw new ApiError(
      500,
      "SocketPathTooLong",
      `the socket's path ${path} has ${path.length} characters, a Unix socket takes ${LONGEST_SOCKET_PATH}: choose a shorter --state DIR`
    )
  if (await isSocketServed(path))
    throw new ApiError(500, "DirectoryTaken", `a coordinator already runs with the state directory of ${path}: stop it`)
  const server = onUse.http().createServer((asked, response) => {
    void serve(coordinator, asked, response)
  })
  server.requestTimeout = BODY_LIMIT_MS
  server.headersTimeout = BODY_LIMIT_MS
  await listenAt(server, path)
  coordinator.onForwarded = (command) => runForwarded(coordinator, command.path, command.body)
  return server
}

const serve = async (coordinator: Coordinator, asked: IncomingMessage, response: ServerResponse): Promise<void> => {
  try {
    const url = URL.parse(asked.url ?? "/", "http://coordinator")
    if (url === null) throw new ApiError(400, "Malformed", "expected a path such as /state")
    if (asked.method === "GET" && url.pathname === "/log") return await streamLog(coordinator, url, response)
    const answer =
      asked.method === "POST"
        ? await runCommand(coordinator, url.pathname, await readBody(asked))
        : asked.method === "GET"
          ? await readState(coordinator, url)
          : toAnswer(new ApiError(405, "MethodNotAllowed", "expected GET or POST"))
    write(response, answer)
  } catch (error) {
    if (response.headersSent) response.destroy()
    else write(response, toAnswer(error))
  }
}

const write = (response: ServerResponse, { status, type, body }: ApiAnswer): void => {
  response.writeHead(status, { "content-type": type ?? "application/json" })
  response.end(body)
}

/** A body that is too long is read to its end and let go of: who is cut off while sending does not see the answer. */
const readBody = async (asked: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  let length = 0
  for await (const chunk of asked as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (length > MAX_BODY_BYTES) throw new ApiError(413, "BodyTooLong", `a body is at most ${MAX_BODY_BYTES} bytes`)
  return Buffer.concat(chunks).toString("utf8")
}
