/**
 * Answers Autokey's requests with extension fields, on sockets that get nothing else; started by the supervisor. Session-keyed
 * requests without fields are the workers'.
 *
 * Arguments: --clock-page FD --sockets FD[,FD…]
 */
import { randomFillSync, randomInt } from "node:crypto"
import { installLearned } from "@meridian/auth/autokey/certificate-cache"
import { BadCredentials } from "@meridian/auth/autokey/host"
import { randomBelowFrom } from "@meridian/auth/autokey/identity"
import { openParty } from "@meridian/auth/autokey/party"
import { SecretRing } from "@meridian/auth/autokey/server-secret"
import { SessionKeys } from "@meridian/auth/autokey/session-key"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { installedDigests } from "@meridian/ciphers/digests-native"
import { systemClock } from "@meridian/clocks/system-clock"
import { type AutokeyPlan, autokeyPlan, hostOfMessage } from "@meridian/ipc/autokey-plan"
import type { FromAutokey } from "@meridian/ipc/autokey-report"
import { type DrainMessage, readDrain } from "@meridian/ipc/service-messages"
import { PlannedAdmission } from "@meridian/ipc/planned-admission"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import { everyTurn } from "@meridian/ipc/turns"
import { NtpServer } from "@meridian/protocol"
import { memoryUse, releaseStartupPagesSoon } from "@meridian/system/memory"
import { BATCH_CAPACITY, SLOT_BYTES, type UdpSocket } from "@meridian/udp/udp"
import { adoptSocket } from "@meridian/udp/udp-open"
import { type Answerer, Answering } from "./answering.ts"
import { readLeapSeconds } from "./leap-seconds.ts"

const REPORT_INTERVAL_MS = 1_000
/** Batches before the event loop gets its turn. */
const BATCHES_PER_WAKE = 4

const handed = inherited(process, "autokey", "a clock page and sockets", {
  "clock-page": "needed",
  sockets: "optional"
})
const channel = new SupervisorChannel<AutokeyPlan, DrainMessage, FromAutokey>({
  service: "autokey",
  plan: autokeyPlan,
  read: readDrain
})
const { plan: first } = await channel.first
const page = handed["clock-page"][0]!
const sockets: readonly UdpSocket[] = await Promise.all(handed.sockets.map((number) => adoptSocket(number, page)))
const systemTime = systemClock()
const digests = installedDigests()
const randomBelow = randomBelowFrom((bytes) => void randomFillSync(bytes))
const server = new NtpServer({
  precision: systemTime.measurePrecision(),
  minimumPoll: first.minimumPoll,
  longestRequest: SLOT_BYTES
})
const answering = new Answering(server, systemTime.monotonic.seconds)

const admission = new PlannedAdmission(() => randomInt(2 ** 31), BATCH_CAPACITY)

const answererOf = (plan: AutokeyPlan): Answerer | undefined => {
  if (plan.host === null) return undefined
  const now = Date.now() / 1_000
  const party = openParty(hostOfMessage(plan.host), {
    rsa: nodeRsa,
    digests,
    randomBelow,
    leapSeconds: plan.leapFile === null ? undefined : readLeapSeconds(plan.leapFile, plan.leapFileHashIgnored, now),
    autokeyValues: (id) => plan.lists?.find(({ associationId }) => associationId === id)
  })
  if (party instanceof BadCredentials) throw new Error(party.message)
  const { host, certificates, responder } = party
  installLearned(certificates, plan.certificates)
  return { responder, keys: new SessionKeys(digests, host.digest), secrets: new SecretRing(plan.secrets) }
}

const serve = (socket: UdpSocket): void => {
  for (let batch = 0; batch < BATCHES_PER_WAKE; batch += 1) if (answering.serve(socket) === 0) return
}

const end = (): never => {
  for (const socket of sockets) serve(socket)
  process.exit(0)
}
process.on("SIGTERM", end)
channel.run({
  take: (plan) => {
    answering.admission = admission.by(plan.access)
    answering.answerer = answererOf(plan)
  },
  obey: end
})
for (const socket of sockets) socket.onReadable(() => serve(socket))
everyTurn(REPORT_INTERVAL_MS, () => {
  const { outcomes, received, replied } = answering
  channel.send({ type: "report", outcomes: { ...outcomes }, received, replied, rss: memoryUse().rss })
})
channel.send({ type: "ready" })
releaseStartupPagesSoon()
