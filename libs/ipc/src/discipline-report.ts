/**
 * How the clock's process is configured, what it reports each second, and the messages between it and its supervisor.
 * Besides these it takes the keys of keyed sources: that message is ServingKeys of libs/auth. Messages travel as
 * structured clones.
 */
import { isRecord } from "./message.ts"
import { parsePeersSeen, type PeersSeen } from "./peer-sighting.ts"

/** One `server`, `pool` or `peer` line. */
export interface UpstreamConfiguration {
  readonly kind: "server" | "pool" | "peer"
  /** A name or a numeric address. */
  readonly host: string
  /** Addresses of this family only; null: of either. */
  readonly family: 4 | 6 | null
  readonly port: number
  readonly iburst: boolean
  readonly burst: boolean
  /** log2 seconds */
  readonly minpoll: number
  readonly maxpoll: number
  readonly prefer: boolean
  readonly noselect: boolean
  /** ntp.conf `true`: always a truechimer. */
  readonly true: boolean
  /** Symmetric key, from the table that comes with the `keys` message; null without. */
  readonly keyId: number | null
  readonly nts: NtsConfiguration | null
  /** 1 … 4 */
  readonly version: number
  readonly xleave: boolean
  /** Seconds that are added to its offset. */
  readonly bias: number
}

/** Where and how keys are exchanged (RFC 8915 §4). */
export interface NtsConfiguration {
  /** Who is asked for keys; null: the source itself. */
  readonly host: string | null
  readonly port: number
  /** File or folder of PEM certificates to trust instead of the system's roots. */
  readonly ca: string | null
  /** Takes any certificate. */
  readonly noval: boolean
  /** AEAD identifiers of the IANA registry, best first; null: the program's own choice. */
  readonly aead: readonly number[] | null
}

export const referenceClockDrivers = ["shm", "sock", "pps", "phc"] as const
export type ReferenceClockDriver = (typeof referenceClockDrivers)[number]

/** One reference clock of a driver that is acted on. */
export interface ReferenceClockConfiguration {
  readonly driver: ReferenceClockDriver
  /** With the driver it names the clock: `SHM(0)`. */
  readonly unit: number
  /** Device or socket; null for shm, which has none. */
  readonly path: string | null
  /** Up to four characters. */
  readonly refid: string
  /** Of the clock itself, 0 … 15: it is served with one more. */
  readonly stratum: number
  /** log2 seconds */
  readonly minpoll: number
  readonly maxpoll: number
  readonly prefer: boolean
  readonly noselect: boolean
  /** ntp.conf `true`: always a truechimer. */
  readonly true: boolean
  /** Seconds that are added to its time. */
  readonly time1: number
  readonly time2: number
  readonly mode: number
  /** flag1 to flag4. */
  readonly flags: readonly boolean[]
}

export const statisticsNames = ["loopstats", "peerstats", "rawstats", "clockstats", "sysstats"] as const
export type StatisticsName = (typeof statisticsNames)[number]

export const filegenTypes = ["none", "pid", "day", "week", "month", "year", "age"] as const
export type FilegenType = (typeof filegenTypes)[number]

/** One `filegen` line that is enabled. */
export interface FilegenConfiguration {
  readonly name: StatisticsName
  /** Appended to statsdir. */
  readonly file: string
  readonly type: FilegenType
  /** Whether the bare name is a hard link to the current file. */
  readonly link: boolean
}

/** The `tos` values, each null for the default. Times in seconds. */
export interface TosConfiguration {
  readonly minsane: number | null
  readonly minclock: number | null
  readonly maxclock: number | null
  readonly mindist: number | null
  readonly maxdist: number | null
  readonly floor: number | null
  readonly ceiling: number | null
  /** Stratum of orphans. */
  readonly orphan: number | null
  readonly orphanwait: number | null
}

/** The `tinker` values, each null for the default. Seconds, `dispersion` seconds per second, `freq` ppm. */
export interface TinkerConfiguration {
  /** Forward and back; 0: never. */
  readonly stepfwd: number | null
  readonly stepback: number | null
  readonly stepout: number | null
  readonly panic: number | null
  readonly dispersion: number | null
  /** To begin with, in place of the drift file's. */
  readonly freq: number | null
  /** Whether the first setting may be over the panic threshold (`ntpd -g`). */
  readonly firstMayPanic: boolean | null
}

