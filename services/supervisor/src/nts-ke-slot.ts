/** An NTS-KE process's place: its listening sockets, and counters that outlive the processes that filled it. */
import { type ChildProcess, spawn } from "node:child_process"
import {
  addNtsKeCounters,
  type NtsKeCounters,
  type NtsKeReport,
  noNtsKeCounters,
  parseFromNtsKe,
  type ToNtsKe
} from "@meridian/ipc/nts-ke-report"
import type { NtsKeStatus } from "@meridian/ipc/node-status"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { SupervisedProcess } from "./supervised-process.ts"

export interface NtsKeLaunch {
  readonly index: number
  /** The service's main.ts. */
  readonly program: string
  /** Its arguments, but for the sockets. */
  readonly arguments: readonly string[]
  /** Listening sockets, or with no addon the addresses to bind. */
  readonly sockets:
    | { readonly _tag: "descriptors"; readonly descriptors: readonly number[] }
    | { readonly _tag: "bind"; readonly addresses: readonly string[]; readonly port: number }
  readonly keys: () => ServingKeys
  readonly warn: (message: string) => void
}

/** The descriptors a child finds after standard in, out, error and the message channel. */
const FIRST_PASSED_DESCRIPTOR = 4

const NODE_FLAGS = ["--max-semi-space-size=4", "--v8-pool-size=1", "--disable-warning=ExperimentalWarning"]

const spawnNtsKe = (launch: NtsKeLaunch): ChildProcess => {
  const { sockets } = launch
  const descriptors = sockets._tag === "descriptors" ? sockets.descriptors : []
  const where =
    sockets._tag === "descriptors"
      ? ["--descriptors", descriptors.map((_, at) => FIRST_PASSED_DESCRIPTOR + at).join(",")]
      : sockets.addresses.flatMap((address) => ["--bind", `${address},${sockets.port}`])
  const child = spawn(process.execPath, [...NODE_FLAGS, launch.program, ...where, ...launch.arguments], {
    stdio: ["ignore", "inherit", "inherit", "ipc", ...descriptors],
    serialization: "advanced"
  })
  child.send(launch.keys(), () => {})
  return child
}

export class NtsKeSlot {
  readonly index: number
  readonly process: SupervisedProcess
  private retired: NtsKeCounters = noNtsKeCounters
  private readonly latest = new Map<number, NtsKeReport>()
  private readonly warn: (message: string) => void

  constructor(launch: NtsKeLaunch) {
    this.index = launch.index
    this.warn = launch.warn
    this.process = new SupervisedProcess({
      name: `nts-ke ${launch.index}`,
      spawn: () => spawnNtsKe(launch),
      onMessage: (pid, message) => this.hear(pid, message),
      onExit: (pid) => this.retire(pid),
      askToEnd: (child) => {
        if (child.connected) child.send({ type: "drain" } satisfies ToNtsKe, () => {})
      }
    })
  }

  status(): NtsKeStatus {
    const { pid, state, restarts } = this.process
    const own = pid === undefined ? undefined : this.latest.get(pid)
    const counters = [...this.latest.values()].reduce(
      (sum, report) => addNtsKeCounters(sum, report.counters),
      this.retired
    )
    return {
      index: this.index,
      pid,
      state,
      restarts,
      ...counters,
      open: own?.open ?? 0,
      tls: own?.tls,
      rss: own?.rss ?? 0,
      certificates: own?.certificates ?? []
    }
  }

  private hear(pid: number, message: unknown): boolean {
    const heard = parseFromNtsKe(message)
    if (heard === undefined) return false
    if (heard.type === "report") this.latest.set(pid, heard)
    if (heard.type === "drained") this.latest.set(pid, heard.report)
    if (heard.type === "warning") this.warn(heard.message)
    return heard.type === "ready"
  }

  private retire(pid: number): void {
    const last = this.latest.get(pid)
    this.latest.delete(pid)
    if (last !== undefined) this.retired = addNtsKeCounters(this.retired, last.counters)
  }
}
