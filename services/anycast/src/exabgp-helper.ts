/**
 * `meridian exabgp SOCKET`, started by ExaBGP as a process: writes to standard output what the node says, which ExaBGP carries
 * out. ExaBGP goes on announcing what a helper said, also when that one is gone and another took its place: so this one
 * withdraws whatever the node said last when it has not heard of the node for a second, and when it is told to end.
 */
import { createConnection } from "node:net"
import { setTimeout } from "node:timers/promises"

/** A node's process that is started anew is back within this. */
const PATIENCE_MS = 1_000
const RETRY_MS = 250

const WITHDRAWN = /^withdraw /
const COMMAND = /^(?:announce|withdraw) route [0-9A-Fa-f.:/]{4,64} next-hop self$/

/** Runs until ExaBGP ends it. @param socket as `anycast exabgp` names it */
export const runExabgpHelper = async (socket: string): Promise<void> => {
  /** By prefix, what was said last. */
  const announced = new Set<string>()
  const say = (command: string): void => {
    if (!COMMAND.test(command)) return
    process.stdout.write(`${command}\n`)
    const route = command.replace(/^\w+ /, "")
    if (WITHDRAWN.test(command)) announced.delete(route)
    else announced.add(route)
  }
  const withdraw = (): void => {
    for (const route of announced) say(`withdraw ${route}`)
  }
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      withdraw()
      process.exit(0)
    })
  // ExaBGP is gone, and its sessions with it.
  process.stdout.on("error", () => process.exit(0))
  process.stdin.on("error", () => process.exit(0))
  process.stdin.on("close", () => process.exit(0))
  process.stdin.resume()
  let lostAt = performance.now()
  const watch = setInterval(() => {
    if (performance.now() - lostAt >= PATIENCE_MS) withdraw()
  }, RETRY_MS)
  watch.unref()
  for (;;) {
    await follow(socket, say, () => (lostAt = Infinity))
    lostAt = Math.min(lostAt, performance.now())
    await setTimeout(RETRY_MS)
  }
}

/** Resolves when the connection has ended. */
const follow = (path: string, say: (command: string) => void, heard: () => void): Promise<void> =>
  new Promise((done) => {
    const connection = createConnection(path, heard)
    let rest = ""
    connection.setEncoding("utf8")
    connection.on("data", (chunk) => {
      const lines = (rest + String(chunk)).split("\n")
      rest = (lines.pop() ?? "").slice(0, 1_024)
      for (const line of lines) say(line)
    })
    connection.on("error", () => connection.destroy())
    connection.on("close", () => done())
  })
