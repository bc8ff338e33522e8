/**
 * What the clock's process reports each second, and the messages between it and its supervisor. What it works by is its part
 * of the serving plan (serving-plan.ts). Messages travel as structured clones.
 */
import { broadcastLists, learnedCertificates } from "../plans/autokey-plan.ts"
import { peersSeen } from "./peer-sighting.ts"
import { type FromService, readerOf, type ToldBy, toldOf } from "../channel/service-messages.ts"
import {
  count,
  counts,
  finite,
  flag,
  list,
  nullable,
  optional,
  record,
  tagged,
  text,
  type TypeOf,
  whole,
  words
} from "../channel/shape.ts"
import { sourceCommand } from "../channel/source-command.ts"
import { ntsClientCounters, sourceDetail } from "./source-detail.ts"

export {
  type AnsweringConfiguration,
  defaultTinker,
  defaultTos,
  type DisciplineConfiguration,
  type FilegenConfiguration,
  type FilegenType,
  type HearingConfiguration,
  type ManyConfiguration,
  type NtsConfiguration,
  type ReferenceClockConfiguration,
  type ServingEndpoint,
  type StatisticsName,
  statisticsNames,
  type UpstreamConfiguration
} from "../plans/discipline-configuration.ts"

/** What an exchange by Autokey has come to, as ntpq shows it. */
const autokeySourceReport = record({
  /** The status word (RFC 5906 §11.1). */
  flags: finite(),
  /** The other side's name; empty until it has said it. */
  host: text(0),
  /** Its signature scheme: `md5WithRSAEncryption`. */
  signature: text(0)
})
export type AutokeySourceReport = TypeOf<typeof autokeySourceReport>

const sourceAuthentication = tagged("kind", {
  none: record({}),
  symmetric: record({ key: whole(1, 65_535) }),
  /** `provisional`: its certificate's dates were not looked at yet, since nobody knew the time. */
  nts: record({ cookies: count, provisional: optional(flag) }),
  autokey: autokeySourceReport
})
export type SourceAuthentication = TypeOf<typeof sourceAuthentication>

/** One source, with the discipline's word on it. Times in seconds. */
const sourceReport = record({
  /** Of a reference clock its driver and unit: `SHM(0)`. */
  address: text(),
  /** 0 of a reference clock. */
  port: whole(0, 65_535),
  /** The configured host. */
  name: nullable(text()),
  /** `passive`: a peer that came by itself, and goes when it is not heard any more. */
  mode: words("client", "active", "passive", "broadcast", "clock"),
  /** 16 until it has answered. */
  stratum: whole(0, 255),
  leap: whole(0, 3),
  referenceId: text(0),
  /** log2 seconds */
  poll: finite(),
  /** The last eight requests, octal, newest lowest. */
  reach: text(),
  verdict: text(),
  reason: text(0),
  /** The source's time minus the time that is served. */
  offset: nullable(finite()),
  delay: nullable(finite()),
  dispersion: nullable(finite()),
  jitter: nullable(finite()),
  rootDelay: finite(),
  rootDispersion: finite(),
  rootDistance: nullable(finite()),
  authentication: sourceAuthentication,
  /** Since the last usable reply. */
  lastReply: nullable(finite()),
  /** Packets by why they gave no sample. */
  dropped: counts,
  /** Whether the last sample was measured in interleaved mode (RFC 9769); absent before the first one. */
  interleaved: optional(flag),
  /** It is not asked, since an operator took it offline. */
  offline: optional(flag),
  detail: optional(sourceDetail)
})
export type SourceReport = TypeOf<typeof sourceReport>

const clockState = words("unset", "synchronised", "spike", "holdover", "local")
export type ClockState = TypeOf<typeof clockState>

/** The kernel's clock as it is steered. */
const kernelReport = record({
  /** `locked`, `limited`, `disputed` or `panic`; see libs/algorithms kernel-steering.ts. */
  state: text(),
  /** ppm, beside what the tick does. */
  frequency: finite(),
  /** Microseconds for each hundredth of a second; 10000 by itself. */
  tick: finite(),
  /** Steps of CLOCK_REALTIME that were made since the start. */
  steps: count
})
export type KernelReport = TypeOf<typeof kernelReport>

/** Unix seconds. */
const leapTableReport = record({
  /** TAI minus UTC now. */
  taiOffset: finite(),
  /** When it changed last, or will. */
  last: finite(),
  expires: finite()
})
export type LeapTableReport = TypeOf<typeof leapTableReport>

const passivePeersReport = record({
  now: finite(),
  most: finite(),
  /** Since the start. */
  taken: finite(),
  /** Sightings of such peers that were not taken, by why. */
  refused: counts
})
export type PassivePeersReport = TypeOf<typeof passivePeersReport>

