/** `meridian reload [--check]`. Exit codes: 0 taken up (or could be), 1 no node, 2 the file or the command line is wrong. */
import { defineFlags, switchFlag } from "@meridian/config/flags"
import type { ReloadReport } from "@meridian/ipc"
import { author, stateDirectoryOf } from "./coordinator-client.ts"
import { askNode, nodeFlags } from "./node-client.ts"
import { printJson, runCommand } from "./run-command.ts"

export const reloadCommand = defineFlags({
  command: "meridian reload",
  meaning:
    "Makes the running node read its configuration again: sources, access, limits, keys, certificates, log. If the file cannot be used, nothing changes. Changes that need a restart are listed.",
  flags: { ...nodeFlags, check: switchFlag("Only shows what would change.") }
})

const formatReload = ({ usable, applied, diagnostics, changes, waiting, problems }: ReloadReport): string => {
  const lines = [
    ...diagnostics,
    ...(usable ? [] : ["nothing was changed: the node runs on by what it had"]),
    ...changes.map((change) => `  ${change}`),
    ...waiting.map((change) => `  ${change}`),
    ...problems,
    ...(usable ? [summary(applied, changes.length, waiting.length)] : [])
  ]
  return `${lines.join("\n")}\n`
}

const summary = (applied: boolean, changes: number, waiting: number): string => {
  if (changes + waiting === 0) return "the configuration is the one that runs"
  const done = `${changes} ${changes === 1 ? "change" : "changes"} ${applied ? "made" : "would be made"}`
  return waiting === 0 ? done : `${done}, ${waiting} ${waiting === 1 ? "waits" : "wait"} for the next start`
}

export const runReload = (args: readonly string[]): Promise<number> =>
  runCommand(reloadCommand, args, async ({ values: { state, json, check } }) => {
    const path = check ? "/reload?check" : `/reload?${new URLSearchParams({ author: author() }).toString()}`
    const report = await askNode<ReloadReport>(stateDirectoryOf(state), path, "POST")
    if (json) printJson(report)
    else (report.usable ? process.stdout : process.stderr).write(formatReload(report))
    return report.usable ? 0 : 2
  })
