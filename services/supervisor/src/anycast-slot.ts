/** The slot of the process that announces the node's routes. Where it is gone, another takes over the route as it stands. */
import { type AnycastFacts, type AnycastReport, type FromAnycast, parseFromAnycast } from "@meridian/ipc/anycast-report"
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import type { AnycastStatus } from "@meridian/ipc"
import { projections } from "@meridian/ipc/serving-plan"
import { everyTurn, type Turns } from "@meridian/ipc/turns"
import { afterReports, onNews } from "./pacing.ts"
import { Service, type ServiceLaunch } from "./service.ts"

interface AnycastLaunch extends ServiceLaunch {
  /** The clock page, open for reading. */
  readonly clockPage: number
  /** The node's own network device, where it has one. */
  readonly device: number | undefined
  readonly inform: (message: string) => void
}

export class AnycastSlot {
  readonly service: Service<FromAnycast>
  /** What it said last; undefined before its first word. */
  report: AnycastReport | undefined
  private told: Omit<AnycastFacts, "type"> | undefined

  constructor(launch: AnycastLaunch) {
    const { clockPage, device, inform } = launch
    this.service = new Service(launch, {
      name: "anycast",
      // A route that does not follow health is what it is there to prevent.
      silentSeconds: 3,
      // Two would contradict each other.
      overlaps: false,
      descriptors: () => ({ "--clock-page": [clockPage], "--device": device === undefined ? [] : [device] }),
      project: projections.anycast,
      read: parseFromAnycast,
      hear: (said) => {
        if (said.type === "report") this.report = said
        if (said.type === "step") inform(said.message)
        // What it was told before it listened is gone.
        if (said.type === "ready" && this.told !== undefined) this.tell(this.told)
      },
      gone: () => (this.report = undefined)
    })
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
    const none = { announced: null, settled: false, problems: [], announcers: [], changes: 0, rss: 0 }
    const { type: _, ...said } = { type: "report", probes: { sent: 0, answered: 0 }, ...none, ...this.report }
    return { pid, state, restarts, ...said }
  }
}

/** Below this nobody sets a bound. */
const RATE_WORTH_TELLING = 100

/** How often health's facts are looked at, and where nothing is new; they are told when they are others, and after so many seconds without. */
const FACTS_MS = 1_000
const QUIET_FACTS_MS = 4_000
const REPEATED_SECONDS = 4

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

/** Keeps the process told of the node's health, until it is stopped. Whoever sees something new has it look {@link Turns.sooner}. */
export const tellFacts = (slot: AnycastSlot, freshen: () => Promise<void>, count: () => Counted): Turns => {
  let before = count()
  let known = ""
  let isQuiet = false
  const isDue = onNews(REPEATED_SECONDS, () => before.monotonic)
  const tell = (): void => {
    const { received, monotonic, ...told } = count()
    const seconds = Math.max(0.001, monotonic - before.monotonic)
    const rate = Math.max(0, received - before.received) / seconds
    before = { ...told, received, monotonic }
    const says = JSON.stringify(told)
    isQuiet = says === known && rate <= RATE_WORTH_TELLING
    known = says
    if (isDue(says) || !isQuiet) slot.tell({ ...told, rate })
  }
  tell()
  const turns = everyTurn(
    () => (isQuiet ? QUIET_FACTS_MS : FACTS_MS),
    () =>
      void freshen().then(() => {
        tell()
        if (!isQuiet) turns.sooner(FACTS_MS)
      }),
    afterReports
  )
  return turns
}
