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
import { type CommandLine, renderHelp } from "@meridian/config/flags"
import { clientsCommand } from "./clients-command.ts"
import { configShowCommand } from "./config-check.ts"
import { configConvertCommand } from "./config-convert.ts"
import { reloadCommand } from "./reload-command.ts"
import { serverstatsCommand } from "./serverstats-command.ts"
import { sourcesCommand } from "./sources-command.ts"
import { initCommand } from "./init-command.ts"
import { topCommand } from "./top-command.ts"
import { trackingCommand } from "./tracking-command.ts"
import { waitsyncCommand } from "./waitsync-command.ts"

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
  "cluster undrain": clusterUndrainCommand
}

const text = `meridian: an event-sourced, clustered NTP and NTS time service

  meridian up [FLAGS]             starts a node and shows what it serves
  meridian status [--json]        how the running node does, worker by worker
  meridian query HOST[:PORT]      asks a server for the time, with --nts under NTS
  meridian sources [-v]           the servers it asks, and what it makes of them
  meridian top                    all of it on a live screen, until q
  meridian tracking               how its clock does, and whom it follows
  meridian clients                who asks it, how often, and what becomes of that
  meridian serverstats            what it does with packets, over all workers
  meridian waitsync [SECONDS]     returns when the clock is synchronised
  meridian init [PURPOSE]         a configuration to start from
  meridian config check FILE      reads an ntp.conf, says what is wrong and what it comes to
  meridian config show            what the running node runs by, and where each line comes from
  meridian reload [--check]       has the running node read its configuration again
  meridian config reference       every directive, or the NAME given: syntax, default, meaning
  meridian log [--follow]         the events of the node's log
  meridian keys list              the keys in use; also rotate, revoke GENERATION, export
  meridian cluster status         the nodes and who leads; also init, rekey, drain, undrain
  meridian policy [NAME=VALUE…]   what the nodes share as configuration, or sets some of it
  meridian explain --at TIME      what was true at a moment, and the events that say so
  meridian signd [FLAGS]          signs for Windows clients, in place of Samba's ntp_signd
  meridian exabgp SOCKET          run by ExaBGP: announces and withdraws the node's routes
  meridian version
  meridian help [COMMAND]         the flags of one command

Exit codes: 0 done, 1 it could not be done, 2 the command line or the configuration is wrong,
3 (query, status, config check) there is an answer, and it is not good.
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
