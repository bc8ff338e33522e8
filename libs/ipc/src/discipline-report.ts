/**
 * What the clock's process reports each second, and the messages between it and its supervisor. What it works by is its part
 * of the serving plan (serving-plan.ts). Messages travel as structured clones.
 */
import type { BroadcastLists } from "./autokey-plan.ts"
import { isRecord } from "./message.ts"
import { parsePeersSeen, type PeersSeen } from "./peer-sighting.ts"
import { parseSourceCommand, type SourceCommand } from "./source-command.ts"
import type { NtsClientCounters, SourceDetail } from "./source-detail.ts"

export {
  type AnsweringConfiguration,
  defaultTinker,
  defaultTos,
  type DisciplineConfiguration,
  type FilegenConfiguration,
  type FilegenType,
  filegenTypes,
  type HearingConfiguration,
  type ManyConfiguration,
  type NtsConfiguration,
  type ReferenceClockConfiguration,
  type ReferenceClockDriver,
  referenceClockDrivers,
  type ServingEndpoint,
  type StatisticsName,
  statisticsNames,
  type TinkerConfiguration,
  type TosConfiguration,
  type UpstreamConfiguration
} from "./discipline-configuration.ts"

export type SourceAuthentication =
  | { readonly kind: "none" }
  | { readonly kind: "symmetric"; readonly key: number }
  /** `provisional`: its certificate's dates were not looked at yet, since nobody knew the time. */
  | { readonly kind: "nts"; readonly cookies: number; readonly provisional?: boolean }
  | ({ readonly kind: "autokey" } & AutokeySourceReport)

/** What an exchange by Autokey has come to, as ntpq shows it. */
export interface AutokeySourceReport {
  /** The status word (RFC 5906 §11.1). */
  readonly flags: number
  /** The other side's name; empty until it has said it. */
  readonly host: string
  /** Its signature scheme: `md5WithRSAEncryption`. */
  readonly signature: string
}

/** One source, with the discipline's word on it. Times in seconds. */
export interface SourceReport {
  /** Of a reference clock its driver and unit: `SHM(0)`. */
  readonly address: string
  /** 0 of a reference clock. */
  readonly port: number
  /** The configured host. */
  readonly name: string | null
  /** `passive`: a peer that came by itself, and goes when it is not heard any more. */
  readonly mode: "client" | "active" | "passive" | "broadcast" | "clock"
  /** 16 until it has answered. */
  readonly stratum: number
  readonly leap: number
  readonly referenceId: string
  /** log2 seconds */
  readonly poll: number
  /** The last eight requests, octal, newest lowest. */
  readonly reach: string
  readonly verdict: string
  readonly reason: string
  /** The source's time minus the time that is served. */
  readonly offset: number | null
  readonly delay: number | null
  readonly dispersion: number | null
  readonly jitter: number | null
  readonly rootDelay: number
  readonly rootDispersion: number
  readonly rootDistance: number | null
  readonly authentication: SourceAuthentication
  /** Since the last usable reply. */
  readonly lastReply: number | null
  /** Packets by why they gave no sample. */
  readonly dropped: Readonly<Record<string, number>>
  /** Whether the last sample was measured in interleaved mode (RFC 9769); absent before the first one. */
  readonly interleaved?: boolean
  /** It is not asked, since an operator took it offline. */
  readonly offline?: boolean
  readonly detail?: SourceDetail
}

export type ClockState = "unset" | "synchronised" | "spike" | "holdover" | "local"

/** The kernel's clock as it is steered. */
export interface KernelReport {
  /** `locked`, `limited`, `disputed` or `panic`; see libs/algorithms kernel-steering.ts. */
  readonly state: string
  /** ppm, beside what the tick does. */
  readonly frequency: number
  /** Microseconds for each hundredth of a second; 10000 by itself. */
  readonly tick: number
  /** Steps of CLOCK_REALTIME that were made since the start. */
  readonly steps: number
}

/** What is served, and how well it is known. Times in seconds, frequencies in ppm. */
export interface TrackingReport {
  readonly mode: "virtual" | "kernel"
  /** Why the state is what it is: "local" when this machine's own clock is served. */
  readonly state: ClockState
  readonly systemPeer: string | null
  /** As served; 16 when unsynchronised. */
  readonly stratum: number
  readonly leap: number
  readonly referenceId: string
  /** Unix seconds of the last update, null before the first. */
  readonly referenceTime: number | null
  /** True time minus CLOCK_REALTIME: best estimate, with its standard deviation. */
  readonly offset: number | null
  readonly offsetDeviation: number | null
  readonly frequency: number | null
  readonly frequencyDeviation: number | null
  /** What is added to CLOCK_REALTIME at this moment, and its slope. */
  readonly servedOffset: number
  readonly servedFrequency: number
  readonly rootDelay: number
  readonly rootDispersion: number
  /** System poll interval, log2 seconds. */
  readonly poll: number
  /** It goes on from before the start, and nobody was followed since; absent otherwise. */
  readonly resumed?: boolean
  /** Unix seconds; null out of holdover. */
  readonly holdoverSince: number | null
  readonly leapArmed: { readonly leap: "insert" | "delete"; readonly at: number; readonly origin: string } | null
  /** Steps of served time, and of CLOCK_REALTIME by others, since the start. */
  readonly steps: number
  readonly foreignSteps: number
  /** How CLOCK_REALTIME is steered; null in virtual mode. */
  readonly kernel: KernelReport | null
  /** What stands between this node and good time, one sentence each; empty when nothing does. */
  readonly waitingFor: readonly string[]
  /** Names of sources whose addresses are not known yet, each with why; absent where there is none. */
  readonly unresolved?: readonly string[]
  /** Peers that came by themselves; absent where none is taken. */
  readonly passivePeers?: PassivePeersReport
  /** What the leap second file says; null without one. */
  readonly leapTable?: LeapTableReport | null
  /** ntp.conf `leapsmearinterval`. */
  readonly smearSeconds?: number
}

