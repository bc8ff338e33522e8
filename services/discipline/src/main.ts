/**
 * The clock's process: the one writer of the clock page. It asks the configured sources, decides whom to follow, and
 * publishes served time as a line over CLOCK_MONOTONIC. It steers nothing, but for CLOCK_REALTIME in kernel mode.
 *
 * Arguments: --clock-page DESCRIPTOR. Its sources, settings and keys are its part of the serving plan.
 */
import { readServingKeys } from "@meridian/auth/serving-keys"
import type { ClockDecision } from "@meridian/events"
import { openClockPageReader, openClockPageWriter } from "@meridian/clocks/clock-page"
import { releaseStartupPagesSoon } from "@meridian/system/memory"
import { nativeKernelClock } from "@meridian/clocks/kernel-clock"
import { systemClock, watchSteps } from "@meridian/clocks/system-clock"
import { type FromDiscipline, parseToDiscipline, type ToDiscipline } from "@meridian/ipc/discipline-report"
import { type DisciplinePlan, disciplinePlan } from "@meridian/ipc/serving-plan"
import { type Reporting, ReportPace, reportEverySecond } from "@meridian/ipc/report-pace"
import { everyTurn } from "@meridian/ipc/turns"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import { type Reading, readingsOf } from "./clocks.ts"
import { nativePorts } from "./reference-drivers.ts"
import { resolveHost } from "./name-resolver.ts"
import { chooseKernelMode, kernelModeSurroundings } from "./kernel-mode.ts"
import { DisciplineService } from "./service.ts"
import type { ServiceSurroundings } from "./service-surroundings.ts"
import type { UpstreamSurroundings } from "./upstream-surroundings.ts"

/** How often the page is renewed and CLOCK_REALTIME watched. */
const TICK_MS = 250
/** Where the line that is served goes on as it is: four ticks, the next of which may be one too late. */
const REST_TICK_MS = 1_000
const REST_SECONDS = (REST_TICK_MS + TICK_MS) / 1e3
/** Where nobody is asked besides, as the one that serves this machine's own clock: steps of CLOCK_REALTIME are told of. */
const ALONE_TICK_MS = 4_000

const handed = inherited(process, "discipline", "the clock page and its plan", { "clock-page": "needed" })
const descriptor = handed["clock-page"][0]!
const channel = new SupervisorChannel<DisciplinePlan, ToDiscipline, FromDiscipline<ClockDecision>>({
  service: "discipline",
  plan: disciplinePlan,
  read: parseToDiscipline
})
const send = (message: FromDiscipline<ClockDecision>): void => {
  if (message.type === "warning") channel.warn(message.message)
  else channel.send(message)
}
const {
  plan: { configuration }
} = await channel.first

const page = openClockPageWriter(descriptor)
const steerable = nativeKernelClock()
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
  const [{ KeyExchanges }, { CookieJars }, { exchangeKeys }] = await Promise.all([
    import("./key-exchanges.ts"),
    import("@meridian/tls/cookie-jar"),
    import("@meridian/tls/nts-key-exchange")
  ])
  const jars = new CookieJars(configuration.cookieDirectory)
  const surroundings = {
    exchange: exchangeKeys,
    resolve: resolveHost,
    certificateTime: () => service.certificateTime()
  }
  return (listener) => new KeyExchanges(jars, listener, () => read().monotonic, surroundings)
}
const loadAutokey = async (): Promise<ServiceSurroundings["autokey"]> => {
  const [{ AutokeySources }, digests] = await Promise.all([import("./autokey-sources.ts"), digestsOnce()])
  return (surroundings) => new AutokeySources({ ...surroundings, digests })
}
const { sources, telling = [], hearing, answering } = configuration
const usesAutokey =
  sources.some(({ autokey }) => autokey) ||
  telling.some(({ autokey }) => autokey) ||
  [hearing, answering].some((it) => it?.autokey === true)
const hasKeys =
  sources.some(({ keyId }) => keyId !== null) ||
  telling.some(({ keyId }) => keyId !== null) ||
  [hearing, answering].some((it) => (it?.keys.length ?? 0) > 0)

let reporting: Reporting | undefined
const service = new DisciplineService(configuration, {
  page,
  before: openClockPageReader(descriptor),
  read,
  kernelRate: () => steerable?.read(),
  kernelClock: mode._tag === "Kernel" ? mode.clock : undefined,
  precision: clock.measurePrecision(),
  digests: hasKeys ? await digestsOnce() : undefined,
  autokey: usesAutokey ? await loadAutokey() : undefined,
  keyExchanges: sources.some(({ nts }) => nts !== null) ? await loadKeyExchanges() : undefined,
  referencePorts: nativePorts,
  send,
  decided: () => reporting?.stir(),
  restart: () => end(1)
})

/** Saves, and leaves once the last messages are out. */
const end = (status: 0 | 1): void => {
  service.stop()
  channel.end(service.report(), status)
}
process.on("SIGTERM", () => end(0))

const pace = new ReportPace(0)
/**
 * Less than ten microseconds, or as many millionths of a ppm, is no news, and less than 15 of a stamp that is made of served
 * time: this machine's own clock varies by that. Dispersion is an age in other words, by a line that is drawn anew all the time.
 */
const coarsely = (name: string, value: unknown): unknown => {
  if (name === "rootDispersion") return undefined
  if (name === "sent") return String(value).slice(0, -4)
  return typeof value === "number" ? Math.round(value * 1e5) / 1e5 : value
}
const sayable = (at: Reading): string => JSON.stringify(service.state(at), coarsely)
/** Of the last report: what would be said of that same moment is compared, as ages are no news. */
let reportedAt = read()
const report = (): void => {
  reportedAt = read()
  pace.sends(sayable(reportedAt))
  send(service.report(reportedAt))
}

service.start()
/** Undefined without the addon: then CLOCK_REALTIME is watched by ticks alone. */
const steps = watchSteps(() => service.tick())
const tickMs = (): number => {
  if (!service.restsFor(REST_SECONDS)) return TICK_MS
  return steps !== undefined && service.restsFor(ALONE_TICK_MS / 1e3, true) ? ALONE_TICK_MS : REST_TICK_MS
}
const ticks = everyTurn(tickMs, () => service.tick())
channel.run({
  // Settings besides sources and who is offline are those it started with: others take another process, which the supervisor starts.
  take: async ({ keys, autokey, access, configuration: now }) => {
    service.useAccess(access)
    service.useKeys(readServingKeys(keys).table)
    service.useAutokey(autokey)
    const digests = now.sources.some(({ keyId }) => keyId !== null) ? await digestsOnce() : undefined
    // Before this plan is said to be held: whoever had it changed looks next.
    if (service.useSources(now, digests)) report()
    ticks.sooner(TICK_MS)
  },
  obey: (told) => {
    if (told.type === "drain") end(0)
    else if (told.type === "system-counters") service.countersArrived(told)
    else if (told.type === "source-command") service.commandSources(told)
    else void digestsOnce().then((digests) => service.peersSeen(told, digests))
  },
  orphaned: () => end(0)
})
reporting = reportEverySecond(pace, () => {
  if (pace.isDue(sayable(reportedAt))) report()
})
send({ type: "ready" })
releaseStartupPagesSoon()
if (mode._tag === "Refused") send({ type: "warning", message: mode.reason })
