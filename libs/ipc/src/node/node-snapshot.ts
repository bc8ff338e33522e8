/**
 * One picture of the node: everything that a window onto it shows (mode 6, chronyc, HTTP, page) is read from one of these, so
 * that no answer mixes two moments. The supervisor takes one each second from what its processes reported last and hands
 * it to the control process whole; nobody changes one. Nothing in it is key material.
 */
import type { ClientList } from "./client-list.ts"
import type { ClusterState } from "./cluster-state.ts"
import type { SourceReport, TrackingReport } from "../reports/discipline-report.ts"
import { isRecord } from "../channel/message.ts"
import type { NodeStatus } from "./node-status.ts"
import type { NtsClientCounters } from "../reports/source-detail.ts"

/** What does not change while the node runs. */
export interface SystemFacts {
  /** As uname has them: "x86_64", "Linux", "6.18.0". */
  readonly processor: string
  readonly system: string
  readonly release: string
  /** Of the clock that is served, log2 seconds. */
  readonly precision: number
  /** CPUs that the node may use. */
  readonly cores: number
  /** Version of Node.js. */
  readonly runtime: string
  /** Unix seconds when the supervisor started. */
  readonly startedAt: number
}

/** Bytes and processor seconds of the processes that are not in the status one by one. */
export interface ProcessUse {
  readonly name: string
  readonly pid: number | undefined
  readonly restarts: number
  readonly rss: number
}

/** This host in Autokey, as ntpq shows it. */
export interface AutokeyHostReport {
  readonly host: string
  readonly group: string | null
  readonly flags: number
  readonly digest: string
  readonly signature: string
  /** The newest first, this host's own last. `until` is Unix seconds. */
  readonly certificates: readonly {
    readonly subject: string
    readonly issuer: string
    readonly flags: number
    readonly until: number
  }[]
}

export interface NodeSnapshot {
  readonly type: "snapshot"
  /** Counts up; a new supervisor begins anew. */
  readonly sequence: number
  /** When it was taken: Unix seconds by CLOCK_REALTIME, and CLOCK_MONOTONIC seconds, which all processes share. */
  readonly at: number
  readonly monotonic: number
  readonly facts: SystemFacts
  /** Workers, NTS-KE processes, keys, totals, what is served. */
  readonly status: NodeStatus
  /** What the clock's process said last; null before its first word. */
  readonly tracking: TrackingReport | null
  readonly sources: readonly SourceReport[]
  /** NTS as a client; null where no source has it. */
  readonly ntsClient: NtsClientCounters | null
  /** Processes besides workers and NTS-KE: supervisor, clock, coordinator. */
  readonly processes: readonly ProcessUse[]
  /** Members, generations, leader: what the coordinator's own socket says; null while nobody asked it or it does not answer. */
  readonly cluster: ClusterState | null
  /** Null where Autokey is off, or has no credentials that can be used. */
  readonly autokey: AutokeyHostReport | null
  /** Null where the workers keep no list. */
  readonly clients: ClientList | null
}

/**
 * A picture on its way to the control process. The list of clients is long and read seldom: `clientsKept` stands for the one that the
 * process was told with the picture before.
 */
export interface PictureMessage extends NodeSnapshot {
  readonly clientsKept?: boolean
  /** It answers a look: counters and clients are of now. */
  readonly isAskedFor?: boolean
}

/** Tells pictures to one process after another, and to each its clients once. */
export class PictureTeller {
  #pid: number | undefined
  #clients: ClientList | null = null

  /**
   * @param pid of the process that is told: a new one knows nothing
   * @param isAskedFor whether it is the answer to a look
   */
  tell(snapshot: NodeSnapshot, pid: number | undefined, isAskedFor = false): PictureMessage {
    const isKept = snapshot.clients !== null && pid === this.#pid && snapshot.clients === this.#clients
    this.#pid = pid
    this.#clients = snapshot.clients
    const asked = isAskedFor ? { isAskedFor } : {}
    return isKept ? { ...snapshot, ...asked, clients: null, clientsKept: true } : { ...snapshot, ...asked }
  }
}

/** The picture that a message means to who was told `before`. */
export const pictureOf = (message: PictureMessage, before: NodeSnapshot | undefined): NodeSnapshot => {
  const { clientsKept, isAskedFor: _isAskedFor, ...told } = message
  return clientsKept === true ? { ...told, clients: before?.clients ?? null } : told
}

/**
 * Reads the message; undefined when it is another. It comes from the process that started this one, so only what tells one
 * message from another is looked at.
 */
export const parseNodeSnapshot = (message: unknown): PictureMessage | undefined =>
  isRecord(message) &&
  message["type"] === "snapshot" &&
  Number.isInteger(message["sequence"]) &&
  Number.isFinite(message["at"]) &&
  isRecord(message["status"]) &&
  isRecord(message["facts"]) &&
  Array.isArray(message["sources"])
    ? (message as unknown as PictureMessage)
    : undefined
