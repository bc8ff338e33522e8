/**
 * A real NATS of three servers on loopback, stores in a temporary directory. The program comes from the folder that
 * infra/peers fills: that of Debian trixie, run with the C library it was made for.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { formed } from "./nats-formed.ts"

const SIZE = 3

/** Debian's suites, and the release of nats-server in each: the oldest that is supported, and the newest. */
export const NATS_SUITES = { trixie: "2.10", sid: "2.15" } as const

/** The words that start the program of a suite, or undefined where it is not there. */
export const natsBinary = (of: keyof typeof NATS_SUITES = "trixie"): ReadonlyArray<string> | undefined => {
  const peers = process.env["PEERS"] ?? resolve(import.meta.dirname, "../../../.meridian/peers")
  const suite = join(peers, of)
  const program = ["usr/bin/nats-server", "usr/sbin/nats-server"].map((it) => join(suite, it)).find(existsSync)
  if (program === undefined) return undefined
  const libraries = join(suite, "usr/lib/x86_64-linux-gnu")
  const loader = join(libraries, "ld-linux-x86-64.so.2")
  return existsSync(loader) ? [loader, "--library-path", libraries, program] : [program]
}

export interface RunningServer {
  readonly start: () => Promise<void>
  readonly kill: () => Promise<void>
  /** Has it write down what it holds, and waits for its end. */
  readonly end: () => Promise<void>
}

export interface RunningNats {
  readonly urls: ReadonlyArray<string>
  readonly directory: string
  readonly servers: ReadonlyArray<RunningServer>
  readonly stop: () => Promise<void>
}

/**
 * A loopback address that no other suite of this machine is likely to use. Ports are free when they are chosen and bound a
 * moment later; a server that is killed and started again leaves them free for seconds. On an address of its own nobody takes
 * them in between.
 */
export const ownLoopback = (): string => {
  const part = (): number => 1 + Math.floor(Math.random() * 254)
  return `127.${64 + Math.floor(Math.random() * 128)}.${part()}.${part()}`
}

/** Below the range that connections going out take theirs from: those may take a port that was free a moment ago. */
const FIRST_PORT = 20_000
const PORTS = 12_000

/** TCP ports of an address that nobody uses at this moment. */
export const freePorts = async (count: number, address = "127.0.0.1"): Promise<ReadonlyArray<number>> => {
  const probes: Array<Server> = []
  while (probes.length < count) {
    const probe = createServer()
    const free = await new Promise<boolean>((done) => {
      probe.once("error", () => done(false))
      probe.listen(FIRST_PORT + Math.floor(Math.random() * PORTS), address, () => done(true))
    })
    if (free) probes.push(probe)
  }
  const ports = probes.map((it) => (it.address() as { port: number }).port)
  await Promise.all(probes.map((it) => new Promise((done) => it.close(done))))
  return ports
}

/** Whether something listens there. */
const listens = (address: string, port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, address)
    socket.on("connect", () => done(true)).on("error", () => done(false))
    socket.on("close", () => done(false)).setTimeout(5_000, () => socket.destroy())
    socket.on("data", () => socket.destroy())
  })

const LISTEN_LIMIT_MS = 120_000

/** Waits until a server listens, for as long as a machine with much else to do may take. Fails as soon as it has ended. */
export const listening = async (server: ChildProcess, address: string, port: number): Promise<void> => {
  for (const end = performance.now() + LISTEN_LIMIT_MS; !(await listens(address, port)); await sleep(50)) {
    const ended = server.exitCode !== null || server.signalCode !== null
    if (ended || performance.now() > end)
      throw new Error(`nats-server ${ended ? "ended" : "does not listen"}: expected it at ${address}:${port}`)
  }
}

/** Where a server runs: the words before its command line, and its address there. */
interface ServerHost {
  readonly address: string
  readonly how: ReadonlyArray<string>
}

const FORMING_ROUNDS = 6

/** See nats-formed.ts. */
const isFormed = async ({ how }: ServerHost, urls: ReadonlyArray<string>): Promise<boolean> => {
  if (how.length === 0) return formed(urls)
  const [program = "", ...words] = [...how, process.execPath, resolve(import.meta.dirname, "nats-formed.ts"), ...urls]
  const [code] = (await once(spawn(program, words, { stdio: "ignore" }), "exit")) as [number | null]
  return code === 0
}

/**
 * Starts the servers, one on each host, all on one loopback address where no hosts are given, and waits until they have formed a
 * group.
 */
export const startNats = async (
  binary: ReadonlyArray<string>,
  hosts?: ReadonlyArray<ServerHost>
): Promise<RunningNats> => {
  const loopback: ServerHost = { address: ownLoopback(), how: [] }
  const hostOf = (index: number): ServerHost => hosts?.[index] ?? loopback
  const addressOf = (index: number): string => hostOf(index).address
  const directory = mkdtempSync(join(tmpdir(), "meridian-co-nats-"))
  const ports = await freePorts(SIZE * 2, loopback.address)
  const routes = ports.slice(SIZE).map((port, index) => `"nats://${addressOf(index)}:${port}"`)
  const servers = ports.slice(0, SIZE).map((port, index) => {
    const config = join(directory, `${index}.conf`)
    writeFileSync(
      config,
      [
        `server_name: n${index}`,
        `listen: "${addressOf(index)}:${port}"`,
        `jetstream { store_dir: "${join(directory, `store-${index}`)}", max_mem: 64M, max_file: 1G }`,
        `cluster { name: test, listen: "${addressOf(index)}:${ports[SIZE + index]}", routes: [${routes.join(", ")}] }`,
        ""
      ].join("\n")
    )
    let child: ChildProcess | undefined
    const end = async (signal: NodeJS.Signals): Promise<void> => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      await once(child, "exit")
    }
    return {
      start: async () => {
        const [program = "nats-server", ...words] = [...hostOf(index).how, ...binary]
        child = spawn(program, [...words, "-c", config], { stdio: "ignore" })
        await once(child, "spawn")
        // A server that cannot have its place for routes ends only after it has begun to listen for clients.
        if (hosts === undefined)
          for (const each of [port, ports[SIZE + index] ?? port]) await listening(child, loopback.address, each)
      },
      kill: () => end("SIGKILL"),
      end: () => end("SIGTERM")
    }
  })
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((it) => it.kill()))
    rmSync(directory, { recursive: true, force: true })
  }
  const urls = ports.slice(0, SIZE).map((port, index) => `${addressOf(index)}:${port}`)
  try {
    await Promise.all(servers.map((it) => it.start()))
    for (let round = 1; !(await isFormed(hostOf(0), urls)); round++) {
      if (round === FORMING_ROUNDS) throw new Error(`the servers at ${urls.join(", ")} do not form a group`)
      for (const it of servers) {
        await it.end()
        await it.start()
      }
    }
  } catch (error) {
    await stop()
    throw error
  }
  return {
    urls,
    directory,
    servers,
    stop
  }
}
