/**
 * The process that answers Windows clients (MS-SNTP): adopts the sockets that their requests are steered to, maps the clock page, has
 * replies signed by Samba's ntp_signd or `meridian signd`, until told to drain.
 *
 * Arguments: --clock-page FD --sockets FD[,FD…]
 */
import { randomInt } from "node:crypto"
import { openClockPageReader, servedClock } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import { PlannedAdmission } from "@meridian/ipc/planned-admission"
import { type SigndPlan, signdPlan } from "@meridian/ipc/serving-plan"
import type { FromSignd, SigndReport } from "@meridian/ipc/signd-report"
import { type DrainMessage, readDrain } from "@meridian/ipc/service-messages"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import { everyTurn } from "@meridian/ipc/turns"
import { NtpServer } from "@meridian/protocol"
import { memoryUse, releaseStartupPagesSoon } from "@meridian/system/memory"
import { BATCH_CAPACITY, SLOT_BYTES } from "@meridian/udp/udp"
import { adoptSocket } from "@meridian/udp/udp-open"
import { BadSocketPlace, socketPathOf } from "../socket-place.ts"
import { SigningService } from "./signing-service.ts"
import { DEFAULT_POOL } from "./signing-pool.ts"
import { troubleWith } from "./socket-rights.ts"

const REPORT_INTERVAL_MS = 1_000

const handed = inherited(process, "signd client", "a clock page and sockets; `meridian signd` is the signing daemon", {
  "clock-page": "needed",
  sockets: "optional"
})
const channel = new SupervisorChannel<SigndPlan, DrainMessage, FromSignd>({
  service: "signd",
  plan: signdPlan,
  read: readDrain
})
const { plan: first } = await channel.first
const page = handed["clock-page"][0]!
const sockets = await Promise.all(handed.sockets.map((descriptor) => adoptSocket(descriptor, page)))

/** Where the daemon is asked; the reason where that cannot even be said. */
const placeOf = (given: string): { readonly path: string; readonly trouble: string | null } => {
  try {
    return { path: socketPathOf(given), trouble: null }
  } catch (error) {
    if (error instanceof BadSocketPlace) return { path: given, trouble: error.message }
    throw error
  }
}
const place = placeOf(first.socket)
let { trouble } = place

const server = new NtpServer({
  precision: first.precision ?? systemClock().measurePrecision(),
  minimumPoll: first.minimumPoll,
  longestRequest: SLOT_BYTES
})
server.silentUntil = first.silentUntil ?? Number.NEGATIVE_INFINITY

const service = new SigningService({
  sockets,
  server,
  clock: servedClock(openClockPageReader(page)),
  path: place.path,
  onReachable: (errno) => {
    trouble = errno === undefined ? null : troubleWith(place.path, errno)
    channel.warn(trouble === null ? `signd answers on ${place.path}` : `Windows clients get no signed time: ${trouble}`)
  }
})

/** Without an access list nobody is signed for. */
const admission = new PlannedAdmission(() => randomInt(2 ** 31), BATCH_CAPACITY)

const report = (): SigndReport => ({
  type: "report",
  figures: service.counters.snapshot(),
  connections: service.pool.open,
  queued: service.pool.queued,
  trouble,
  rss: memoryUse().rss
})

const drain = (): void => {
  service.stop()
  // What was handed over is signed within the deadline, or not at all.
  const limit = performance.now() + DEFAULT_POOL.deadlineMs
  const end = (): void => {
    if (service.isBusy && performance.now() < limit) return void setTimeout(end, 10)
    service.pool.close()
    channel.end({ type: "drained", report: report() })
  }
  end()
}

process.on("SIGTERM", drain)
channel.run({
  take: ({ access }) => {
    service.admission = admission.by(access)
  },
  obey: drain
})
service.start()
everyTurn(REPORT_INTERVAL_MS, () => {
  service.pool.look()
  channel.send(report())
})
service.pool.look()
channel.send({ type: "ready" })
releaseStartupPagesSoon()
