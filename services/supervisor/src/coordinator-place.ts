/** The place of the coordinator: the process that keeps the event log and knows the keys. The node serves on without it. */
import { spawn } from "node:child_process"
import { parseServingKeys, type ServingKeys } from "@meridian/auth/serving-keys"
import {
  type CoordinatorReport,
  type HealthMessage,
  MAX_CLOCK_EVENTS,
  parseFromCoordinator,
  type ToCoordinator
} from "@meridian/ipc/coordinator-report"
import { SupervisedProcess } from "./supervised-process.ts"

/** Folding a log is no hot path: smaller code and a smaller young heap save 12 MB. */
const NODE_FLAGS = ["--max-semi-space-size=1", "--v8-pool-size=1", "--optimize-for-size"]

export interface CoordinatorLaunch {
  /** The service's main.ts. */
  readonly program: string
  readonly arguments: readonly string[]
  /** What it finds in its environment besides ours. */
  readonly environment: Readonly<Record<string, string>>
  readonly onKeys: (keys: ServingKeys) => void
  readonly warn: (message: string) => void
}

export class CoordinatorPlace {
  readonly process: SupervisedProcess
  /** What it said last; undefined before its first word. */
  report: CoordinatorReport | undefined

  constructor(launch: CoordinatorLaunch) {
    this.process = new SupervisedProcess({
      name: "coordinator",
      spawn: () =>
        spawn(process.execPath, [...NODE_FLAGS, launch.program, ...launch.arguments], {
          stdio: ["ignore", "inherit", "inherit", "ipc"],
          serialization: "advanced",
          env: { ...process.env, ...launch.environment }
        }),
      onMessage: (_pid, message) => this.hear(message, launch),
      onExit: () => {},
      askToEnd: (child) => {
        if (child.connected) child.send({ type: "drain" } satisfies ToCoordinator, () => {})
      }
    })
  }

  tellHealth(health: Omit<HealthMessage, "type">): void {
    this.process.broadcast({ type: "health", ...health } satisfies ToCoordinator)
  }

  /** Hands the clock's decisions on; a burst beyond what one message holds goes in several. */
  tellClockEvents(events: readonly unknown[]): void {
    for (let at = 0; at < events.length; at += MAX_CLOCK_EVENTS) {
      const some = events.slice(at, at + MAX_CLOCK_EVENTS) as readonly { readonly _tag: string }[]
      this.process.broadcast({ type: "clock-events", events: some } satisfies ToCoordinator)
    }
  }

  private hear(message: unknown, launch: CoordinatorLaunch): boolean {
    const heard = parseFromCoordinator(message)
    if (heard === undefined) {
      if (parseServingKeys(message) !== undefined) launch.onKeys(message as ServingKeys)
      return false
    }
    if (heard.type === "report") this.report = heard
    if (heard.type === "drained") this.report = heard.report
    if (heard.type === "warning") launch.warn(heard.message)
    return heard.type === "ready"
  }
}
