/** `meridian help [COMMAND]`: what there is, and where to read on. */
import { nearestWord } from "@meridian/config/nearest"
import {
  clusterDrainCommand,
  clusterInitCommand,
  clusterRekeyCommand,
  clusterStatusCommand,
  clusterUndrainCommand,
  explainCommand,
  keysExportCommand,
  keysListCommand,
  keysRevokeCommand,
  keysRotateCommand,
  logCommand,
  policyCommand
} from "@meridian/config/cluster-command-lines"
import {
  configCheckCommand,
  exabgpCommand,
  queryCommand,
  signdCommand,
  statusCommand,
  upCommand
} from "@meridian/config/command-lines"
import { type CommandLine, defineFlags, renderHelp } from "@meridian/config/flags"
import { clientsCommand } from "./clients-command.ts"
import { configReferenceCommand, configShowCommand } from "./config-check.ts"
import { configConvertCommand } from "./config-convert.ts"
import { reloadCommand } from "./reload-command.ts"
import { serverstatsCommand } from "./serverstats-command.ts"
import { sourcesCommand } from "./sources-command.ts"
import { initCommand } from "./init-command.ts"
import { topCommand } from "./top-command.ts"
import { trackingCommand } from "./tracking-command.ts"
import { runCommand } from "./run-command.ts"
import { versionCommand } from "./version-command.ts"
import { waitsyncCommand } from "./waitsync-command.ts"

const helpCommand = defineFlags({
  command: "meridian help",
  meaning: "Shows the flags of a command; without one, lists the commands.",
  flags: {},
  positional: { name: "COMMAND", meaning: "A command, or its first word, such as keys.", least: 0, most: 2 }
})

/** By the command's name, or its name and verb. The packages' manuals are made of it (infra/packaging/manuals.ts). */
export const topics: Readonly<Record<string, CommandLine>> = {
  up: upCommand,
  status: statusCommand,
  query: queryCommand,
  sources: sourcesCommand,
  top: topCommand,
  tracking: trackingCommand,
  clients: clientsCommand,
  serverstats: serverstatsCommand,
  waitsync: waitsyncCommand,
  init: initCommand,
  reload: reloadCommand,
  "config check": configCheckCommand,
  "config convert": configConvertCommand,
  "config reference": configReferenceCommand,
  "config show": configShowCommand,
  log: logCommand,
  policy: policyCommand,
  explain: explainCommand,
  signd: signdCommand,
  exabgp: exabgpCommand,
  "keys list": keysListCommand,
  "keys rotate": keysRotateCommand,
  "keys revoke": keysRevokeCommand,
  "keys export": keysExportCommand,
  "cluster init": clusterInitCommand,
  "cluster status": clusterStatusCommand,
  "cluster rekey": clusterRekeyCommand,
  "cluster drain": clusterDrainCommand,
  "cluster undrain": clusterUndrainCommand,
  version: versionCommand,
  help: helpCommand
}

const text = `meridian: an event-sourced, clustered NTP and NTS time service

  meridian up [FLAGS]           starts a node
  meridian status [--json]      shows the running node, worker by worker
  meridian query HOST[:PORT]    asks a server for the time, with --nts by NTS
  meridian sources [-v]         shows the servers that the node asks
  meridian top                  shows the node on a live screen
  meridian tracking             shows the clock: offset, error, whom it follows
  meridian clients              shows who asks the node, and how often
  meridian serverstats          shows counts of packets, over all workers
  meridian waitsync [SECONDS]   waits until the clock is synchronised
  meridian init [PURPOSE]       writes a configuration to start from
  meridian config check FILE    checks an ntp.conf and shows its settings
  meridian config convert FILE  converts chrony.conf or ntp.toml of ntpd-rs
  meridian config reference     explains every directive, or the NAME given
  meridian config show          shows the configuration in force
  meridian reload [--check]     makes the node read its configuration again
  meridian log [--follow]       shows the events of the node's log
  meridian keys list            shows the keys; also: rotate, revoke, export
  meridian cluster status       shows the nodes; also: init, rekey, (un)drain
  meridian policy [NAME=VALUE]  shows or sets what all nodes share
  meridian explain --at TIME    shows what was true at a moment
  meridian signd [FLAGS]        signs for Windows clients, as Samba's ntp_signd
  meridian exabgp SOCKET        tells ExaBGP, which runs it, the node's routes
  meridian version              prints the version
  meridian help [COMMAND]       shows the flags of a command

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration,
3 (query, status, config check) there is an answer, but it is not good.
`

/** @returns the exit code: 2 for a command that there is not */
export const overview = (args: readonly string[]): number => {
  if (args.length === 0) {
    process.stdout.write(text)
    return 0
  }
  const asked = args.join(" ")
  const names = Object.keys(topics)
  const found = names.includes(asked) ? [asked] : names.filter((name) => name.startsWith(`${asked} `))
  if (found.length === 0) {
    const near = nearestWord(asked, [...names, ...names.map((name) => name.split(" ")[0]!)])
    const hint = near === undefined ? "`meridian help` lists the commands" : `did you mean \`meridian help ${near}\`?`
    process.stderr.write(`meridian help: no command ${JSON.stringify(asked)}; ${hint}\n`)
    return 2
  }
  process.stdout.write(found.map((name) => renderHelp(topics[name]!)).join("\n"))
  return 0
}

export const runHelp = (args: readonly string[]): Promise<number> =>
  runCommand(helpCommand, args, ({ positionals }) => overview(positionals))
