/**
 * A worker: adopts the sockets its supervisor opened, maps the clock page, answers NTP by its part of the serving plan until told
 * to drain.
 *
 * Arguments: --clock-page FD --clients FD --sockets FD[,FD…]. In fallback mode, where descriptors cannot be handed over, it opens SO_REUSEPORT
 * sockets of its own at the places that the plan names.
 */
import { type ParsedKeys, readServingKeys } from "@meridian/auth/serving-keys"
import { openClockPageReader, servedClock } from "@meridian/clocks/clock-page"
import { memoryUse, releaseStartupPagesSoon } from "@meridian/system/memory"
import { systemClock } from "@meridian/clocks/system-clock"
import { LATENCY_BINS, SLOT_BYTES, type UdpSocket } from "@meridian/udp/udp"
import { type PacketLoop, servePackets, serveWaiting } from "@meridian/udp/packet-loop"
import { adoptSocket, bindSocket } from "@meridian/udp/udp-open"
import { type SocketPlace, type WorkerPlan, workerPlan } from "@meridian/ipc/serving-plan"
import { type Reporting, ReportPace, reportEverySecond } from "@meridian/ipc/report-pace"
import { outlive } from "@meridian/ipc/outlive"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import {
  type CookieCounters,
  type FromWorker,
  noKey,
  parseToWorker,
  type ToWorker,
  type WorkerCounters,
  type WorkerReport
} from "@meridian/ipc/worker-report"
import { NtpServer } from "@meridian/protocol"
import { encodeIdentity } from "@meridian/wire/identity-field"
import { Offset } from "@meridian/wire/ntp"
import { AdmissionDesk } from "./admission.ts"
import { Counters } from "./counters.ts"
import { PeerSightings } from "./peer-sightings.ts"
import { ReceivedNews } from "./received-news.ts"
import { answer } from "./serve.ts"

/** How long a starting worker waits for a good clock page, and for its keys to be taken up, before it serves without. */
const START_WAIT_MS = 2_000
/** A drain answers what waits, for at most this long: under a flood the queue never empties. */
const DRAIN_LIMIT_SECONDS = 1

const handed = inherited(process, "worker", "a clock page and sockets", {
  "clock-page": "needed",
  clients: "optional",
  sockets: "optional"
})
const page = handed["clock-page"][0]!

const openSockets = (places: readonly SocketPlace[]): Promise<readonly UdpSocket[]> =>
  Promise.all(
    handed.sockets.length > 0
      ? handed.sockets.map((descriptor) => adoptSocket(descriptor, page))
      : places.map((place) => bindSocket(place, page))
  )

const channel = new SupervisorChannel<WorkerPlan, ToWorker, FromWorker>({
  service: "worker",
  plan: workerPlan,
  read: parseToWorker
})
const { sockets: places, plan: first } = await channel.first
const sockets = await openSockets(places)
const systemTime = systemClock()
const clock = servedClock(openClockPageReader(page))
const counters = new Counters()
const desk = new AdmissionDesk(handed.clients[0])
const sightings = new PeerSightings()
const server = new NtpServer({
  precision: first.precision ?? systemTime.measurePrecision(),
  minimumPoll: first.minimumPoll,
  longestRequest: SLOT_BYTES
})
server.silentUntil = first.silentUntil ?? Number.NEGATIVE_INFINITY
const receivedNews = new ReceivedNews()
let tellsPeers = false
let holdsPlan = false

const overflowNow = (): number => sockets.reduce((sum, socket) => sum + socket.overflows(), 0)
const repliedNow = (): number => sockets.reduce((sum, socket) => sum + socket.sent(), 0)

const countersNow = (): WorkerCounters => {
  const latencies = Array.from({ length: LATENCY_BINS + 1 }, () => 0)
  for (const socket of sockets) for (const [bin, number] of socket.latencies().entries()) latencies[bin]! += number
  return counters.snapshot(repliedNow(), overflowNow(), latencies, cookies)
}

/** Changes with all that a report says and somebody waits for. */
const newsNow = (): string => {
  const { generation, since } = newestKey
  return [receivedNews.text, overflowNow(), cookies !== undefined, clock.isGood(), generation, since].join(" ")
}

/** Where none came before, those that did came since the last look: within a second, as the first has the worker look. */
const LOOK_SECONDS = 1
let reportedAt = performance.now() / 1e3

const report = (afterRest = false): WorkerReport => {
  const memory = memoryUse()
  const now = performance.now() / 1e3
  const since = now - reportedAt
  reportedAt = now
  receivedNews.tell(counters.received, now)
  return {
    type: "report",
    counters: countersNow(),
    seconds: afterRest ? Math.min(since, LOOK_SECONDS) : since,
    rss: memory.rss,
    heapUsed: memory.heapUsed,
    synchronised: clock.isGood(),
    newestKey
  }
}

