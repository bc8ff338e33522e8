/** `meridian status [--state DIR] [--json]`. Exit codes: 0 answered, 1 no node, 2 wrong flag. */
import { resolve } from "node:path"
import { statusCommand } from "@meridian/config/command-lines"
import { parseFlags, renderHelp } from "@meridian/config/flags"
import { defaultStateDirectory } from "@meridian/ipc/state-directory"
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
  const { state, json } = parsed.value.values
  const directory = resolve(state ?? defaultStateDirectory(programRoot, process.getuid?.() === 0, process.env))
  const status = await fetchStatus(directory)
  if (status instanceof NodeUnreachable) {
    process.stderr.write(`meridian status: ${status.message}\n`)
    return 1
  }
  process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : formatStatus(status))
  return 0
}
