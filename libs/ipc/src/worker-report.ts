/**
 * What a worker tells its supervisor each second, and the messages between the two. Counts are totals since the worker
 * started and only grow; rates are the reader's business.
 */
import { addCounts, isCounts, isRecord } from "./message.ts"
import { parsePeersSeen, type PeersSeen } from "./peer-sighting.ts"

/** Upper bounds of the batch-size histogram's bins: 1, 2–3, 4–7, … 64. */
export const BATCH_SIZE_BINS = [1, 3, 7, 15, 31, 63, 64] as const

export interface WorkerCounters {
  /** Datagrams read. Equals replied + dropped + unsent. */
  readonly received: number
  /** Replies the kernel took. */
  readonly replied: number
  /** Replies the kernel refused (full send queue, unreachable). */
  readonly unsent: number
  /** By reason, see libs/protocol outcome.ts; reasons with replies are in `served`. */
  readonly dropped: Readonly<Record<string, number>>
  readonly served: Readonly<Record<string, number>>
  /** Those of the answered that asked in NTP version 1, 2 or 3. */
  readonly oldVersion: number
  /** Datagrams the kernel dropped because the receive queue was full (SO_RXQ_OVFL), since the socket was opened. */
  readonly overflow: number
  /** How many receive calls returned how many datagrams; bins end at {@link BATCH_SIZE_BINS}. */
  readonly batchSizes: readonly number[]
  /** Datagrams read by version (0 … 7) and mode (0 … 7), at version · 8 + mode; absent before the first report. */
  readonly kinds?: readonly number[]
  readonly cookies?: CookieCounters
}

/** NTS cookies that were opened, by the age of their master key, and made; see NtsServer of libs/auth. */
export interface CookieCounters {
  readonly made: number
  /** Under the generation that seals now, or one to come. */
  readonly current: number
  readonly old: number
  readonly old2: number
  readonly older: number
  /** Under none that is known, or one that is retired or revoked. */
  readonly unknown: number
  /** Not opened by the key that they name. These are in one of the counts by age, too. */
  readonly forged: number
}

export interface WorkerReport {
  readonly type: "report"
  readonly counters: WorkerCounters
  /** bytes */
  readonly rss: number
  /** bytes */
  readonly heapUsed: number
  /** whether the clock page was good at the last look */
  readonly synchronised: boolean
  readonly newestKey: NewestKey
}

/** The newest generation of the NTS master key that a worker holds. */
export interface NewestKey {
  /** 0 for none */
  readonly generation: number
  /** since when it can answer with it, milliseconds since 1970 of the system's clock */
  readonly since: number
}

export const noKey: NewestKey = { generation: 0, since: 0 }

/** The worker reads its sockets from now on. */
export interface WorkerReady {
  readonly type: "ready"
}

/** The worker stopped reading, its last counters inside; it exits by itself. */
export interface WorkerDrained {
  readonly type: "drained"
  readonly report: WorkerReport
}

/** Something an operator should read. */
export interface WorkerWarning {
  readonly type: "warning"
  readonly message: string
}

export type FromWorker = WorkerReady | WorkerReport | WorkerDrained | WorkerWarning | PeersSeen

/** Answer what waits, stop reading, report, exit. */
export interface Drain {
  readonly type: "drain"
}
export type ToWorker = Drain

const isReport = (value: unknown): value is WorkerReport => {
  if (!isRecord(value) || value["type"] !== "report" || !isRecord(value["counters"])) return false
  if (!isCounts(value["newestKey"])) return false
  const { received, replied, unsent, oldVersion, overflow, batchSizes, dropped, served } = value["counters"]
  return (
    [received, replied, unsent, oldVersion, overflow, value["rss"], value["heapUsed"]].every((count) =>
      Number.isFinite(count)
    ) &&
    Array.isArray(batchSizes) &&
    isCounts(dropped) &&
    isCounts(served)
  )
}

/** Reads a message from a worker; undefined when it is none of ours. */
export const parseFromWorker = (message: unknown): FromWorker | undefined => {
  if (!isRecord(message)) return undefined
  if (message["type"] === "ready") return { type: "ready" }
  if (message["type"] === "warning" && typeof message["message"] === "string")
    return { type: "warning", message: message["message"] }
  if (isReport(message)) return message
  if (message["type"] === "drained" && isReport(message["report"]))
    return { type: "drained", report: message["report"] }
  return parsePeersSeen(message)
}

/** Reads a message from the supervisor; undefined when it is none of ours. */
export const parseToWorker = (message: unknown): ToWorker | undefined =>
  isRecord(message) && message["type"] === "drain" ? { type: "drain" } : undefined

export const noCounters: WorkerCounters = {
  received: 0,
  replied: 0,
  unsent: 0,
  dropped: {},
  served: {},
  oldVersion: 0,
  overflow: 0,
  batchSizes: BATCH_SIZE_BINS.map(() => 0)
}

const optionalSum = <Name extends string, A>(
  name: Name,
  a: A | undefined,
  b: A | undefined,
  add: (a: A, b: A) => A
) => {
  const sum = a === undefined ? b : b === undefined ? a : add(a, b)
  return (sum === undefined ? {} : { [name]: sum }) as { readonly [key in Name]?: A }
}

/** Sums two sets of counters, reason by reason. `overflow` belongs to a socket, not to a process: the greater one stands. */
export const addCounters = (a: WorkerCounters, b: WorkerCounters): WorkerCounters => ({
  received: a.received + b.received,
  replied: a.replied + b.replied,
  unsent: a.unsent + b.unsent,
  dropped: addCounts(a.dropped, b.dropped),
  served: addCounts(a.served, b.served),
  oldVersion: a.oldVersion + b.oldVersion,
  overflow: Math.max(a.overflow, b.overflow),
  batchSizes: a.batchSizes.map((count, bin) => count + (b.batchSizes[bin] ?? 0)),
  ...optionalSum("kinds", a.kinds, b.kinds, (x, y) => x.map((count, kind) => count + (y[kind] ?? 0))),
  ...optionalSum("cookies", a.cookies, b.cookies, (x, y) => addCounts({ ...x }, { ...y }) as unknown as CookieCounters)
})
