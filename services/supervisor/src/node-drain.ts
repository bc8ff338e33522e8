/**
 * Takes the node out of key exchange and brings it back, as the log has it by the coordinator's reports. Time is answered
 * throughout: cookies stay good on every node of the cluster, and clients come back by themselves.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { errnoName } from "@meridian/system/native"
import { tcpAdmit } from "@meridian/tls/tcp-listen"
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import type { DrainStatus } from "@meridian/ipc/node-status"
import type { NtsKeSlot } from "./nts-ke-slot.ts"
import type { PlanBoard } from "./plan-board.ts"

/** A file that says so before the coordinator can, and while its log is out of reach. */
const MARK = "drained"

/** How often it is asked whether the processes have stopped listening, until they have. */
const LOOK_MS = 50

/** Whether the node was drained when it was last told. */
export const wasDrained = (stateDirectory: string): boolean => existsSync(join(stateDirectory, MARK))

export interface NodeDrainParts {
  readonly stateDirectory: string
  /** Its `acceptsNtsKe` begins as {@link wasDrained} has it. */
  readonly board: PlanBoard
  readonly ntsKe: readonly NtsKeSlot[]
  /** Descriptors of the listening TCP sockets; none without the addon, where each process binds its own. */
  readonly listeners: readonly number[]
  readonly report: () => CoordinatorReport | undefined
  /** Starts another process in a place whose process has closed its doors. */
  readonly renew: (slot: NtsKeSlot) => void
  readonly warn: (message: string) => void
}

export class NodeDrain {
  readonly #parts: NodeDrainParts
  #ordered: boolean
  /** Whether the kernel refuses connections by now. */
  #refuses = false
  #looking: NodeJS.Timeout | undefined

  constructor(parts: NodeDrainParts) {
    this.#parts = parts
    this.#ordered = !parts.board.plan.acceptsNtsKe
    // Nobody listens yet, so that nobody need be waited for.
    if (this.#ordered) this.#refuse()
  }

  /** Does what the report asks for. Coming back waits until the node is ready: synchronised, and with all keys. */
  hear({ drained, ready, foldedSeq }: CoordinatorReport): void {
    if (drained && !this.#ordered) this.#remember(true)
    // A coordinator that has read nothing yet knows nothing of it.
    if (drained || foldedSeq > 0) this.#ordered = drained
    const { acceptsNtsKe } = this.#parts.board.plan
    if (drained && acceptsNtsKe) this.#shut()
    if (!drained && !acceptsNtsKe && ready) this.#open()
  }

  /** Null while the node serves as ever. */
  status(): DrainStatus | null {
    const report = this.#parts.report()
    if (this.#ordered) {
      const waitingFor = this.#stepsLeft(report)
      return { state: waitingFor.length === 0 ? "drained" : "draining", waitingFor }
    }
    if (this.#parts.board.plan.acceptsNtsKe) return null
    return { state: "returning", waitingFor: [report?.reason || "the coordinator's word"] }
  }

  /** Asks nobody any more. */
  end(): void {
    clearInterval(this.#looking)
  }

  #stepsLeft(report: CoordinatorReport | undefined): readonly string[] {
    const open = this.#parts.ntsKe.reduce((sum, slot) => sum + slot.status().open, 0)
    return [
      // Of a node on its own there is nothing to give away.
      ...(report?.leading === true && report.adapter === "jetstream" ? ["another node to lead the cluster"] : []),
      ...(this.#refuses ? [] : ["NTS key establishment to stop listening"]),
      ...(open === 0 ? [] : [`key exchanges under way: ${open}`])
    ]
  }

  /** The processes close their doors first: a socket that is shut under them would look like a fault. */
  #shut(): void {
    const { board, ntsKe } = this.#parts
    board.change({ acceptsNtsKe: false })
    const look = (): void => {
      if (ntsKe.some(({ service }) => service.process.pid !== undefined && !service.holdsPlan)) return
      clearInterval(this.#looking)
      this.#refuse()
    }
    clearInterval(this.#looking)
    this.#looking = setInterval(look, LOOK_MS)
  }

  #refuse(): void {
    this.#admit(false)
    this.#refuses = true
  }

  #open(): void {
    const { board, ntsKe, renew } = this.#parts
    clearInterval(this.#looking)
    this.#admit(true)
    this.#refuses = false
    this.#remember(false)
    board.change({ acceptsNtsKe: true })
    for (const slot of ntsKe) renew(slot)
  }

  #admit(admits: boolean): void {
    for (const descriptor of this.#parts.listeners) {
      try {
        tcpAdmit(descriptor, admits)
      } catch (error) {
        const what = admits ? "take" : "refuse"
        this.#parts.warn(`the system does not ${what} key exchanges any more (${errnoName(error)}): restart the node`)
      }
    }
  }

  #remember(drained: boolean): void {
    const file = join(this.#parts.stateDirectory, MARK)
    try {
      if (drained) writeFileSync(file, "by `meridian cluster drain`; the event log says whether it still is\n")
      else rmSync(file, { force: true })
    } catch (error) {
      this.#parts.warn(
        `${file} cannot be ${drained ? "written" : "removed"} (${errnoName(error)}): the next start knows only by the log whether the node is drained`
      )
    }
  }
}
