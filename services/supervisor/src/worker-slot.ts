/** A worker's place: its process, its sockets, and counters that outlive the processes that filled it. */
import { type ChildProcess, spawn } from "node:child_process"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import type { WorkerStatus } from "@meridian/ipc/node-status"
import type { PeersSeen } from "@meridian/ipc/peer-sighting"
import {
  addCounters,
  noCounters,
  noKey,
  parseFromWorker,
  type ToWorker,
  type WorkerCounters,
  type WorkerReport
} from "@meridian/ipc/worker-report"
import { type ProcessPlan, SupervisedProcess } from "./supervised-process.ts"

/** How a worker gets its sockets: descriptors that the supervisor holds, or addresses to bind itself (no addon). */
export type WorkerSockets =
  | { readonly _tag: "descriptors"; readonly descriptors: readonly number[] }
  | { readonly _tag: "bind"; readonly places: readonly { readonly address: string; readonly port: number }[] }

export interface WorkerLaunch {
  readonly index: number
  /** The worker's main.ts. */
  readonly program: string
  /** The clock page, open for reading. */
  readonly clockPage: number
  readonly sockets: WorkerSockets
  /** The keys as they stand, for a process that starts; undefined where the node has none to give. */
  readonly keys: (() => ServingKeys) | undefined
  /** Told of peers that nobody configured; undefined where none is to be taken. */
  readonly onPeers: ((seen: PeersSeen) => void) | undefined
}

/** The descriptors a child finds after standard in, out, error and the message channel. */
const FIRST_PASSED_DESCRIPTOR = 4

/**
 * Smaller heaps, fewer helper threads and one optimising compiler in place of two: a worker allocates nothing on its packet
 * path, and its few hot functions reach the last tier within seconds.
 */
const NODE_FLAGS = [
  "--max-semi-space-size=1",
  "--v8-pool-size=1",
  "--no-maglev",
  "--disable-warning=ExperimentalWarning"
]

const spawnWorker = (launch: WorkerLaunch): ChildProcess => {
  const { sockets } = launch
  const descriptors = sockets._tag === "descriptors" ? sockets.descriptors : []
  const numbers = descriptors.map((_, at) => FIRST_PASSED_DESCRIPTOR + 1 + at)
  const where =
    sockets._tag === "descriptors"
      ? ["--sockets", numbers.join(",")]
      : sockets.places.flatMap(({ address, port }) => ["--bind", `${address},${port}`])
  const child = spawn(
    process.execPath,
    [
      ...NODE_FLAGS,
      launch.program,
      "--clock-page",
      String(FIRST_PASSED_DESCRIPTOR),
      ...(launch.keys === undefined ? [] : ["--await-keys"]),
      ...(launch.onPeers === undefined ? [] : ["--tell-peers"]),
      ...where
    ],
    { stdio: ["ignore", "inherit", "inherit", "ipc", launch.clockPage, ...descriptors], serialization: "advanced" }
  )
  if (launch.keys !== undefined) child.send(launch.keys(), () => {})
  return child
}

interface Seen {
  readonly report: WorkerReport
  readonly at: number
  readonly receivedPerSecond: number
  readonly repliedPerSecond: number
}

export class WorkerSlot {
  readonly index: number
  readonly process: SupervisedProcess
  /** Sum over the processes that are gone. */
  private retired: WorkerCounters = noCounters
  private readonly latest = new Map<number, Seen>()

  constructor(launch: WorkerLaunch) {
    this.index = launch.index
    const plan: ProcessPlan = {
      name: `worker ${launch.index}`,
      spawn: () => spawnWorker(launch),
      onMessage: (pid, message) => this.hear(pid, message, launch),
      onExit: (pid) => this.retire(pid),
      askToEnd: (child) => {
        // A channel that closed a moment ago means that the worker is ending already.
        if (child.connected) child.send({ type: "drain" } satisfies ToWorker, () => {})
      }
    }
    this.process = new SupervisedProcess(plan)
  }

  /** Everything this place has counted, whichever processes counted it. */
  get counters(): WorkerCounters {
    return [...this.latest.values()].reduce((sum, seen) => addCounters(sum, seen.report.counters), this.retired)
  }

  status(): WorkerStatus {
    const { pid, state, restarts } = this.process
    const all = [...this.latest.values()]
    const own = pid === undefined ? undefined : this.latest.get(pid)
    return {
      index: this.index,
      pid,
      state,
      restarts,
      ...this.counters,
      rss: own?.report.rss ?? 0,
      heapUsed: own?.report.heapUsed ?? 0,
      newestKey: own?.report.newestKey ?? noKey,
      receivedPerSecond: all.reduce((sum, seen) => sum + seen.receivedPerSecond, 0),
      repliedPerSecond: all.reduce((sum, seen) => sum + seen.repliedPerSecond, 0)
    }
  }

  private hear(pid: number, message: unknown, launch: WorkerLaunch): boolean {
    const heard = parseFromWorker(message)
    if (heard === undefined) return false
    if (heard.type === "report") this.note(pid, heard)
    if (heard.type === "drained") this.note(pid, heard.report)
    if (heard.type === "peers-seen") launch.onPeers?.(heard)
    return heard.type === "ready"
  }

  private note(pid: number, report: WorkerReport): void {
    const before = this.latest.get(pid)
    const at = performance.now() / 1000
    const seconds = before === undefined ? 1 : Math.max(at - before.at, 0.001)
    const received = report.counters.received - (before?.report.counters.received ?? 0)
    const replied = report.counters.replied - (before?.report.counters.replied ?? 0)
    this.latest.set(pid, {
      report,
      at,
      receivedPerSecond: Math.round(received / seconds),
      repliedPerSecond: Math.round(replied / seconds)
    })
  }

  private retire(pid: number): void {
    const last = this.latest.get(pid)
    this.latest.delete(pid)
    if (last !== undefined) this.retired = addCounters(this.retired, last.report.counters)
  }
}
