/**
 * Takes the node out and brings it back, as the log has it by the coordinator's reports: the route is withdrawn, routers get time to
 * converge, key exchange stops, and after a time of grace the node is drained. Time is answered throughout: cookies stay good on
 * every node of the cluster, and clients come back by themselves.
 */
import { existsSync, rmSync, writeFileSync } from "@meridian/system/files"
import { join } from "node:path"
import { reasonOf } from "@meridian/system/errno-words"
import { tcpAdmit } from "@meridian/tls/tcp-listen"
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import type { DrainStatus } from "@meridian/ipc"
import type { NtsKeSlot } from "./nts-ke-slot.ts"
import type { LivePlan } from "./live-plan.ts"

/** A file that says so before the coordinator can, and while its log is out of reach. */
const MARK = "drained"

/** How often it is asked whether the next step may be taken, until all are. */
const LOOK_MS = 50

/** An announcer that does not do as it is told holds up a drain for no longer than this, seconds. */
const WITHDRAWAL_LIMIT = 10

/** Whether the node was drained when it was last told. */
export const wasDrained = (stateDirectory: string): boolean => existsSync(join(stateDirectory, MARK))

interface NodeDrainParts {
  readonly stateDirectory: string
  /** Its `acceptsNtsKe` and `announces` begin as {@link wasDrained} has it. */
  readonly live: LivePlan
  readonly ntsKe: readonly NtsKeSlot[]
  /** Whether no route leads here any more; undefined where none is announced. */
  readonly isWithdrawn: (() => boolean) | undefined
  /** Seconds for routers to converge, and of grace after key exchange has stopped. */
  readonly wait: number
  readonly grace: number
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: () => number
  /** Descriptors of the listening TCP sockets; none without the addon, where each process binds its own. */
  readonly listeners: () => readonly number[]
  readonly report: () => CoordinatorReport | undefined
  /** Starts another process in a slot whose process has stopped listening. */
  readonly renew: (slot: NtsKeSlot) => void
  readonly warn: (message: string) => void
}

/** When each step of a drain was reached, by CLOCK_MONOTONIC; undefined before it was. */
interface Steps {
  readonly orderedAt: number
  withdrawnAt?: number
  shutAt?: number
  done: boolean
}

export class NodeDrain {
  readonly #parts: NodeDrainParts
  /** By an operator, as the log has it. */
  #ordered: boolean
  /** Undefined while the node serves as ever. */
  #steps: Steps | undefined
  /** Whether the kernel refuses connections by now. */
  #refuses = false
  #looking: NodeJS.Timeout | undefined
  #left: (() => void) | undefined