export interface DisciplineConfiguration {
  readonly sources: readonly UpstreamConfiguration[]
  readonly referenceClocks: readonly ReferenceClockConfiguration[]
  /** Serve this machine's clock when there is nothing to follow. */
  readonly localReference: { readonly stratum: number } | null
  readonly tos: TosConfiguration
  readonly tinker: TinkerConfiguration
  /** Paths, null for none. `statsdir` is a prefix, as in ntp.conf. */
  readonly driftfile: string | null
  readonly leapfile: string | null
  /** `leapfile … ignorehash`: its hash need not be right. */
  readonly leapfileHashIgnored: boolean
  readonly statsdir: string | null
  readonly filegen: readonly FilegenConfiguration[]
  /** `virtual` steers nothing and publishes a correction; `kernel` steers CLOCK_REALTIME. */
  readonly mode: "virtual" | "kernel"
  /** Where keys and cookies of NTS sources are kept, sealed. */
  readonly cookieDirectory: string
  /** ntp.conf `leapsmearinterval`, seconds; 0: no smear. */
  readonly leapSmearSeconds: number
  /** Where the node serves: symmetric peers are spoken to from there. Without it, from any port. */
  readonly serving?: readonly ServingEndpoint[]
  /** At most so many peers that no line names are taken (docs/adr/007); 0 or absent: none. */
  readonly passivePeers?: number
  /** They must come under keys that `trustedkey` lines name; those of the event log are for clients. */
  readonly passiveKeys?: readonly { readonly first: number; readonly last: number }[]
}

/** A numeric address, perhaps a wildcard, and a UDP port. */
export interface ServingEndpoint {
  readonly address: string
  readonly port: number
}

export const defaultTos: TosConfiguration = {
  minsane: null,
  minclock: null,
  maxclock: null,
  mindist: null,
  maxdist: null,
  floor: null,
  ceiling: null,
  orphan: null,
  orphanwait: null
}

export const defaultTinker: TinkerConfiguration = {
  stepfwd: null,
  stepback: null,
  stepout: null,
  panic: null,
  dispersion: null,
  freq: null,
  firstMayPanic: null
}

export type SourceAuthentication =
  | { readonly kind: "none" }
  | { readonly kind: "symmetric"; readonly key: number }
  | { readonly kind: "nts"; readonly cookies: number }

/** One source, with the discipline's word on it. Times in seconds. */
export interface SourceReport {
  /** Of a reference clock its driver and unit: `SHM(0)`. */
  readonly address: string
  /** 0 of a reference clock. */
  readonly port: number
  /** The configured host. */
  readonly name: string | null
  /** `passive`: a peer that came by itself, and goes when it is not heard any more. */
  readonly mode: "client" | "active" | "passive" | "clock"
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
  /** Peers that came by themselves; absent where none is taken. */
  readonly passivePeers?: PassivePeersReport
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

export interface DisciplineReady {
  readonly type: "ready"
}

export type FromDiscipline<Command = unknown> =
  | DisciplineReady
  | DisciplineReport
  | ClockEvents<Command>
  | DisciplineWarning

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
export type ToDiscipline = DisciplineDrain | SystemCounters | PeersSeen

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

/** Reads a message from the clock's process; undefined when it is none of ours. Commands are for their owner to judge. */
export const parseFromDiscipline = (message: unknown): FromDiscipline | undefined => {
  if (!isRecord(message)) return undefined
  const { type, tracking, sources, events, message: text } = message
  switch (type) {
    case "ready":
      return { type: "ready" }
    case "warning":
      return typeof text === "string" ? { type: "warning", message: text } : undefined
    case "clock-events":
      return Array.isArray(events) ? { type: "clock-events", events } : undefined
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
  if (message["type"] !== "system-counters") return undefined
  return counterNames.every((name) => Number.isFinite(message[name]))
    ? (message as unknown as SystemCounters)
    : undefined
}
