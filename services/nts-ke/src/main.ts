/**
 * An NTS-KE process: listens on the sockets its supervisor opened, answers NTS key establishment (RFC 8915 §4) by its part of
 * the serving plan, until told to drain. Arguments: --clock-page FD --sockets FD[,FD…]; without the addon it listens where the plan says.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { KeyRing } from "@meridian/auth/key-ring"
import { unixClock } from "@meridian/clocks/clock-page"
import { aeadProvider } from "@meridian/ciphers/aead"
import { memoryUse, releaseStartupPagesSoon } from "@meridian/system/memory"
import { loadNative } from "@meridian/system/native"
import { nativeTls } from "@meridian/tls/tls-listener"
import { type FromNtsKe, type NtsKeReport, parseToNtsKe, type ToNtsKe } from "@meridian/ipc/nts-ke-report"
import { type NtsKePlan, ntsKePlan } from "@meridian/ipc/serving-plan"
import { outlive } from "@meridian/ipc/outlive"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import type { AdmissionLimits } from "./admission.ts"
import { CertificateStore } from "./certificate-store.ts"
import { Counters } from "./counters.ts"
import { NtsKeListener } from "./listener.ts"
import { connectionsWithin } from "./open-files.ts"
import { endpointsOf, type Settings, settingsOf } from "./settings.ts"
import { openTlsNative } from "./tls-native.ts"
import { openTlsNode } from "./tls-node.ts"

/** How long a starting process waits for its keys; without them it could only refuse. */
const KEYS_WAIT_MS = 2_000

/** The supervisor hears why, and starts another after a while. */
const fail = (message: string, status: 1 | 2): never => {
  warn(`NTS key establishment: ${message}`)
  process.exit(status)
}

const explain = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const handed = inherited(process, "nts-ke", "listening sockets and its plan", {
  sockets: "optional",
  "clock-page": "optional"
})
const channel = new SupervisorChannel<NtsKePlan, ToNtsKe, FromNtsKe>({
  service: "nts-ke",
  plan: ntsKePlan,
  read: parseToNtsKe
})
const warn = (message: string): void => channel.warn(message)
const { plan: first, sockets: addresses } = await channel.first

/** Served time: what this machine believes of it is no reason to refuse a key or a certificate. */
const now = unixClock(handed["clock-page"][0])

const readSettings = (): Settings => {
  try {
    return settingsOf(first, now())
  } catch (error) {
    return fail(explain(error), 2)
  }
}
const settings = readSettings()
const endpoints = endpointsOf(handed.sockets, addresses)
if (endpoints.length === 0) fail("was given no socket and no address to listen on", 2)
if (settings.tls.minimum === "TLSv1.2") warn("TLS 1.2 is accepted as configured; RFC 8915 asks for TLS 1.3")

/** Before there is a listener, that there is none is what is said; and at the start by {@link begin} or below. */
const complain = (message: string): void => {
  if (listener !== undefined) warn(message)
  else if (isFirstSaid) warn(withoutCertificate(message))
}
let isFirstSaid = false
const withoutCertificate = (why: string): string =>
  `NTS key establishment: no certificate can be used: ${why}; it is looked for again every few seconds`

const sealing = aeadProvider().batch
/** Undefined until a certificate can be used: its files may be put in place, or opened to this user, at any time. */
let listener: NtsKeListener | undefined
const store: CertificateStore = new CertificateStore(settings.certificates, {
  onChange: (certificates) => {
    if (listener === undefined) begin()
    else listener.useCertificates(certificates)
  },
  onWarning: complain,
  now
})

const { TlsListener, reason } = nativeTls()
// Without any addon the supervisor has said so already.
if (TlsListener === undefined && loadNative().addon !== undefined)
  warn(`TLS runs in JavaScript and costs nearly twice as much: ${reason}`)

/** Beyond its descriptors a process could not even tell clients that it is full. */
const withinDescriptors = (wanted: AdmissionLimits): AdmissionLimits => {
  const connections = connectionsWithin(wanted.connections)
  if (connections < wanted.connections)
    warn(
      `${connections} connections at a time, not ${wanted.connections}: the system lets a process have no more open files; raise LimitNOFILE or \`ulimit -n\`, or lower \`nts connections\``
    )
  return { ...wanted, connections }
}

const openListener = (): NtsKeListener => {
  const { tls, admission, exchangeSeconds, aeads, timeServer } = settings
  try {
    const listening = {
      tls,
      admission: withinDescriptors(admission),
      exchangeSeconds,
      answer: { aeads, timeServer, sealing },
      now
    }
    return new NtsKeListener(
      store.current,
      listening,
      TlsListener === undefined ? openTlsNode : openTlsNative(TlsListener)
    )
  } catch (error) {
    return fail(`TLS cannot be set up with these cipher suites, curves and certificates: ${explain(error)}`, 1)
  }
}

let keys = KeyRing.empty
const noCounters = new Counters()

/** Serves with the certificates that there are. */
const begin = (): void => {
  listener = openListener()
  listener.keys = keys
  for (const trouble of store.troubles) warn(trouble)
  void listenAsPlanned()
}

const troublesNow = (): readonly string[] =>
  listener === undefined ? [withoutCertificate(store.troubles.join("; "))] : store.troubles

const report = (): NtsKeReport => {
  const memory = memoryUse()
  return {
    type: "report",
    counters: (listener?.counters ?? noCounters).snapshot(),
    open: listener?.open ?? 0,
    tls: TlsListener === undefined ? "node" : "native",
    rss: memory.rss,
    heapUsed: memory.heapUsed,
    certificates: store.current.map(({ status }) => status),
    troubles: troublesNow()
  }
}

const keysArrived = Promise.withResolvers<void>()

/** What the plan says last, and whether the endpoints follow it yet. */
let accepts = true
let isStarting = true
/** Endpoints that were closed are gone: who is to listen again is another process. */
let state: "unopened" | "open" | "closed" = "unopened"

const listenAsPlanned = async (): Promise<void> => {
  if (isStarting || listener === undefined) return
  if (!accepts && state === "open") {
    state = "closed"
    listener.stopListening()
  }
  if (!accepts || state !== "unopened") return
  state = "open"
  try {
    for (const endpoint of endpoints) await listener.listen(endpoint)
  } catch (error) {
    fail(`cannot listen: ${explain(error)}`, 1)
  }
}

/** Keys are replaced whole, and endpoints are closed for a drained node; certificates, TLS and limits are those it started with. */
const take = async (plan: NtsKePlan): Promise<void> => {
  keys = KeyRing.of(plan.generations)
  if (listener !== undefined) listener.keys = keys
  accepts = plan.accepts
  if (plan.generations.length > 0 || !accepts) keysArrived.resolve()
  await listenAsPlanned()
}

const drain = async (): Promise<void> => {
  store.close()
  await listener?.drain()
  channel.end({ type: "drained", report: report() })
}

// systemd tells every process of the unit at once: draining is right, and the supervisor is about to say the same.
process.on("SIGTERM", () => void drain())
channel.run({
  take,
  obey: (told) => {
    if (told.type === "reload") store.reload()
    else if (told.type === "outlive") outlive(() => void drain())
    else void drain()
  }
})
if (store.current.length > 0) begin()
else for (const trouble of troublesNow()) warn(trouble)
isFirstSaid = true
await Promise.race([keysArrived.promise, sleep(KEYS_WAIT_MS)])
isStarting = false
await listenAsPlanned()
store.watch()
channel.send(report())
setInterval(() => channel.send(report()), settings.reportSeconds * 1000)
channel.send({ type: "ready" })
releaseStartupPagesSoon()
