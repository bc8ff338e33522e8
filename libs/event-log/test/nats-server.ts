/**
 * Real nats-servers for tests, single or three in a cluster, on loopback ports of the system's choice with their stores
 * in temporary directories. The binaries come from the folder that `infra/peers` fills; where it is absent the suites say
 * so and are skipped.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { connect } from "@nats-io/transport-node"
import { jetstreamManager } from "@nats-io/jetstream"

export interface NatsBinary {
  readonly version: string
  readonly command: string
  readonly args: ReadonlyArray<string>
}

const ROOT = resolve(import.meta.dirname, "../../..")

/** Debian suites unpacked side by side. A suite's programs run with its own C library, except the machine's own. */
const RELEASES = [
  { version: "2.9", suite: "bookworm", path: "usr/sbin/nats-server" },
  { version: "2.10", suite: "trixie", path: "usr/bin/nats-server" },
  { version: "2.15", suite: "sid", path: "usr/bin/nats-server" }
]

/** The servers that are there, and why any other is not. */
export const natsServers = (): {
  readonly found: ReadonlyArray<NatsBinary>
  readonly missing: ReadonlyArray<string>
} => {
  const peers = process.env["PEERS"] ?? join(ROOT, ".meridian/peers")
  const found: Array<NatsBinary> = []
  const missing: Array<string> = []
  for (const { version, suite, path } of RELEASES) {
    const candidates = [path, path.replace("usr/bin", "usr/sbin")].map((it) => join(peers, suite, it))
    const program = candidates.find((it) => existsSync(it))
    if (program === undefined) {
      missing.push(`nats-server ${version}: no ${candidates[0]} (set PEERS, or let infra/peers fetch it)`)
      continue
    }
    const libraries = join(peers, suite, "usr/lib/x86_64-linux-gnu")
    const loader = join(libraries, "ld-linux-x86-64.so.2")
    found.push(
      suite === "bookworm" || !existsSync(loader)
        ? { version, command: program, args: [] }
        : { version, command: loader, args: ["--library-path", libraries, program] }
    )
  }
  return { found, missing }
}

export interface RunningServer {
  readonly url: string
  readonly store: string
  readonly kill: (signal?: NodeJS.Signals) => Promise<void>
  readonly start: () => Promise<void>
}

export interface RunningCluster {
  readonly servers: ReadonlyArray<RunningServer>
  readonly urls: ReadonlyArray<string>
  readonly directory: string
  /** Ends the servers and removes their stores. */
  readonly stop: () => Promise<void>
}

/** A loopback address that no other suite of this machine is likely to use: nobody takes a port before it is bound. */
const ownLoopback = (): string => {
  const part = (): number => 1 + Math.floor(Math.random() * 254)
  return `127.${64 + Math.floor(Math.random() * 128)}.${part()}.${part()}`
}

const freePorts = async (count: number, address: string): Promise<ReadonlyArray<number>> => {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, address)
      await once(server, "listening")
      return server
    })
  )
  const ports = servers.map((it) => (it.address() as { port: number }).port)
  await Promise.all(servers.map((it) => new Promise((done) => it.close(done))))
  return ports
}

/**
 * A port may be somebody else's by the time it is bound. And three servers that are started for the first time at the same
 * moment, on a machine with much else to do, now and then form a JetStream group that one of them stays out of for good (seen
 * with 2.10.27). Then it is tried again from the start.
 */
const START_ATTEMPTS = 6
const READY_LIMIT_MS = 30_000

/** Starts one server, or three that form a cluster, and waits until JetStream answers. */
export const startNats = async (binary: NatsBinary, size: 1 | 3): Promise<RunningCluster> => {
  for (let attempt = 1; ; attempt += 1)
    try {
      return await startOnFreePorts(binary, size)
    } catch (error) {
      if (attempt === START_ATTEMPTS) throw error
    }
}

const startOnFreePorts = async (binary: NatsBinary, size: 1 | 3): Promise<RunningCluster> => {
  const directory = mkdtempSync(join(tmpdir(), "meridian-nats-"))
  const address = ownLoopback()
  const ports = await freePorts(size * 2, address)
  const routes = ports.slice(size)
  const servers = ports.slice(0, size).map((port, index): RunningServer => {
    const store = join(directory, `store-${index}`)
    const config = join(directory, `server-${index}.conf`)
    const cluster =
      size === 1
        ? ""
        : `cluster { name: test, listen: "${address}:${routes[index]}", routes: [${routes
            .map((it) => `"nats://${address}:${it}"`)
            .join(", ")}] }`
    writeFileSync(
      config,
      `server_name: n${index}\nlisten: "${address}:${port}"\njetstream { store_dir: "${store}", max_mem: 64M, max_file: 2G }\n${cluster}\n`
    )
    let child: ChildProcess | undefined
    const start = (): Promise<void> => {
      child = spawn(binary.command, [...binary.args, "-c", config], { stdio: "ignore" })
      return once(child, "spawn").then(() => {})
    }
    const kill = async (signal: NodeJS.Signals = "SIGKILL"): Promise<void> => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      await once(child, "exit")
    }
    return { url: `${address}:${port}`, store, kill, start }
  })
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((it) => it.kill()))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await Promise.all(servers.map((it) => it.start()))
    await ready(
      servers.map((it) => it.url),
      size
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { servers, urls: servers.map((it) => it.url), directory, stop }
}

/** Waits until every server answers and a stream of as many copies can be made. */
const ready = async (urls: ReadonlyArray<string>, replicas: number): Promise<void> => {
  const deadline = performance.now() + READY_LIMIT_MS
  for (const url of urls)
    for (;;) {
      try {
        const connection = await connect({ servers: [url], reconnect: false, timeout: 5_000 })
        try {
          const manager = await jetstreamManager(connection, { timeout: 5_000 })
          const name = "READY"
          await manager.streams.add({ name, subjects: ["ready"], num_replicas: replicas })
          await manager.streams.delete(name)
        } finally {
          await connection.close()
        }
        break
      } catch (error) {
        if (performance.now() > deadline) throw new Error(`nats-server at ${url} did not get ready`, { cause: error })
        await sleep(50)
      }
    }
}
