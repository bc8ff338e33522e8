/** `meridian help [COMMAND]`: what there is, and where to read on. */
import { configCheckCommand, queryCommand, statusCommand, upCommand } from "@meridian/config/command-lines"
import { type CommandLine, renderHelp } from "@meridian/config/flags"

const topics: Readonly<Record<string, CommandLine>> = {
  up: upCommand,
  status: statusCommand,
  query: queryCommand,
  config: configCheckCommand
}

const text = `meridian: an event-sourced, clustered NTP and NTS time service

  meridian up [FLAGS]             starts a node and shows what it serves
  meridian status [--json]        how the running node does, worker by worker
  meridian query HOST[:PORT]      asks a server for the time
  meridian config check FILE      reads an ntp.conf, says what is wrong and what it comes to
  meridian config reference       every directive: syntax, default, meaning
  meridian version
  meridian help [COMMAND]         the flags of one command

Exit codes: 0 done, 1 it could not be done, 2 the command line or the configuration is wrong.
`

export const overview = (args: readonly string[]): number => {
  const topic = args[0] === undefined ? undefined : topics[args[0]]
  process.stdout.write(topic === undefined ? text : renderHelp(topic))
  return 0
}
