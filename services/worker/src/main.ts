/**
 * A worker: adopts the sockets its supervisor opened, maps the clock page, answers NTP until told to drain.
 *
 * Arguments: --clock-page FD --sockets FD[,FD…] --minimum-poll LOG2 --await-keys --tell-peers. In fallback mode, where
 * descriptors cannot be handed over, --bind ADDRESS,PORT (repeatable) opens SO_REUSEPORT sockets of its own.
 */
import { parseArgs } from "node:util"
import { type ParsedKeys, parseServingKeys } from "@meridian/auth/serving-keys"
import { openClockPageReader } from "@meridian/clocks/clock-page"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { disableNative } from "@meridian/system/native"
import { systemClock } from "@meridian/clocks/system-clock"
import { SLOT_BYTES, type UdpSocket } from "@meridian/udp/udp"
import { adoptSocket, bindSocket } from "@meridian/udp/udp-open"
import { type FromWorker, noKey, parseToWorker, type WorkerReport } from "@meridian/ipc/worker-report"
import { NtpServer } from "@meridian/protocol/server"
import { isSynchronised, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { Counters } from "./counters.ts"
import { PeerSightings } from "./peer-sightings.ts"
import { serveWaiting } from "./serve.ts"

const REPORT_INTERVAL_MS = 1_000
/** How long a starting worker waits for a good clock page, and for keys where it is to have some, before it serves without. */
const START_WAIT_MS = 2_000
/** A drain answers what waits, for at most this long: under a flood the queue never empties. */
const DRAIN_LIMIT_SECONDS = 1

const { values } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    "clock-page": { type: "string" },
    sockets: { type: "string", default: "" },
    "await-keys": { type: "boolean", default: false },
    "tell-peers": { type: "boolean", default: false },
    bind: { type: "string", multiple: true, default: [] },
    "minimum-poll": { type: "string", default: "0" }
  }
})

if (values.help || values["clock-page"] === undefined) {
  process.stderr.write(
    "meridian worker: started by the supervisor (`meridian up`), which hands it a clock page and sockets\n"
  )
  process.exit(2)
}
if (process.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")

const openSockets = async (): Promise<readonly UdpSocket[]> => {
  const adopted = values.sockets.split(",").filter((text) => text !== "")
  const bound = values.bind.map((text) => {
    const at = text.lastIndexOf(",")
    return { address: text.slice(0, at), port: Number(text.slice(at + 1)) }
  })
  return Promise.all([...adopted.map((text) => adoptSocket(Number(text))), ...bound.map(bindSocket)])
}

const send = (message: FromWorker): void => {
  // A supervisor that dies at this moment is the disconnect handler's matter.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

const sockets = await openSockets()
const systemTime = systemClock()
const clock = openClockPageReader(Number(values["clock-page"]))
const counters = new Counters()
const sightings = new PeerSightings()
const server = new NtpServer(unsynchronisedCurve(), {
  precision: systemTime.measurePrecision(),
  minimumPoll: Number(values["minimum-poll"]),
  longestRequest: SLOT_BYTES
})

const report = (): WorkerReport => {
  const memory = process.memoryUsage()
  const overflow = sockets.reduce((sum, socket) => sum + socket.overflows(), 0)
  return {
    type: "report",
    counters: counters.snapshot(overflow),
    rss: memory.rss,
    heapUsed: memory.heapUsed,
    synchronised: isSynchronised(server.curve, systemTime.monotonic.seconds()),
    newestKey
  }
}

const start = (): void => {
  for (const socket of sockets) socket.onReadable(() => void serveWaiting(socket, server, clock, counters, sightings))
  setInterval(() => {
    send(report())
    const seen = sightings.take()
    if (seen !== undefined && values["tell-peers"]) send(seen)
  }, REPORT_INTERVAL_MS)
  send({ type: "ready" })
  releaseStartupPagesSoon()
}

const whenPrepared = (waitedMs: number): void => {
  const good = clock.readInto(server.curve) && isSynchronised(server.curve, systemTime.monotonic.seconds())
  const keyed = server.authenticators.length > 0 || !values["await-keys"]
  if ((good && keyed) || waitedMs >= START_WAIT_MS) start()
  else setTimeout(() => whenPrepared(waitedMs + 5), 5)
}

let newestKey = noKey

/** Puts new keys in the place of the old, between two batches: one assignment. */
const takeKeys = async (keys: ParsedKeys): Promise<void> => {
  const { authenticatorsWith } = await import("./authentication.ts")
  server.authenticators = authenticatorsWith(keys)
  const generation = Math.max(0, ...keys.ring.generations.map(({ id }) => id))
  if (generation !== newestKey.generation) newestKey = { generation, since: Date.now() }
}

const drain = (): void => {
  const until = systemTime.monotonic.seconds() + DRAIN_LIMIT_SECONDS
  for (const socket of sockets) {
    while (serveWaiting(socket, server, clock, counters, sightings) > 0 && systemTime.monotonic.seconds() < until);
    // What arrives from here on waits in the kernel for whoever reads this descriptor next.
    socket.pause()
  }
  const done = (): never => process.exit(0)
  if (process.send === undefined || !process.connected) done()
  else process.send({ type: "drained", report: report() } satisfies FromWorker, undefined, undefined, done)
}

process.on("message", (message) => {
  const keys = parseServingKeys(message)
  if (keys !== undefined) void takeKeys(keys)
  else if (parseToWorker(message)?.type === "drain") drain()
})
// A supervisor that is gone cannot restart or drain anybody: end, so that the next start finds the port free.
process.on("disconnect", () => process.exit(0))
// The terminal's Ctrl-C reaches the whole process group; only the supervisor decides what it means.
process.on("SIGINT", () => {})
// systemd tells every process of the unit at once: draining is right, and the supervisor is about to say the same.
process.on("SIGTERM", () => drain())
process.on("SIGHUP", () => {})
whenPrepared(0)
