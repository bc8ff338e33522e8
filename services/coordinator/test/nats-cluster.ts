/**
 * A real NATS of three servers on loopback, stores in a temporary directory. The program comes from the folder that
 * infra/peers fills: that of Debian trixie, run with the C library it was made for.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
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

const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const probes = await Promise.all(
    Array.from({ length: count }, async () => {
      const probe = createServer().listen(0, "127.0.0.1")
      await once(probe, "listening")
      return probe
    })
  )
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

/** Starts the servers and waits until they listen; coordinators wait for the cluster to form by themselves. */
export const startNats = async ([program = "nats-server", ...words]: ReadonlyArray<string>): Promise<RunningNats> => {
  const directory = mkdtempSync(join(tmpdir(), "meridian-co-nats-"))
  const ports = await freePorts(SIZE * 2)
  const routes = ports.slice(SIZE).map((port) => `"nats://127.0.0.1:${port}"`)
  const servers = ports.slice(0, SIZE).map((port, index) => {
    const config = join(directory, `${index}.conf`)
    writeFileSync(
      config,
      [
        `server_name: n${index}`,
        `listen: "127.0.0.1:${port}"`,
        `jetstream { store_dir: "${join(directory, `store-${index}`)}", max_mem: 64M, max_file: 1G }`,
        `cluster { name: test, listen: "127.0.0.1:${ports[SIZE + index]}", routes: [${routes.join(", ")}] }`,
        ""
      ].join("\n")
    )
    let child: ChildProcess | undefined
    return {
      start: async () => {
        child = spawn(program, [...words, "-c", config], { stdio: "ignore" })
        await once(child, "spawn")
        for (let tries = 0; tries < 200 && !(await listens(port)); tries++) await sleep(50)
      },
      kill: async () => {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
        child.kill("SIGKILL")
        await once(child, "exit")
      }
    }
  })
  await Promise.all(servers.map((it) => it.start()))
  return {
    urls: ports.slice(0, SIZE).map((port) => `127.0.0.1:${port}`),
    directory,
    servers,
    stop: async () => {
      await Promise.all(servers.map((it) => it.kill()))
      rmSync(directory, { recursive: true, force: true })
    }
  }
}
