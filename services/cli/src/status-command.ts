/**
 * `meridian status [--state DIR] [--check LIMITS] [--json]`. Exit codes: 0 good time, 1 no node, 2 wrong flag, 3 unsynchronised,
 * or beyond a limit of --check.
 */
import { statusCommand } from "@meridian/config/command-lines"
import type { TrackingReport } from "@meridian/ipc/discipline-report"
import type { NodeStatus } from "@meridian/ipc"
import { type Health, healthProblems, NOT_GOOD } from "./health.ts"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askedNode, askNode } from "./node-client.ts"
import { printJson, runCommand } from "./run-command.ts"
import { formatStatus } from "./status.ts"
import { lineWidth } from "./text-table.ts"

export const runStatus = (args: readonly string[]): Promise<number> =>
  runCommand(statusCommand, args, async ({ values: { state, check = {}, json } }) => {
    const directory = stateDirectoryOf(state)
    const status = await askNode<NodeStatus>(directory, "/status")
    if (json) printJson(status)
    // Into a pipe a sentence stays whole, to be found.
    else process.stdout.write(formatStatus(status, process.stdout.isTTY ? lineWidth() : Infinity))
    const tracking = check.offset === undefined ? undefined : await askedNode<TrackingReport>(directory, "/tracking")
    const problems = healthProblems(healthOf(status, tracking?.offset ?? undefined), check, Date.now() / 1000)
    if (problems.length > 0) process.stderr.write(`meridian status: ${problems.join("; ")}\n`)
    return problems.length === 0 ? 0 : NOT_GOOD
  })

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
