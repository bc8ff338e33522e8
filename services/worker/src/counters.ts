/** The worker's counters: plain numbers in typed arrays, one per named outcome, turned into a report once a second. */
import { BATCH_SIZE_BINS, type CookieCounters, type WorkerCounters } from "@meridian/ipc/worker-report"
import { LATENCY_BINS } from "@meridian/udp/udp"
import { outcomeReasons, respondReasons } from "@meridian/protocol"

export class Counters {
  /** Indexed by Outcome.index. Doubles: exact to 2^53 packets. */
  readonly outcomes = new Float64Array(outcomeReasons.length)
  /** Answered requests of versions 1 to 3. */
  oldVersion = 0
  /** Datagrams read by version and mode: the low six bits of their first octet. */
  readonly kinds = new Float64Array(64)
  private readonly bins = new Float64Array(BATCH_SIZE_BINS.length)
  /** Datagrams read. Whatever else is counted here, and by those who answer, is counted of them. */
  received = 0
  private answered = 0

  /** Counts one batch: datagrams read, replies written. */
  batch(read: number, written: number): void {
    const bin = 31 - Math.clz32(read)
    this.bins[bin] = (this.bins[bin] ?? 0) + 1
    this.received += read
    this.answered += written
  }

  /**
   * @param replied replies that the kernel took, all sockets of this worker
   * @param overflow datagrams lost in the kernel's receive queues, all sockets of this worker
   * @param latencies of UdpSocket.latencies, all sockets of this worker
   * @param cookies undefined before there are keys
   */
  snapshot(replied: number, overflow: number, latencies: readonly number[], cookies?: CookieCounters): WorkerCounters {
    const served: Record<string, number> = {}
    const dropped: Record<string, number> = {}
    outcomeReasons.forEach((reason, index) => {
      const counts = (respondReasons as readonly string[]).includes(reason) ? served : dropped
      counts[reason] = this.outcomes[index] ?? 0
    })
    return {
      received: this.received,
      replied,
      unsent: this.answered - replied,
      served,
      dropped,
      oldVersion: this.oldVersion,
      overflow,
      batchSizes: [...this.bins],
      batchLatencies: latencies.slice(0, LATENCY_BINS),
      batchMicroseconds: Math.round((latencies[LATENCY_BINS] ?? 0) / 1e3),
      kinds: [...this.kinds],
      ...(cookies && { cookies: { ...cookies } })
    }
  }
}
