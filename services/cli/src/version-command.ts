/** `meridian version`: of this program, and of the Node that runs it. */
import { defineFlags } from "@meridian/config/flags"
import manifest from "../package.json" with { type: "json" }
import { runCommand } from "./run-command.ts"

export const versionCommand = defineFlags({
  command: "meridian version",
  meaning: "Prints the version of Meridian, and of the Node that runs it.",
  flags: {}
})

export const runVersion = (args: readonly string[]): Promise<number> =>
  runCommand(versionCommand, args, () => {
    process.stdout.write(`meridian ${manifest.version} (Node ${process.versions.node})\n`)
  })
