/** A worker's place: its process, its sockets, and counters that outlive the processes that filled it. */
import type { WorkerStatus } from "@meridian/ipc"
import type { PeersSeen } from "@meridian/ipc/peer-sighting"
import { projections } from "@meridian/ipc/serving-plan"
import {
  type FromWorker,
  noKey,
  parseFromWorker,
  type ToWorker,
  type WorkerCounters,
  workerCounters,
  type WorkerReport
} from "@meridian/ipc/worker-report"
import { LastingFigures } from "./lasting-figures.ts"
import type { PacketServiceLaunch } from "./packet-service.ts"
import { Service } from "./service.ts"

/** A report that is no older says how things are; seconds. */
const FRESH_SECONDS = 0.1

interface WorkerLaunch extends PacketServiceLaunch {
  readonly index: number
  /** Memory of its list of clients as it is now, which outlives its processes; undefined where none could be made. */
  readonly clients: () => number | undefined
  /** Told of peers that nobody configured. */
  readonly onPeers: (seen: PeersSeen) => void
}

interface Seen {
  readonly report: WorkerReport
  readonly at: number
  readonly receivedPerSecond: number
  readonly repliedPerSecond: number
}

export class WorkerSlot {
  readonly index: number
  readonly service: Service<FromWorker>
  /** Called at its next report. */
  private waiting: (() => void)[] = []
  private readonly figures = new LastingFigures(workerCounters, ({ report }: Seen) => report.counters)

  constructor(launch: WorkerLaunch) {
    const { index, clockPage, clients, sockets, onPeers } = launch
    this.index = index
    this.service = new Service(launch, {
      name: `worker ${index}`,
      // One optimising compiler in place of two: its few hot functions reach the last tier within seconds.
      nodeFlags: ["--no-maglev"],
      // Its share of the clients is in the dark until another has taken its place.
      silentSeconds: 3,
      overlaps: true,
      descriptors: () => {
        const memory = clients()
        return {
          "--clock-page": [clockPage],
          "--clients": memory === undefined ? [] : [memory],
          "--sockets": sockets.descriptors
        }
      },
      places: () => sockets.places,
      project: projections.worker,
      read: parseFromWorker,
      hear: (said, pid) => {
        if (said.type === "report") this.note(pid, said)
        if (said.type === "drained") this.note(pid, said.report)
        if (said.type === "peers-seen") onPeers(said)
      },
      gone: (pid) => this.figures.retire(pid)
    })
  }

  /** Everything this place has counted, whichever processes counted it. */
  get counters(): WorkerCounters {
    return this.figures.sum
  }

  /** Requests, whichever processes read them. */
  get received(): number {
    return this.figures.sum.received
  }

  status(): WorkerStatus {
    const { pid, state, restarts } = this.service.process
    const { reports } = this.figures
    const own = this.figures.of(pid)
    return {
      index: this.index,
      pid,
      state,
      restarts,
      ...this.counters,
      rss: own?.report.rss ?? 0,
      heapUsed: own?.report.heapUsed ?? 0,
      newestKey: own?.report.newestKey ?? noKey,
      receivedPerSecond: reports.reduce((sum, seen) => sum + seen.receivedPerSecond, 0),
      repliedPerSecond: reports.reduce((sum, seen) => sum + seen.repliedPerSecond, 0)
    }
  }

  /** Has its process say how things are, and waits until it did; forever where it does not. */
  look(): Promise<void> {
    const { pid, state } = this.service.process
    const last = this.figures.of(pid)
    const isFresh = last !== undefined && performance.now() / 1000 - last.at < FRESH_SECONDS
    if (state !== "running" || isFresh) return Promise.resolve()
    this.service.process.broadcast({ type: "look" } satisfies ToWorker)
    return new Promise((reported) => this.waiting.push(reported))
  }

  private note(pid: number, report: WorkerReport): void {
    const before = this.figures.of(pid)
    const at = performance.now() / 1000
    const { received, replied } = report.counters
    this.figures.note(pid, {
      report,
      at,
      receivedPerSecond: rateOf(
        received - (before?.report.counters.received ?? 0),
        report.seconds,
        before?.receivedPerSecond
      ),
      repliedPerSecond: rateOf(
        replied - (before?.report.counters.replied ?? 0),
        report.seconds,
        before?.repliedPerSecond
      )
    })
    for (const reported of this.waiting.splice(0)) reported()
  }
}

/**
 * A rate as whole numbers a second. What was counted in less than a second, as where somebody looks just after a report, is filled up to one by the rate
 * before: else a few requests would make it leap.
 */
export const rateOf = (counted: number, seconds: number, before = 0): number =>
  Math.round(seconds >= 1 ? counted / seconds : counted + (1 - seconds) * before)
