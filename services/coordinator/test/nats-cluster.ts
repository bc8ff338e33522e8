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

const SIZE = 3

/** The words that start the program, or undefined where it is not there. */
export const natsBinary = (): ReadonlyArray<string> | undefined => {
  const peers = process.env["PEERS"] ?? resolve(import.meta.dirname, "../../../.meridian/peers")
  const suite = join(peers, "trixie")
  const program = ["usr/bin/nats-server", "usr/sbin/nats-server"].map((it) => join(suite, it)).find(existsSync)
  if (program === undefined) return undefined
  const libraries = join(suite, "usr/lib/x86_64-linux-gnu")
  const loader = join(libraries, "ld-linux-x86-64.so.2")
  return existsSync(loader) ? [loader, "--library-path", libraries, program] : [program]
}

export interface RunningNats {
  readonly urls: ReadonlyArray<string>
  readonly directory: string
  readonly servers: ReadonlyArray<{ readonly kill: () => Promise<void>; readonly start: () => Promise<void> }>
  readonly stop: () => Promise<void>
}

/** Below the range that connections going out take theirs from: those may take a port that was free a moment ago. */
const FIRST_PORT = 20_000
const PORTS = 12_000

/** TCP ports that nobody uses at this moment. */
export const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const probes: Array<Server> = []
  while (probes.length < count) {
    const probe = createServer()
    const free = await new Promise<boolean>((done) => {
      probe.once("error", () => done(false))
      probe.listen(FIRST_PORT + Math.floor(Math.random() * PORTS), "127.0.0.1", () => done(true))
    })
    if (free) probes.push(probe)
  }
  const ports = probes.map((it) => (it.address() as { port: number }).port)
  await Promise.all(probes.map((it) => new Promise((done) => it.close(done))))
  return ports
}

/** Whether something listens there. */
const listens = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1")
    socket.on("connect", () => done(true)).on("error", () => done(false))
    socket.on("close", () => done(false)).setTimeout(500, () => socket.destroy())
    socket.on("data", () => socket.destroy())
  })

/** Where a server runs: the words before its command line, and its address there. */
export interface ServerHost {
  readonly address: string
  readonly how: ReadonlyArray<string>
}

const LOOPBACK: ServerHost = { address: "127.0.0.1", how: [] }

/**
 * Starts the servers, one on each host, and waits until those on loopback listen; coordinators wait for the cluster to form by
 * themselves.
 */
export const startNats = async (
  binary: ReadonlyArray<string>,
  hosts: ReadonlyArray<ServerHost> = Array.from({ length: SIZE }, () => LOOPBACK)
): Promise<RunningNats> => {
  const addressOf = (index: number): string => (hosts[index] ?? LOOPBACK).address
  const directory = mkdtempSync(join(tmpdir(), "meridian-co-nats-"))
  const ports = await freePorts(SIZE * 2)
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
    return {
      start: async () => {
        const [program = "nats-server", ...words] = [...(hosts[index]?.how ?? []), ...binary]
        child = spawn(program, [...words, "-c", config], { stdio: "ignore" })
        await once(child, "spawn")
        if (addressOf(index) !== LOOPBACK.address) return
        for (let tries = 0; !(await listens(port)); tries++) {
          if (child.exitCode !== null || tries > 400) throw new Error(`nats-server does not listen on port ${port}`)
          await sleep(50)
        }
      },
      kill: async () => {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
        child.kill("SIGKILL")
        await once(child, "exit")
      }
    }
  })
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((it) => it.kill()))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await Promise.all(servers.map((it) => it.start()))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    urls: ports.slice(0, SIZE).map((port, index) => `${addressOf(index)}:${port}`),
    directory,
    servers,
    stop
  }
}