/** What is served, and how well it is known. Times in seconds, frequencies in ppm. */
const trackingReport = record({
  mode: words("virtual", "kernel"),
  /** Why the state is what it is: "local" when this machine's own clock is served. */
  state: clockState,
  systemPeer: nullable(text()),
  /** As served; 16 when unsynchronised. */
  stratum: whole(0, 255),
  leap: whole(0, 3),
  referenceId: text(0),
  /** Unix seconds of the last update, null before the first. */
  referenceTime: nullable(finite()),
  /** True time minus CLOCK_REALTIME: best estimate, with its standard deviation. */
  offset: nullable(finite()),
  offsetDeviation: nullable(finite()),
  frequency: nullable(finite()),
  frequencyDeviation: nullable(finite()),
  /** What is added to CLOCK_REALTIME at this moment, and its slope. */
  servedOffset: finite(),
  servedFrequency: finite(),
  rootDelay: finite(),
  rootDispersion: finite(),
  /** System poll interval, log2 seconds. */
  poll: finite(),
  /** It goes on from before the start, and nobody was followed since; absent otherwise. */
  resumed: optional(flag),
  /** Unix seconds; null out of holdover. */
  holdoverSince: nullable(finite()),
  leapArmed: nullable(record({ leap: words("insert", "delete"), at: finite(), origin: text() })),
  /** Steps of served time, and of CLOCK_REALTIME by others, since the start. */
  steps: count,
  foreignSteps: count,
  /** How CLOCK_REALTIME is steered; null in virtual mode. */
  kernel: nullable(kernelReport),
  /** What stands between this node and good time, one sentence each; empty when nothing does. */
  waitingFor: list(text(), 1_000),
  /** Names of sources whose addresses are not known yet, each with why; absent where there is none. */
  unresolved: optional(list(text(), 65_536)),
  /** Peers that came by themselves; absent where none is taken. */
  passivePeers: optional(passivePeersReport),
  /** What the leap second file says; null without one. */
  leapTable: optional(nullable(leapTableReport)),
  /** ntp.conf `leapsmearinterval`. */
  smearSeconds: optional(finite())
})
export type TrackingReport = TypeOf<typeof trackingReport>

const disciplineReport = record({
  type: words("report"),
  /** When it was made: CLOCK_MONOTONIC, seconds. What only grows older is not reported anew (report-age.ts). */
  at: finite(),
  tracking: trackingReport,
  sources: list(sourceReport, 65_536),
  /** As a client, all sources together; absent where none has NTS. */
  nts: optional(ntsClientCounters),
  /** bytes */
  rss: count,
  heapUsed: count
})
export type DisciplineReport = TypeOf<typeof disciplineReport>

/** Commands for the clock's aggregate of libs/events; whoever owns the log decides and appends. */
const clockEvents = record({ type: words("clock-events"), events: list(record({}), 10_000) })
interface ClockEvents<Command = unknown> {
  readonly type: "clock-events"
  readonly events: readonly Command[]
}

/** Others than before are known: what sources by Autokey signed for this host, and what leads from there to a trusted one. */
const autokeyCertificates = record({ type: words("autokey-certificates"), certificates: learnedCertificates })
type AutokeyCertificates = TypeOf<typeof autokeyCertificates>

/** Other key lists than before are in use for what is told to many: who heard it asks the Autokey server for their values. */
const autokeyLists = record({ type: words("autokey-lists"), lists: broadcastLists })
type AutokeyLists = TypeOf<typeof autokeyLists>

export type FromDiscipline<Command = unknown> = FromService<
  DisciplineReport,
  ClockEvents<Command> | AutokeyCertificates | AutokeyLists
>

/** Reads a message from the clock's process; undefined when it is none of ours. Commands are for their owner to judge. @throws InvalidMessage */
export const parseFromDiscipline: (message: unknown) => FromDiscipline | undefined = readerOf(disciplineReport, {
  "clock-events": clockEvents,
  "autokey-certificates": autokeyCertificates,
  "autokey-lists": autokeyLists
})

/** The node's packet counters for sysstats: what NTPsec counts there. Each since the node's start; lines hold differences. */
const systemCounters = record({
  type: words("system-counters"),
  received: finite(),
  processed: finite(),
  currentVersion: finite(),
  oldVersion: finite(),
  restricted: finite(),
  badLength: finite(),
  badAuthentication: finite(),
  declined: finite(),
  rateLimited: finite(),
  kissesSent: finite()
})
export type SystemCounters = TypeOf<typeof systemCounters>

/** To `drain`, it saves what is to be kept and exits; the page is left to age. */
export const parseToDiscipline = toldOf({
  "system-counters": systemCounters,
  "peers-seen": peersSeen,
  "source-command": sourceCommand
})
export type ToDiscipline = ToldBy<typeof parseToDiscipline>
