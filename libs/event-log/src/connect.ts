/**
 * The connection to NATS. It never gives up: servers may be away for days while a node serves on. It buffers nothing
 * across a disconnect, which is why appends are repeated with their message id until acknowledged.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, type NatsConnection, nkeyAuthenticator, type Server, type TlsOptions } from "@nats-io/transport-node"
import { LogUnavailable, messageOf } from "./event-log.ts"

export interface NatsOptions {
  /** host:port of one server or more; the rest of a cluster is learned from them. */
  readonly servers: ReadonlyArray<string>
  /** Seen in the server's list of connections. */
  readonly name: string
  /** Seed of an nkey, as the text that begins with SU. */
  readonly nkeySeed?: Uint8Array
  /** Absent: no TLS. */
  readonly tls?: TlsOptions
  /** Wait for a first connection instead of failing where no server answers. */
  readonly wait?: boolean
}

/** Connects, and drains when the scope closes. Fails where no server answers, unless told to wait. */
export const connectNats = (options: NatsOptions): Effect.Effect<NatsConnection, LogUnavailable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        connect({
          servers: [...options.servers],
          name: options.name,
          maxReconnectAttempts: -1,
          // The client ends its own pause by the wall clock: set back by an hour, that would keep it waiting for an hour.
          reconnectDelayHandler: () => Number.NEGATIVE_INFINITY,
          reconnectToServer: pausing,
          // A server that the network has swallowed is given up within 6 s, about as soon as a lease on it has lapsed.
          pingInterval: 2_000,
          maxPingOut: 2,
          timeout: 5_000,
          waitOnFirstConnect: options.wait === true,
          // A credential that the servers do not know yet, or know no longer, must not end the connection for good.
          ignoreAuthErrorAbort: true,
          noAsyncTraces: true,
          ...(options.nkeySeed === undefined ? {} : { authenticator: nkeyAuthenticator(options.nkeySeed) }),
          ...(options.tls === undefined ? {} : { tls: options.tls })
        }),
      catch: (cause) =>
        new LogUnavailable({
          detail: `no NATS at ${options.servers.join(", ")}: ${messageOf(cause)}`,
          uncertain: false,
          cause
        })
    }),
    (connection) => Effect.promise(() => closed(connection))
  )

const PAUSE_MS = 500
const JITTER_MS = 100

/** Which server to try next, and after how long: each is tried about twice a second, at the first time at once. */
const pausing = (pool: ReadonlyArray<Server>): { server: Server; delay: number } | null => {
  const [server] = pool
  if (server === undefined || server.lastConnect === 0) return null
  return { server, delay: (PAUSE_MS + Math.random() * JITTER_MS) / pool.length }
}

/** Drains within a second where the server is there to drain to, and closes all the same where it is not. */
const closed = async (connection: NatsConnection): Promise<void> => {
  if (connection.isClosed()) return
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 1_000)
  })
  await Promise.race([connection.drain().catch(() => {}), late])
  clearTimeout(timer)
  if (!connection.isClosed()) await connection.close().catch(() => {})
}

/** Whether the server is at least this release; one that does not say is taken as old. */
export const serverAtLeast = (connection: NatsConnection, major: number, minor: number): boolean => {
  const [a = 0, b = 0] = (connection.info?.version ?? "0.0").split(".").map((part) => Number.parseInt(part, 10))
  return a > major || (a === major && b >= minor)
}
