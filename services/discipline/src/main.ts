/**
 * The clock's process: the one writer of the clock page. It asks the configured sources, decides whom to follow, and
 * publishes served time as a correction of CLOCK_REALTIME. It steers nothing, but for CLOCK_REALTIME in kernel mode.
 *
 * Arguments: --clock-page PATH --configuration JSON (see configuration.ts). Without a configuration, --stratum N serves
 * this machine's own clock.
 */
import { dirname } from "node:path"
import { parseArgs } from "node:util"
import { parseServingKeys } from "@meridian/auth/serving-keys"
import type { ClockCommand } from "@meridian/events/clock"
import { openClockPageReader, openClockPageWriter } from "@meridian/clocks/clock-page"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { disableNative } from "@meridian/system/native"
import { systemClock } from "@meridian/clocks/system-clock"
import {
  defaultTinker,
  defaultTos,
  type DisciplineConfiguration,
  type FromDiscipline,
  parseToDiscipline
} from "@meridian/ipc/discipline-report"
import { readingsOf } from "./clocks.ts"
import { InvalidConfiguration, parseConfiguration } from "./configuration.ts"
import { nativePorts } from "./reference-drivers.ts"
import { chooseKernelMode, kernelModeSurroundings } from "./kernel-mode.ts"
import { DisciplineService } from "./service.ts"
import type { UpstreamSurroundings } from "./upstreams.ts"

/** How often the page is renewed and CLOCK_REALTIME watched. */
const TICK_MS = 250
const REPORT_INTERVAL_MS = 1_000

const { values } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    "clock-page": { type: "string" },
    configuration: { type: "string" },
    stratum: { type: "string", default: "10" }
  }
})

const fail = (message: string): never => {
  process.stderr.write(`meridian discipline: ${message}\n`)
  return process.exit(2)
}

const path = values["clock-page"]
if (values.help || path === undefined)
  fail("started by the supervisor (`meridian up`), which names the clock page and hands over the configuration")

const localOnly = (): DisciplineConfiguration => ({
  sources: [],
  referenceClocks: [],
  localReference: { stratum: Number(values.stratum) },
  tos: defaultTos,
  tinker: defaultTinker,
  driftfile: null,
  leapfile: null,
  leapfileHashIgnored: false,
  statsdir: null,
  filegen: [],
  mode: "virtual",
  cookieDirectory: dirname(path as string),
  leapSmearSeconds: 0
})

const readConfiguration = (): DisciplineConfiguration => {
  if (values.configuration === undefined) return localOnly()
  try {
    return parseConfiguration(values.configuration)
  } catch (error) {
    if (error instanceof InvalidConfiguration) return fail(`--configuration: ${error.message}`)
    throw error
  }
}

const configuration = readConfiguration()
if (process.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")

/** Without a supervisor, standard error is all there is for warnings. */
const send = (message: FromDiscipline<ClockCommand>): void => {
  // A supervisor that dies at this moment is the disconnect handler's matter.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
  else if (message.type === "warning") process.stderr.write(`meridian discipline: ${message.message}\n`)
}

const page = openClockPageWriter(path as string)
const mode = chooseKernelMode(configuration, kernelModeSurroundings())
const clock = systemClock()
const read = readingsOf(clock)

/** Ciphers and TLS are loaded where a source needs them: a node without keyed sources does not carry their memory. */
const loadDigests = async () => {
  const [{ aeadProvider }, { installedDigests }] = await Promise.all([
    import("@meridian/ciphers/aead"),
    import("@meridian/ciphers/digests-native")
  ])
  return installedDigests(aeadProvider().cmac)
}
let loaded: ReturnType<typeof loadDigests> | undefined
const digestsOnce = (): ReturnType<typeof loadDigests> => (loaded ??= loadDigests())
const loadKeyExchanges = async (): Promise<UpstreamSurroundings["keyExchanges"]> => {
  const [{ KeyExchanges }, { CookieJars }] = await Promise.all([
    import("./key-exchanges.ts"),
    import("@meridian/tls/cookie-jar")
  ])
  const jars = new CookieJars(configuration.cookieDirectory)
  return (listener) => new KeyExchanges(jars, listener, () => read().monotonic)
}
const { sources } = configuration

const service = new DisciplineService(configuration, {
  page,
  before: openClockPageReader(page.descriptor),
  read,
  kernelClock: mode._tag === "Kernel" ? mode.clock : undefined,
  precision: clock.measurePrecision(),
  digests: sources.some(({ keyId }) => keyId !== null) ? await digestsOnce() : undefined,
  keyExchanges: sources.some(({ nts }) => nts !== null) ? await loadKeyExchanges() : undefined,
  referencePorts: nativePorts,
  send,
  restart: () => end(1)
})

/** Saves, and leaves once the last messages are out. */
const end = (status: 0 | 1): void => {
  service.stop()
  const done = (): never => process.exit(status)
  if (process.send === undefined || !process.connected) done()
  else process.send(service.report(), undefined, undefined, done)
}

process.on("message", (message) => {
  const keys = parseServingKeys(message)
  if (keys !== undefined) return service.useKeys(keys.table)
  const told = parseToDiscipline(message)
  if (told?.type === "drain") end(0)
  else if (told?.type === "system-counters") service.countersArrived(told)
  else if (told?.type === "peers-seen") void digestsOnce().then((digests) => service.peersSeen(told, digests))
})
// A supervisor that is gone cannot restart or end anybody.
process.on("disconnect", () => end(0))
process.on("SIGTERM", () => end(0))
// The terminal's Ctrl-C reaches the whole process group; only the supervisor decides what it means.
process.on("SIGINT", () => {})
process.on("SIGHUP", () => {})

service.start()
setInterval(() => service.tick(), TICK_MS)
setInterval(() => send(service.report()), REPORT_INTERVAL_MS)
send({ type: "ready" })
releaseStartupPagesSoon()
if (mode._tag === "Refused") send({ type: "warning", message: mode.reason })