  constructor(parts: NodeDrainParts) {
    this.#parts = parts
    this.#ordered = !parts.live.plan.acceptsNtsKe
    if (!this.#ordered) return
    // Nobody listens yet, and nothing is announced, so that nothing need be waited for.
    this.#refuse()
    this.#steps = { orderedAt: 0, withdrawnAt: 0, shutAt: 0, done: true }
  }

  /** Does what the report asks for. Coming back waits until the node is ready: synchronised, and with all keys. */
  hear({ drained, ready, foldedSeq }: CoordinatorReport): void {
    if (drained && !this.#ordered) this.#remember(true)
    // A coordinator that has read nothing yet knows nothing of it.
    if (drained || foldedSeq > 0) this.#ordered = drained
    if (drained) this.#begin()
    else if (!this.#ordered && ready && this.#steps !== undefined && this.#left === undefined) this.#open()
  }

  /** The same steps for a node that is about to end; resolves when they are done. The next start knows nothing of it. */
  leave(): Promise<void> {
    if (this.#steps?.done === true) return Promise.resolve()
    return new Promise((done) => {
      this.#left = done
      this.#begin()
    })
  }

  /** Null while the node serves as ever. */
  status(): DrainStatus | null {
    if (this.#steps === undefined) return null
    const report = this.#parts.report()
    if (!this.#ordered && this.#left === undefined)
      return { state: "returning", waitingFor: [report?.reason || "the coordinator's word"] }
    const waitingFor = this.#stepsLeft(this.#steps, report)
    return { state: waitingFor.length === 0 ? "drained" : "draining", waitingFor }
  }

  /** New listening sockets of a node that takes no key exchange take none either. */
  holdShut(): void {
    if (this.#refuses) this.#admit(false)
  }

  /** Asks nobody any more. */
  end(): void {
    clearInterval(this.#looking)
  }

  #stepsLeft({ withdrawnAt, shutAt, done }: Steps, report: CoordinatorReport | undefined): readonly string[] {
    const { wait, grace } = this.#parts
    const now = this.#parts.monotonic()
    const left = (until: number): string => `${Math.max(0, Math.ceil(until - now))} s left`
    // Of a node on its own there is nothing to give away.
    const leads = report?.leading === true && report.adapter === "jetstream"
    const leading = leads ? ["another node to lead the cluster"] : []
    if (done) return leading
    if (withdrawnAt === undefined) return [...leading, "the route to be withdrawn"]
    if (now < withdrawnAt + wait) return [...leading, `routers to send clients elsewhere: ${left(withdrawnAt + wait)}`]
    if (!this.#refuses) return [...leading, "NTS key establishment to stop listening"]
    if (shutAt === undefined) return [...leading, `key exchanges under way: ${this.#openExchanges()}`]
    return [...leading, `the last clients to go: ${left(shutAt + grace)}`]
  }

  #openExchanges(): number {
    return this.#parts.ntsKe.reduce((sum, slot) => sum + slot.status().open, 0)
  }

  #begin(): void {
    if (this.#steps !== undefined) return
    const { live, monotonic } = this.#parts
    this.#steps = { orderedAt: monotonic(), done: false }
    live.change({ announces: false })
    clearInterval(this.#looking)
    this.#looking = setInterval(() => this.#advance(), LOOK_MS)
  }

  /** Takes every step that may be taken by now, one after the other. */
  #advance(): void {
    const { live, ntsKe, isWithdrawn, wait, grace, monotonic, warn } = this.#parts
    const steps = this.#steps
    if (steps === undefined || steps.done) return
    const now = monotonic()
    if (steps.withdrawnAt === undefined) {
      const isLate = now - steps.orderedAt > WITHDRAWAL_LIMIT
      if (isWithdrawn !== undefined && !isWithdrawn() && !isLate) return
      if (isLate) warn(`the route was not withdrawn within ${WITHDRAWAL_LIMIT} s; the drain goes on without`)
      steps.withdrawnAt = now
    }
    if (now < steps.withdrawnAt + wait) return
    if (!this.#refuses) {
      // The processes stop listening first: a socket that is shut under them would look like a fault.
      if (live.plan.acceptsNtsKe) live.change({ acceptsNtsKe: false })
      if (ntsKe.some(({ service }) => service.process.pid !== undefined && !service.holdsPlan)) return
      this.#refuse()
    }
    if (steps.shutAt === undefined) {
      if (this.#openExchanges() > 0) return
      steps.shutAt = now
    }
    if (now < steps.shutAt + grace) return
    steps.done = true
    clearInterval(this.#looking)
    this.#left?.()
  }

  #refuse(): void {
    this.#admit(false)
    this.#refuses = true
  }

  #open(): void {
    const { live, ntsKe, renew } = this.#parts
    clearInterval(this.#looking)
    this.#steps = undefined
    this.#remember(false)
    const isShut = !live.plan.acceptsNtsKe
    if (isShut) this.#admit(true)
    this.#refuses = false
    live.change({ acceptsNtsKe: true, announces: true })
    if (isShut) for (const slot of ntsKe) renew(slot)
  }

  #admit(admits: boolean): void {
    for (const descriptor of this.#parts.listeners()) {
      try {
        tcpAdmit(descriptor, admits)
      } catch (error) {
        const what = admits ? "take" : "refuse"
        this.#parts.warn(`the system does not ${what} key exchanges any more (${reasonOf(error)}): restart the node`)
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
        `${file} cannot be ${drained ? "written" : "removed"} (${reasonOf(error)}): the next start knows only by the log whether the node is drained`
      )
    }
  }
}
