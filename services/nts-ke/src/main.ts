/**
 * An NTS-KE process: listens on the sockets its supervisor opened, answers NTS key establishment (RFC 8915 §4), seals
 * cookies with the master keys it is told, until told to drain. Arguments: see arguments.ts or --help.
 */
import { InvalidKeyRing, KeyRing } from "@meridian/auth/key-ring"
import { aeadProvider } from "@meridian/ciphers/aead"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { disableNative, loadNative } from "@meridian/system/native"
import { nativeTls } from "@meridian/tls/tls-listener"
import { type FromNtsKe, type KeysMessage, type NtsKeReport, parseToNtsKe } from "@meridian/ipc/nts-ke-report"
import { type Arguments, parseArguments, USAGE } from "./arguments.ts"
import { CertificateStore } from "./certificate-store.ts"
import { NtsKeListener } from "./listener.ts"
import { openTlsNative } from "./tls-native.ts"
import { openTlsNode } from "./tls-node.ts"

/** How long a starting process waits for its keys; without them it could only refuse. */
const KEYS_WAIT_MS = 2_000

const fail = (message: string, status: 1 | 2): never => {
  process.stderr.write(`meridian nts-ke: ${message}\n`)
  process.exit(status)
}

const explain = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const readArguments = (): Arguments => {
  try {
    const parsed = parseArguments(process.argv.slice(2))
    if (parsed !== undefined) return parsed
  } catch (error) {
    return fail(explain(error), 2)
  }
  process.stderr.write(USAGE)
  return process.exit(2)
}

const send = (message: FromNtsKe): void => {
  // A supervisor that dies at this moment is the disconnect handler's matter.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

/** Without a supervisor, standard error is all there is. */
const warn = (message: string): void => {
  if (process.connected) send({ type: "warning", message })
  else process.stderr.write(`meridian nts-ke: ${message}\n`)
}

if (process.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")
const settings = readArguments()
if (settings.tls.minimum === "TLSv1.2") warn("TLS 1.2 is accepted as configured; RFC 8915 asks for TLS 1.3")

const sealing = aeadProvider().batch
const store: CertificateStore = new CertificateStore(settings.certificates, {
  onChange: (certificates) => listener.useCertificates(certificates),
  onWarning: warn
})

const { TlsListener, reason } = nativeTls()
// Without any addon the supervisor has said so already.
if (TlsListener === undefined && loadNative().addon !== undefined)
  warn(`TLS runs in JavaScript and costs nearly twice as much: ${reason}`)

const openListener = (): NtsKeListener => {
  if (store.current.length === 0) return fail("no certificate can be used; see the warnings before", 1)
  const { tls, admission, exchangeSeconds, aeads, timeServer } = settings
  try {
    const listening = { tls, admission, exchangeSeconds, answer: { aeads, timeServer, sealing } }
    return new NtsKeListener(
      store.current,
      listening,
      TlsListener === undefined ? openTlsNode : openTlsNative(TlsListener)
    )
  } catch (error) {
    return fail(`TLS cannot be set up with these cipher suites, curves and certificates: ${explain(error)}`, 1)
  }
}
const listener = openListener()

const report = (): NtsKeReport => {
  const memory = process.memoryUsage()
  return {
    type: "report",
    counters: listener.counters.snapshot(),
    open: listener.open,
    tls: TlsListener === undefined ? "node" : "native",
    rss: memory.rss,
    heapUsed: memory.heapUsed,
    certificates: store.current.map(({ status }) => status)
  }
}

let started = false
const start = async (): Promise<void> => {
  if (started) return
  started = true
  try {
    for (const door of settings.doors) await listener.listen(door)
  } catch (error) {
    fail(`cannot listen: ${explain(error)}`, 1)
  }
  store.watch()
  setInterval(() => send(report()), settings.reportSeconds * 1000)
  send({ type: "ready" })
  releaseStartupPagesSoon()
}

const takeKeys = ({ generations }: KeysMessage): void => {
  try {
    listener.keys = KeyRing.of(generations)
  } catch (error) {
    if (!(error instanceof InvalidKeyRing)) throw error
    warn(`the new master keys cannot be used, the old ones stay: ${error.message}`)
  }
  void start()
}

const drain = async (): Promise<never> => {
  store.close()
  await listener.drain()
  const done = (): never => process.exit(0)
  if (process.send === undefined || !process.connected) return done()
  process.send({ type: "drained", report: report() } satisfies FromNtsKe, undefined, undefined, done)
  return new Promise(() => {})
}

process.on("message", (raw) => {
  const message = parseToNtsKe(raw)
  switch (message?.type) {
    case "keys":
      return takeKeys(message)
    case "reload":
      return store.reload()
    case "drain":
      return void drain()
    case undefined:
  }
})
// A supervisor that is gone cannot restart or drain anybody: end, so that the next start finds the port free.
process.on("disconnect", () => process.exit(0))
// The terminal's Ctrl-C reaches the whole process group; only the supervisor decides what it means.
process.on("SIGINT", () => {})
// systemd tells every process of the unit at once: draining is right, and the supervisor is about to say the same.
process.on("SIGTERM", () => void drain())
process.on("SIGHUP", () => {})
setTimeout(() => void start(), KEYS_WAIT_MS)
