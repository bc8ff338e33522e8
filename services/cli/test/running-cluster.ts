/** A whole cluster started and ended by infra/dev/cluster.ts, on loopback ports that nobody else uses. */
import { execFile } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

const PROGRAM = resolve(import.meta.dirname, "../../../infra/dev/cluster.ts")
const LIMIT_MS = 270_000
const ATTEMPTS = 3
/** Below the ports that Linux gives to clients. */
const FIRST_PORT = 12_000
const PORTS = 8_000
/** How far below the first port for clients of NATS that of NTP lies, and that for routes above it; see cluster.ts. */
const NATS_ABOVE_NTP = 8_000
const ROUTES_ABOVE_CLIENTS = 2_000
const NTS_ABOVE_NTP = 10
const HTTP_ABOVE_NTP = 49

/** What is waited for comes within moments; on a machine with much else to do it may take minutes. */
export const PATIENCE_MS = 120_000

/** Looks until it holds; what was seen last, where it never does. */
export const eventually = async <A>(what: () => Promise<A>, holds: (value: A) => boolean): Promise<A> => {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const value = await what()
    if (holds(value) || performance.now() > until) return value
    await sleep(100)
  }
}

export interface ClusterPlace {
  readonly directory: string
  readonly ntpPort: number
  readonly natsPort: number
  readonly udpPorts: readonly number[]
  readonly tcpPorts: readonly number[]
}

interface Ended {
  readonly code: number
  readonly output: string
}

/** `npm run cluster -- VERB` for a place. */
export const cluster = ({ directory, ntpPort, natsPort }: ClusterPlace, ...verb: readonly string[]): Promise<Ended> =>
  new Promise((done) => {
    const place = ["--directory", directory, "--ntp-port", String(ntpPort), "--nats-port", String(natsPort)]
    execFile(process.execPath, [PROGRAM, ...verb, ...place], { timeout: LIMIT_MS }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, output: stdout + stderr })
    )
  })

/** Whether they can all be bound. */
export const areFree = async ({ udpPorts, tcpPorts }: ClusterPlace): Promise<boolean> => {
  const free = async (port: number, kind: "udp" | "tcp"): Promise<boolean> => {
    const socket = kind === "udp" ? createSocket("udp4") : createServer()
    try {
      if ("bind" in socket) socket.bind(port, "127.0.0.1")
      else socket.listen(port, "127.0.0.1")
      await once(socket, "listening")
      return true
    } catch {
      return false
    } finally {
      socket.close()
    }
  }
  const all = [...udpPorts.map((port) => free(port, "udp")), ...tcpPorts.map((port) => free(port, "tcp"))]
  return (await Promise.all(all)).every(Boolean)
}

const choosePlace = async (prefix: string): Promise<ClusterPlace> => {
  for (;;) {
    const ntpPort = FIRST_PORT + Math.floor(Math.random() * PORTS)
    const natsPort = ntpPort + NATS_ABOVE_NTP
    const three = (first: number): readonly number[] => [first, first + 1, first + 2]
    const nodes = [...three(ntpPort + NTS_ABOVE_NTP), ...three(ntpPort + HTTP_ABOVE_NTP)]
    const tcpPorts = [...nodes, ...three(natsPort), ...three(natsPort + ROUTES_ABOVE_CLIENTS)]
    const place = { directory: "", ntpPort, natsPort, udpPorts: three(ntpPort), tcpPorts }
    if (await areFree(place)) return { ...place, directory: mkdtempSync(join(tmpdir(), prefix)) }
  }
}

/** Starts one. Ports that were free may be somebody else's by the time they are bound: then others are tried. */
export const startCluster = async (
  prefix: string
): Promise<{ readonly place: ClusterPlace; readonly started: Ended }> => {
  for (let attempt = 1; ; attempt++) {
    const place = await choosePlace(prefix)
    const started = await cluster(place, "up")
    if (started.code === 0 || attempt === ATTEMPTS) return { place, started }
    process.stderr.write(`the cluster did not start: ${started.output}\n`)
    await cluster(place, "down")
  }
}