let reporting: Reporting | undefined
/** Undefined before it serves. */
let reportAtOnce: (() => void) | undefined

const answerBatch = (socket: UdpSocket, count: number): number => {
  reporting?.stir()
  return answer(socket, count, server, counters, sightings)
}

const setShedding = (): void => {
  for (const socket of sockets) socket.shed(server.admission?.sheds ?? false)
}

let loop: PacketLoop | undefined

const start = (): void => {
  loop = servePackets(sockets, answerBatch, {
    stampAt: Offset.transmit,
    gatherMicroseconds: first.gatherMicroseconds
  })
  const pace = new ReportPace(0)
  const say = (afterRest: boolean): void => {
    channel.send(report(afterRest))
    pace.sends(newsNow())
  }
  reportAtOnce = () => say(receivedNews.isIdle)
  reporting = reportEverySecond(pace, () => {
    const { isIdle: wasIdle } = receivedNews
    receivedNews.look(counters.received, performance.now() / 1e3)
    if (pace.isDue(newsNow())) say(wasIdle)
    identify()
    setShedding()
    const seen = sightings.take()
    if (seen !== undefined && tellsPeers) channel.send(seen)
  })
  channel.send({ type: "ready" })
  releaseStartupPagesSoon(hasBeenQuiet)
}

/** Requests between two looks that a short receive queue holds while a collection takes some milliseconds, whenever they come. */
const QUIET_REQUESTS = 200
let lookedAt = 0

/** Whether so few requests came since the last look that a pause loses none of them. */
const hasBeenQuiet = (): boolean => {
  const before = lookedAt
  lookedAt = counters.received
  return lookedAt - before <= QUIET_REQUESTS
}

const whenPrepared = (waitedMs: number): void => {
  const good = clock.isGood()
  if ((good && holdsPlan) || waitedMs >= START_WAIT_MS) start()
  else setTimeout(() => whenPrepared(waitedMs + 5), 5)
}

/** Undefined until keys came for the first time. */
let cookies: CookieCounters | undefined
let newestKey = noKey

let ring: ParsedKeys["ring"] | undefined
let identity: WorkerPlan["identity"]
let identifiedWith = Number.NaN

/** Has those that ask told who this is, with the generation that cookies are sealed under now. */
const identify = (): void => {
  const generation = ring?.activeAt(clock.unix())?.id ?? 0
  if (generation === identifiedWith) return
  server.identity = identity && encodeIdentity({ ...identity, generation })
  identifiedWith = generation
}

/** Works by the plan from the next batch on: what was before is replaced in one go, and nothing in it is kept. */
const take = async ({ keys, tellPeers, access, autokey, identity: told }: WorkerPlan): Promise<void> => {
  const parsed = keys === null ? undefined : readServingKeys(keys)
  const isPlain = parsed === undefined && autokey === null
  const authentication = isPlain ? undefined : await import("./authentication.ts")
  server.authenticators = authentication?.authenticatorsWith(parsed, autokey) ?? []
  cookies = authentication?.cookieCounts
  server.admission = desk.by(access)
  setShedding()
  tellsPeers = tellPeers
  holdsPlan = true
  identity = told
  ring = parsed?.ring
  identifiedWith = Number.NaN
  identify()
  if (parsed === undefined) return
  const generation = Math.max(0, ...parsed.ring.generations.map(({ id }) => id))
  if (generation !== newestKey.generation) newestKey = { generation, since: clock.unix() * 1e3 }
}

const drain = (): void => {
  const until = systemTime.monotonic.seconds() + DRAIN_LIMIT_SECONDS
  loop?.stop()
  for (const socket of sockets) {
    while (serveWaiting(socket, answerBatch, Offset.transmit) > 0 && systemTime.monotonic.seconds() < until);
    // What arrives from here on waits in the kernel for whoever reads this descriptor next.
    socket.pause()
  }
  const last = report()
  // Where nobody else holds it, that is refused from now on. The loop is native; the fallback closes when it has paused.
  if (loop !== undefined) for (const socket of sockets) socket.close()
  channel.end({ type: "drained", report: last })
}

// systemd tells every process of the unit at once: draining is right, and the supervisor is about to say the same.
process.on("SIGTERM", () => drain())
channel.run({
  take,
  obey: ({ type }) => {
    if (type === "look") reportAtOnce?.()
    else if (type === "outlive") outlive(drain)
    else drain()
  }
})
whenPrepared(0)