/** Unix seconds. */
export interface LeapTableReport {
  /** TAI minus UTC now. */
  readonly taiOffset: number
  /** When it changed last, or will. */
  readonly last: number
  readonly expires: number
}

export interface PassivePeersReport {
  readonly now: number
  readonly most: number
  /** Since the start. */
  readonly taken: number
  /** Sightings of such peers that were not taken, by why. */
  readonly refused: Readonly<Record<string, number>>
}

export interface DisciplineReport {
  readonly type: "report"
  readonly tracking: TrackingReport
  readonly sources: readonly SourceReport[]
  /** As a client, all sources together; absent where none has NTS. */
  readonly nts?: NtsClientCounters
  /** bytes */
  readonly rss: number
  readonly heapUsed: number
}

/** Commands for the clock's aggregate of libs/events; whoever owns the log decides and appends. */
export interface ClockEvents<Command = unknown> {
  readonly type: "clock-events"
  readonly events: readonly Command[]
}

/** Something an operator should read, said once per cause. */
export interface DisciplineWarning {
  readonly type: "warning"
  readonly message: string
}

/** Others than before are known: what sources by Autokey signed for this host, and what leads from there to a trusted one. */
export interface AutokeyCertificates {
  readonly type: "autokey-certificates"
  readonly certificates: readonly { readonly der: Uint8Array; readonly filestamp: number }[]
}

/** Other key lists than before are in use for what is told to many: who heard it asks the Autokey server for their values. */
export interface AutokeyLists {
  readonly type: "autokey-lists"
  readonly lists: BroadcastLists
}

export interface DisciplineReady {
  readonly type: "ready"
}

export type FromDiscipline<Command = unknown> =
  | DisciplineReady
  | DisciplineReport
  | ClockEvents<Command>
  | DisciplineWarning
  | AutokeyCertificates
  | AutokeyLists

/** The node's packet counters for sysstats: what NTPsec counts there. Each since the node's start; lines hold differences. */
export interface SystemCounters {
  readonly type: "system-counters"
  readonly received: number
  readonly processed: number
  readonly currentVersion: number
  readonly oldVersion: number
  readonly restricted: number
  readonly badLength: number
  readonly badAuthentication: number
  readonly declined: number
  readonly rateLimited: number
  readonly kissesSent: number
}

/** Save what is to be kept, exit. The page is left to age. */
export interface DisciplineDrain {
  readonly type: "drain"
}
export type ToDiscipline = DisciplineDrain | SystemCounters | PeersSeen | SourceCommand

const isTracking = (value: unknown): value is TrackingReport =>
  isRecord(value) &&
  typeof value["state"] === "string" &&
  typeof value["referenceId"] === "string" &&
  Array.isArray(value["waitingFor"]) &&
  [value["stratum"], value["leap"], value["rootDelay"], value["poll"]].every((number) => Number.isFinite(number))

const isSource = (value: unknown): value is SourceReport =>
  isRecord(value) &&
  [value["address"], value["verdict"], value["reason"], value["reach"]].every((text) => typeof text === "string") &&
  Number.isFinite(value["stratum"]) &&
  isRecord(value["authentication"])

const isStampedCertificate = (value: unknown): value is AutokeyCertificates["certificates"][number] =>
  isRecord(value) && value["der"] instanceof Uint8Array && Number.isInteger(value["filestamp"])

const isList = (value: unknown): value is BroadcastLists[number] =>
  isRecord(value) &&
  [value["associationId"], value["timestamp"], value["filestamp"]].every((number) => Number.isInteger(number)) &&
  [value["value"], value["signature"]].every((octets) => octets instanceof Uint8Array)

/** Reads a message from the clock's process; undefined when it is none of ours. Commands are for their owner to judge. */
export const parseFromDiscipline = (message: unknown): FromDiscipline | undefined => {
  if (!isRecord(message)) return undefined
  const { type, tracking, sources, events, certificates, lists, message: text } = message
  switch (type) {
    case "ready":
      return { type: "ready" }
    case "warning":
      return typeof text === "string" ? { type: "warning", message: text } : undefined
    case "clock-events":
      return Array.isArray(events) ? { type: "clock-events", events } : undefined
    case "autokey-certificates":
      return Array.isArray(certificates) && certificates.every(isStampedCertificate)
        ? { type: "autokey-certificates", certificates }
        : undefined
    case "autokey-lists":
      return Array.isArray(lists) && lists.every(isList) ? { type: "autokey-lists", lists } : undefined
    case "report":
      return isTracking(tracking) && Array.isArray(sources) && sources.every(isSource)
        ? (message as unknown as DisciplineReport)
        : undefined
    default:
      return undefined
  }
}

const counterNames = [
  "received",
  "processed",
  "currentVersion",
  "oldVersion",
  "restricted",
  "badLength",
  "badAuthentication",
  "declined",
  "rateLimited",
  "kissesSent"
] as const

/** Reads a message from the supervisor; undefined when it is none of ours. */
export const parseToDiscipline = (message: unknown): ToDiscipline | undefined => {
  if (!isRecord(message)) return undefined
  if (message["type"] === "drain") return { type: "drain" }
  if (message["type"] === "peers-seen") return parsePeersSeen(message)
  if (message["type"] === "source-command") return parseSourceCommand(message)
  if (message["type"] !== "system-counters") return undefined
  return counterNames.every((name) => Number.isFinite(message[name]))
    ? (message as unknown as SystemCounters)
    : undefined
}
