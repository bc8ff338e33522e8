/** The place of the clock's process, and what the node says about the page it writes. */
import { spawn } from "node:child_process"
import type { ClockPageReader } from "@meridian/native-io/clock-page"
import type { ClockStatus } from "@meridian/observability/node-status"
import { isSynchronised, rootDispersionAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { formatReferenceId } from "@meridian/wire/reference-id"
import { SupervisedProcess } from "./supervised-process.ts"

export interface ClockLaunch {
  /** The service's main.ts. */
  readonly program: string
  /** Path of the page it writes. */
  readonly page: string
  readonly stratum: number
}

export const clockPlace = (launch: ClockLaunch): SupervisedProcess =>
  new SupervisedProcess({
    name: "clock",
    spawn: () =>
      spawn(
        process.execPath,
        [
          "--max-semi-space-size=1",
          "--v8-pool-size=1",
          launch.program,
          "--clock-page",
          launch.page,
          "--stratum",
          String(launch.stratum)
        ],
        { stdio: ["ignore", "inherit", "inherit", "ipc"] }
      ),
    onMessage: (_pid, message) => (message as { type?: unknown } | null)?.type === "ready",
    onExit: () => {},
    askToEnd: (child) => void child.kill("SIGTERM")
  })

/** @param monotonic reads CLOCK_MONOTONIC, seconds */
export const clockStatus = (reader: ClockPageReader, monotonic: number): ClockStatus => {
  const curve = unsynchronisedCurve()
  reader.readInto(curve)
  const synchronised = isSynchronised(curve, monotonic)
  return {
    source: "local-reference",
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
