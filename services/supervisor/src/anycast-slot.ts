/** The place of the process that announces the node's routes. Where it is gone, another takes over the route as it stands. */
import { type AnycastFacts, type AnycastReport, type FromAnycast, parseFromAnycast } from "@meridian/ipc/anycast-report"
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import type { AnycastStatus } from "@meridian/ipc"
import { projections } from "@meridian/ipc/serving-plan"
import { everyTurn, type Turns } from "@meridian/ipc/turns"
import { afterReports } from "./pacing.ts"
import type { PlanBoard } from "./plan-board.ts"
import { Service } from "./service.ts"

const NODE_FLAGS = [
  "--max-semi-space-size=1",
  "--v8-pool-size=1",
  "--optimize-for-size",
  "--disable-warning=ExperimentalWarning"
]

/** A route that does not follow health is what it is there to prevent. */
const SILENT_SECONDS = 3

interface AnycastLaunch {
  /** The service's main.ts. */
  readonly program: string
  /** The clock page, open for reading. */
  readonly clockPage: number
  /** The node's own network device, where it has one. */
  readonly device: number | undefined
  readonly board: PlanBoard
  readonly warn: (message: string) => void
  readonly inform: (message: string) => void
}

export class AnycastSlot {
  readonly service: Service<FromAnycast>
  /** What it said last; undefined before its first word. */
  report: AnycastReport | undefined
  private told: Omit<AnycastFacts, "type"> | undefined

  constructor({ program, clockPage, device, board, warn, inform }: AnycastLaunch) {
    this.service = new Service(
      {
        name: "anycast",
        program,
        nodeFlags: NODE_FLAGS,
        silentSeconds: SILENT_SECONDS,
        // Two would contradict each other.
        overlaps: false,
        descriptors: () => ({ "--clock-page": [clockPage], "--device": device === undefined ? [] : [device] }),
        plan: () => projections.anycast(board.plan),
        read: parseFromAnycast,
        hear: (said) => {
          if (said.type === "report") this.report = said
          if (said.type === "warning") warn(said.message)
          if (said.type === "step") inform(said.message)
          // What it was told before it listened is gone.
          if (said.type === "ready" && this.told !== undefined) this.tell(this.told)
        },
        gone: () => (this.report = undefined),
        warn
      },
      () => board.version
    )
  }

  /** Tells it what the supervisor knows of the node's health. */
  tell(facts: Omit<AnycastFacts, "type">): void {
    this.told = facts
    this.service.process.broadcast({ type: "facts", ...facts } satisfies AnycastFacts)
  }

  /** What speaks against this node is told at once: clients must not be sent here meanwhile. */
  hearCoordinator({ keyProblem = "", clockDoubt = "" }: CoordinatorReport): void {
    if (this.told === undefined) return
    const isNew = keyProblem !== this.told.keyProblem || clockDoubt !== this.told.clockDoubt
    if (isNew) this.tell({ ...this.told, keyProblem, clockDoubt })
  }

  /** Whether no client is sent here any more; false while nobody knows. */
  get isWithdrawn(): boolean {
    return this.report !== undefined && !this.report.announced && this.report.settled
  }

  status(): AnycastStatus {
    const { pid, state, restarts } = this.service.process
    const { announced, settled, problems, announcers, changes, probes, rss } = this.report ?? {
      announced: null,
      settled: false,
      problems: [],
      announcers: [],
      changes: 0,
      probes: { sent: 0, answered: 0 },
      rss: 0
    }
    return { pid, state, restarts, announced, settled, problems, announcers, changes, probes, rss }
  }
}

/** Below this nobody sets a bound. */
const RATE_WORTH_TELLING = 100

/** How often health's facts are looked at; they are told when they are others, and after so many looks without. */
const FACTS_MS = 1_000
const REPEATED = 3

interface Counted {
  readonly workers: number
  readonly exchanging: number
  readonly keyProblem: string
  readonly clockDoubt: string
  /** Requests since the start. */
  readonly received: number
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: number
}

/** Keeps the process told of the node's health, until it is stopped. */
export const tellFacts = (slot: AnycastSlot, count: () => Counted): Turns => {
  let before = count()
  let known = ""
  let same = 0
  const tell = (): void => {
    const { received, monotonic, ...told } = count()
    const seconds = Math.max(0.001, monotonic - before.monotonic)
    const rate = Math.max(0, received - before.received) / seconds
    before = { ...told, received, monotonic }
    const news = JSON.stringify(told)
    same = news === known ? same + 1 : 0
    known = news
    if (same % REPEATED === 0 || rate > RATE_WORTH_TELLING) slot.tell({ ...told, rate })
  }
  tell()
  return everyTurn(FACTS_MS, tell, afterReports)
}
