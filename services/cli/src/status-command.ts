/**
 * `meridian status [--state DIR] [--check LIMITS] [--json]`. Exit codes: 0 good time, 1 no node, 2 wrong flag, 3 unsynchronised,
 * or beyond a limit of --check.
 */
import { resolve } from "node:path"
import { statusCommand } from "@meridian/config/command-lines"
import { parseFlags, renderHelp } from "@meridian/config/flags"
import { defaultStateDirectory } from "@meridian/ipc/state-directory"
import type { TrackingReport } from "@meridian/ipc/discipline-report"
import type { NodeStatus } from "@meridian/ipc/node-status"
import { type Health, healthProblems, NOT_GOOD } from "./health.ts"
import { askNode } from "./sources-command.ts"
import { fetchStatus, formatStatus, NodeUnreachable } from "./status.ts"

export const runStatus = async (programRoot: string, args: readonly string[]): Promise<number> => {
  const parsed = parseFlags(statusCommand, args)
  if (!parsed.ok) {
    process.stderr.write(`meridian status: ${parsed.error.message}\n`)
    return 2
  }
  if (parsed.value.help) {
    process.stdout.write(renderHelp(statusCommand))
    return 0
  }
  const { state, check = {}, json } = parsed.value.values
  const directory = resolve(state ?? defaultStateDirectory(programRoot, process.getuid?.() === 0, process.env))
  const status = await fetchStatus(directory)
  if (status instanceof NodeUnreachable) {
    process.stderr.write(`meridian status: ${status.message}\n`)
    return 1
  }
  process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : formatStatus(status))
  const offset = check.offset === undefined ? undefined : await offsetOf(directory)
  const problems = healthProblems(healthOf(status, offset), check, Date.now() / 1000)
  if (problems.length > 0) process.stderr.write(`meridian status: ${problems.join("; ")}\n`)
  return problems.length === 0 ? 0 : NOT_GOOD
}

/** How far the node's clock is thought to be off; undefined: not known. */
const offsetOf = async (directory: string): Promise<number | undefined> => {
  const tracking = await askNode<TrackingReport>(directory, "/tracking")
  return tracking instanceof NodeUnreachable ? undefined : (tracking.offset ?? undefined)
}

const healthOf = ({ clock, ntsKe }: NodeStatus, offset: number | undefined): Health => {
  const ends = ntsKe.flatMap(({ certificates }) => certificates.map(({ notAfter }) => notAfter))
  return {
    synchronised: clock.synchronised,
    stratum: clock.stratum,
    offset,
    rootDistance: clock.rootDelay / 2 + clock.rootDispersion,
    certificateUntil: ends.length === 0 ? undefined : Math.min(...ends)
  }
}
