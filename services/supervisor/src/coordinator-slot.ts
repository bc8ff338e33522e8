/** The slot of the coordinator: the process that keeps the event log and knows the keys. The node serves on without it. */
import type { ServingKeys } from "@meridian/auth/serving-keys"
import {
  type CoordinatorReport,
  type FromCoordinator,
  type HealthMessage,
  MAX_CLOCK_EVENTS,
  parseFromCoordinator,
  type ToCoordinator
} from "@meridian/ipc/coordinator-report"
import { projections } from "@meridian/ipc/serving-plan"
import { Service, type ServiceLaunch } from "./service.ts"

/** Decisions of the clock that wait for a coordinator: those of its first minutes, or of a while without one. */
const MOST_AWAITING = 4 * MAX_CLOCK_EVENTS

interface CoordinatorLaunch extends ServiceLaunch {
  /** The clock page, open for reading. */
  readonly clockPage: number
  readonly onKeys: (keys: ServingKeys) => void
  readonly onReport: (report: CoordinatorReport) => void
}

export class CoordinatorSlot {
  readonly service: Service<FromCoordinator>
  /** What it said last; undefined before its first word. */
  report: CoordinatorReport | undefined
  /** Decisions of the clock for a coordinator that is not there. */
  #awaiting: readonly unknown[] = []

  constructor(launch: CoordinatorLaunch) {
    const { clockPage, onKeys, onReport } = launch
    this.service = new Service(launch, {
      name: "coordinator",
      descriptors: () => ({ "--clock-page": [clockPage] }),
      // A long replay or a slow disk may hold it up; nobody waits for it meanwhile.
      silentSeconds: 15,
      longestBackoffMs: 15_000,
      repeatsItself: true,
      project: projections.coordinator,
      read: parseFromCoordinator,
      hear: (said) => {
        if (said.type === "keys") onKeys(said)
        if (said.type === "report") {
          this.report = said
          onReport(said)
        }
        if (said.type === "drained") this.report = said.report
        if (said.type === "ready") this.#handOn()
      }
    })
  }

  tellHealth(health: Omit<HealthMessage, "type">): void {
    this.service.process.broadcast({ type: "health", ...health } satisfies ToCoordinator)
  }

  /** Hands the clock's decisions on, once the coordinator runs: the clock decides before it is there. */
  tellClockEvents(events: readonly unknown[]): void {
    this.#awaiting = [...this.#awaiting, ...events].slice(-MOST_AWAITING)
    if (this.service.process.state === "running") this.#handOn()
  }

  /** A burst beyond what one message holds goes in several. */
  #handOn(): void {
    const events = this.#awaiting as readonly { readonly _tag: string }[]
    this.#awaiting = []
    for (let at = 0; at < events.length; at += MAX_CLOCK_EVENTS) {
      const some = events.slice(at, at + MAX_CLOCK_EVENTS)
      this.service.process.broadcast({ type: "clock-events", events: some } satisfies ToCoordinator)
    }
  }
}
