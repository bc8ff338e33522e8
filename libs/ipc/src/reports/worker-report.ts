/**
 * What a worker tells its supervisor, and the messages between the two. Counts are totals since the worker started and only
 * grow; rates are the reader's business.
 */
import { peersSeen, type PeersSeen } from "./peer-sighting.ts"
import { type FromService, readerOf, type ToldBy, toldOf } from "../channel/service-messages.ts"
import { bins, count, counts, finite, flag, greatest, optional, record, type TypeOf, words } from "../channel/shape.ts"
import { sumOf, zeroOf } from "../channel/sums.ts"

/** Upper bounds of the batch-size histogram's bins: 1, 2–3, 4–7, … 64. */
export const BATCH_SIZE_BINS = [1, 3, 7, 15, 31, 63, 64] as const

/** Upper bounds of the bins of batches by the time from receive to send, seconds: 2 µs, 4 µs, … 33 ms. */
export const BATCH_LATENCY_BINS: readonly number[] = Array.from({ length: 15 }, (_, bin) => 2 ** (bin + 1) / 1e6)

/**
 * The time within which this share of batches was answered, seconds: the upper bound of the bin that it falls into. Undefined where none was, or
 * where it lies beyond the last bound.
 */
export const batchLatency = (latencies: readonly number[], share: number): number | undefined => {
  const all = latencies.reduce((sum, one) => sum + one, 0)
  let below = 0
  const bin = latencies.findIndex((one) => (below += one) >= share * all)
  return all === 0 ? undefined : BATCH_LATENCY_BINS[bin]
}

/** NTS cookies that were opened, by the age of their master key, and made; see NtsServer of libs/auth. */
const cookieCounters = record({
  made: count,
  /** Under the generation that seals now, or one to come. */
  current: count,
  old: count,
  old2: count,
  older: count,
  /** Under none that is known, or one that is retired or revoked. */
  unknown: count,
  /** Not opened by the key that they name. These are in one of the counts by age, too. */
  forged: count
})
export type CookieCounters = TypeOf<typeof cookieCounters>

export const workerCounters = record({
  /** Datagrams read. Equals replied + dropped + unsent. */
  received: count,
  /** Replies the kernel took. */
  replied: count,
  /** Replies the kernel refused (full send queue, unreachable). */
  unsent: count,
  /** By reason, see libs/protocol outcome.ts; reasons with replies are in `served`. */
  dropped: counts,
  served: counts,
  /** Those of the answered that asked in NTP version 1, 2 or 3. */
  oldVersion: count,
  /** Datagrams the kernel dropped because the receive queue was full (SO_RXQ_OVFL), since the socket was opened: a socket's, not a process's. */
  overflow: greatest(count),
  /** How many receive calls returned how many datagrams; bins end at {@link BATCH_SIZE_BINS}. */
  batchSizes: bins(BATCH_SIZE_BINS.length),
  /** Batches by how long they were in hand; bins end at {@link BATCH_LATENCY_BINS}, the last has what took longer. */
  batchLatencies: optional(bins(BATCH_LATENCY_BINS.length + 1)),
  /** All of those times together, µs. */
  batchMicroseconds: optional(count),
  /** Datagrams read by version (0 … 7) and mode (0 … 7), at version · 8 + mode; absent before the first report. */
  kinds: optional(bins(64)),
  cookies: optional(cookieCounters)
})
export type WorkerCounters = TypeOf<typeof workerCounters>

/** The newest generation of the NTS master key that a worker holds. */
const newestKey = record({
  /** 0 for none */
  generation: count,
  /** since when it can answer with it, milliseconds since 1970 of the system's clock */
  since: finite()
})
type NewestKey = TypeOf<typeof newestKey>

export const noKey: NewestKey = { generation: 0, since: 0 }

const workerReport = record({
  type: words("report"),
  counters: workerCounters,
  /** Within so many seconds came what was not in the report before. */
  seconds: finite(0),
  /** bytes */
  rss: count,
  /** bytes */
  heapUsed: count,
  /** whether the clock page was good at the last look */
  synchronised: flag,
  newestKey
})
export type WorkerReport = TypeOf<typeof workerReport>

export type FromWorker = FromService<WorkerReport, PeersSeen>

/** Reads a message from a worker; undefined when it is none of ours. @throws InvalidMessage */
export const parseFromWorker = readerOf(workerReport, { "peers-seen": peersSeen })

/** `look`: report at once, somebody looks. `outlive`: go on without a channel until you are told to end by SIGTERM. */
export const parseToWorker = toldOf({ look: record({}), outlive: record({}) })
export type ToWorker = ToldBy<typeof parseToWorker>

export const noCounters: WorkerCounters = zeroOf(workerCounters)

/** Sums two sets of counters, reason by reason. */
export const addCounters = (a: WorkerCounters, b: WorkerCounters): WorkerCounters => sumOf(workerCounters, a, b)
