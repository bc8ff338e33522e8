/** The `meridian` command: finds the subcommand, runs it, turns what went wrong into one line and an exit code. */
import { resolve } from "node:path"
import { nearestWord } from "@meridian/config/nearest"
import manifest from "../package.json" with { type: "json" }
import { runClients } from "./clients-command.ts"
import { runCluster } from "./cluster-command.ts"
import { checkConfiguration } from "./config-check.ts"
import { programRoot } from "./coordinator-client.ts"
import { runExplain } from "./explain-command.ts"
import { overview } from "./help.ts"
import { runInit } from "./init-command.ts"
import { runKeys } from "./keys-command.ts"
import { runLog } from "./log-command.ts"
import { runPolicy } from "./policy-command.ts"
import { runQuery } from "./query-command.ts"
import { runReload } from "./reload-command.ts"
import { runServerstats } from "./serverstats-command.ts"
import { runSources } from "./sources-command.ts"
import { runStatus } from "./status-command.ts"
import { runTop } from "./top-command.ts"
import { runTracking } from "./tracking-command.ts"
import { runWaitsync } from "./waitsync-command.ts"

const [command = "help", ...args] = process.argv.slice(2)

/** A service that is a program of its own: this process becomes it, so that signals and exit codes are the service's own. */
const become = (file: string): never => {
  const program = resolve(programRoot, file)
  return process.execve!(
    process.execPath,
    [
      process.execPath,
      "--max-semi-space-size=1",
      "--optimize-for-size",
      "--disable-warning=ExperimentalWarning",
      program,
      ...args
    ],
    Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined))
  )
}

const unknown = (): number => {
  const near = nearestWord(command, Object.keys(commands))
  const hint = near === undefined ? "`meridian help` lists the commands" : `did you mean \`meridian ${near}\`?`
  process.stderr.write(`meridian: no command ${JSON.stringify(command)}; ${hint}\n`)
  return 2
}

const commands: Record<string, (args: readonly string[]) => number | Promise<number>> = {
  up: () => become("services/supervisor/src/main.ts"),
  signd: () => become("services/signd/src/daemon/main.ts"),
  exabgp: () => become("services/anycast/src/exabgp-main.ts"),
  status: runStatus,
  query: runQuery,
  sources: runSources,
  top: runTop,
  tracking: runTracking,
  clients: runClients,
  serverstats: runServerstats,
  waitsync: runWaitsync,
  init: runInit,
  reload: runReload,
  config: checkConfiguration,
  log: runLog,
  keys: runKeys,
  cluster: runCluster,
  policy: runPolicy,
  explain: runExplain,
  version: () => {
    process.stdout.write(`meridian ${manifest.version} (Node ${process.versions.node})\n`)
    return 0
  },
  help: overview
}
const aliases: Record<string, string> = { "--help": "help", "-h": "help", "--version": "version", "-V": "version" }

// `meridian … | head` is no fault, and whoever has gone wants no more. A full disk is one.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code !== "EPIPE") process.stderr.write(`meridian: cannot write the output: ${code ?? message}\n`)
  process.exit(code === "EPIPE" ? 0 : 1)
})

process.exitCode = await (commands[aliases[command] ?? command] ?? unknown)(args)
