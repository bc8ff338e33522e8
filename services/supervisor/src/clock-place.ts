/** The place of the clock's process, what it said last, and what the node says about the page it writes. */
import { type ChildProcess, spawn } from "node:child_process"
import { CAP_SYS_TIME, withCapability } from "@meridian/system/capabilities"
import type { ClockPageReader } from "@meridian/clocks/clock-page"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import {
  type DisciplineConfiguration,
  type DisciplineReport,
  parseFromDiscipline,
  type ToDiscipline
} from "@meridian/ipc/discipline-report"
import type { ClockStatus } from "@meridian/ipc/node-status"
import { isSynchronised, rootDispersionAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { formatReferenceId } from "@meridian/wire/reference-id"
import { SupervisedProcess } from "./supervised-process.ts"

/** It reports every second, and its page is good for twelve: one that was merely held up is not ended while it still serves. */
const STALLED_SECONDS = 15

export interface ClockLaunch {
  /** The service's main.ts. */
  readonly program: string
  /** Path of the page it writes. */
  readonly page: string
  readonly configuration: DisciplineConfiguration
  /** Kernel mode: it is handed CAP_SYS_TIME, which this process reserved. */
  readonly maySetClock: boolean
  /** For sources under symmetric keys. */
  readonly keys: () => ServingKeys
  /** Decisions for the event log: commands of the clock's aggregate. */
  readonly onEvents: (events: readonly unknown[]) => void
  readonly warn: (message: string) => void
}

export class ClockPlace {
  readonly process: SupervisedProcess
  /** What it said last; undefined before its first word. */
  report: DisciplineReport | undefined

  constructor(launch: ClockLaunch) {
    const { program, page, configuration, maySetClock, keys } = launch
    this.process = new SupervisedProcess({
      name: "clock",
      spawn: () => {
        const start = (): ChildProcess =>
          spawn(
            process.execPath,
            [
              "--max-semi-space-size=1",
              "--v8-pool-size=1",
              "--optimize-for-size",
              program,
              "--clock-page",
              page,
              "--configuration",
              JSON.stringify(configuration)
            ],
            { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" }
          )
        const child = maySetClock ? withCapability(CAP_SYS_TIME, start) : start()
        child.send(keys(), () => {})
        return child
      },
      onMessage: (_pid, message) => this.hear(message, launch),
      onExit: () => {},
      askToEnd: (child) => {
        if (child.connected) child.send({ type: "drain" } satisfies ToDiscipline, () => {})
      },
      silence: { seconds: STALLED_SECONDS, stalled: launch.warn }
    })
  }

  private hear(message: unknown, launch: ClockLaunch): boolean {
    const heard = parseFromDiscipline(message)
    if (heard?.type === "report") this.report = heard
    if (heard?.type === "clock-events") launch.onEvents(heard.events)
    if (heard?.type === "warning") launch.warn(heard.message)
    return heard?.type === "ready"
  }
}

/**
 * The clock as the page has it, which is what workers serve.
 * @param source what the clock's process follows
 * @param monotonic CLOCK_MONOTONIC, seconds
 */
export const clockStatus = (reader: ClockPageReader, source: string, monotonic: number): ClockStatus => {
  const curve = unsynchronisedCurve()
  reader.readInto(curve)
  const synchronised = isSynchronised(curve, monotonic)
  return {
    source,
    synchronised,
    stratum: synchronised ? curve.stratum : 16,
    leap: synchronised ? curve.leap : 3,
    referenceId: formatReferenceId(curve.referenceId, curve.stratum),
    rootDelay: curve.rootDelay,
    rootDispersion: rootDispersionAt(curve, monotonic),
    offset: curve.offset,
    frequency: curve.frequency * 1e6
  }
}
