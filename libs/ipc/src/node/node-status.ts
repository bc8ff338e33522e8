/** What `meridian status --json` shows: the supervisor writes it, the CLI and, later, metrics read it. */
import type { AnycastReport } from "../reports/anycast-report.ts"
import type { AutokeyReport } from "../reports/autokey-report.ts"
import type { CoordinatorReport } from "../reports/coordinator-report.ts"
import type { NtsKeCounters, NtsKeReport } from "../reports/nts-ke-report.ts"
import type { SigndFigures, SigndReport } from "../reports/signd-report.ts"
import type { WorkerCounters, WorkerReport } from "../reports/worker-report.ts"

/**
 * starting: not reading yet · running · stalled: silent, a successor is on its way · draining: a successor reads already ·
 * waiting: crashed, back-off runs · stopped
 */
export type WorkerState = "starting" | "running" | "stalled" | "draining" | "waiting" | "stopped"

/** A process slot; what its process has reported is in those that extend it, without a report zeros. */
interface ProcessStatus {
  /** undefined while no process runs */
  readonly pid: number | undefined
  readonly state: WorkerState
  readonly restarts: number
}

export interface WorkerStatus
  extends ProcessStatus, WorkerCounters, Pick<WorkerReport, "rss" | "heapUsed" | "newestKey"> {
  readonly index: number
  /** over the last second */
  readonly receivedPerSecond: number
  readonly repliedPerSecond: number
}

export interface NtsKeStatus extends ProcessStatus, NtsKeCounters, Pick<NtsKeReport, "open" | "rss" | "certificates"> {
  readonly index: number
  /** Undefined until it has reported. */
  readonly tls: NtsKeReport["tls"] | undefined
  /** Why nobody can be answered, or will take the answer, a sentence each; absent from a node of an older version. */
  readonly troubles?: readonly string[]
}

/** The process that answers Autokey's requests with fields; its counts are since it started. */
export interface AutokeyStatus extends ProcessStatus, Omit<AutokeyReport, "type"> {}

/** The process that answers Windows clients. */
export interface SigndStatus extends ProcessStatus, SigndFigures, Omit<SigndReport, "type" | "figures"> {
  /** On which the signing daemon is asked. */
  readonly socket: string
}

/** The BPF program that answers plain requests before they reach a socket; its counts are since it was attached. */
export interface XdpStatus {
  readonly interface: string
  readonly mode: "native" | "generic"
  /** Whether it answers now. */
  readonly answers: boolean
  /** Requests that it answered or dropped; the workers never saw them. */
  readonly received: number
  readonly replied: number
  readonly limited: number
  /** Packets to a served address that it left to the sockets: addresses with a rule of their own, all but plain requests, damaged ones, and those without a clock to answer by. */
  readonly passed: { readonly rule: number; readonly kind: number; readonly damaged: number; readonly clock: number }
  /** over the last two seconds */
  readonly receivedPerSecond: number
  readonly repliedPerSecond: number
}

/** Which keys the node serves with. Never the keys. */
export interface KeyStatus {
  readonly masterKeyGenerations: readonly {
    readonly id: number
    readonly activation: number
    readonly retirement: number
  }[]
  readonly symmetricKeyIds: readonly number[]
  /** Algorithms in the order of the ids; absent from a node of an older version. */
  readonly symmetricKeyTypes?: readonly string[]
  readonly symmetricKeyBits?: readonly number[]
}

export interface ClockStatus {
  /** Address of the system peer, "local-reference", or "none" while there is nothing to serve. */
  readonly source: string
  readonly synchronised: boolean
  readonly stratum: number
  /** 0 none · 1 insert · 2 delete · 3 unsynchronised */
  readonly leap: number
  readonly referenceId: string
  /** seconds */
  readonly rootDelay: number
  readonly rootDispersion: number
  /** correction of the system clock as served, seconds */
  readonly offset: number
  /** ppm */
  readonly frequency: number
}

/** The process that announces the node's routes. */
export interface AnycastStatus extends ProcessStatus, Omit<AnycastReport, "type" | "announced"> {
  /** Null before the process has said. */
  readonly announced: boolean | null
}

/** How far a node is that an operator takes out or brings back. Time is answered throughout. */
export interface DrainStatus {
  /** draining: steps are left · drained: no route leads here, it leads nothing and takes no key exchange · returning: it was undrained and is not ready yet */
  readonly state: "draining" | "drained" | "returning"
  /** What is left to do, in words; empty once it is drained. */
  readonly waitingFor: readonly string[]
}

export interface NodeStatus {
  readonly node: string
  readonly version: string
  readonly pid: number
  /** seconds */
  readonly uptime: number
  /** ADDRESS:PORT as bound */
  readonly listening: readonly string[]
  readonly io: "native" | "fallback"
  /** Why the kernel spreads packets by its own hash and not by kind and source address; null where it does as it is told. */
  readonly unsteered?: string | null
  readonly state: string
  readonly clock: ClockStatus
  /** How the node bridges its start, as a sentence; null or absent once it follows somebody. */
  readonly starting?: string | null
  /** What stands between this node and good time, a sentence each; empty while it has it. */
  readonly waitingFor?: readonly string[]
  /** What this node was told to do and cannot, a sentence each: plain time is served all the same. Empty where nothing is missing. */
  readonly missing?: readonly string[]
  /** Programs that joined the node's UDP ports and may take its requests, a sentence each. */
  readonly shared?: readonly string[]
  /** Null while no operator has taken the node out; absent from a node of an older version. */
  readonly drain?: DrainStatus | null
  /** Null where no route is announced; absent from a node of an older version. */
  readonly anycast?: AnycastStatus | null
  readonly workers: readonly WorkerStatus[]
  /** Null where no interface is answered on by XDP; absent from a node of an older version. Its counts are part of the totals. */
  readonly xdp?: XdpStatus | null
  /** Empty where NTS is not served. */
  readonly ntsKe: readonly NtsKeStatus[]
  /** The TCP port of its key exchange; null where it is not served, absent from a node of an older version. */
  readonly ntsKePort?: number | null
  /** Absent where Windows clients are not served. */
  readonly signd?: SigndStatus | null
  /** Absent where Autokey is not served. */
  readonly autokey?: AutokeyStatus | null
  readonly keys: KeyStatus
  /** null before its first word */
  readonly coordinator: CoordinatorReport | null
  readonly totals: WorkerCounters & { readonly receivedPerSecond: number; readonly repliedPerSecond: number }
}
