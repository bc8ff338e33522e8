/** `meridian clients`: who asked this node, how often, and what became of it. Exit codes as `meridian sources`. */
import { defineFlags, valueFlag } from "@meridian/config/flags"
import { oneOf, wholeNumber } from "@meridian/config/value-types"
import type { ClientEntry, ClientList } from "@meridian/ipc"
import { cell, table } from "./text-table.ts"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askNode, nodeFlags } from "./node-client.ts"
import { printJson, runCommand } from "./run-command.ts"
import { shortSeconds } from "./sources-command.ts"

export const clientsCommand = defineFlags({
  command: "meridian clients",
  meaning: "Shows who asked this node, over all its workers: how often, since when, and how many packets were dropped.",
  flags: {
    ...nodeFlags,
    sort: valueFlag(
      oneOf("last", "first", "count", "dropped", "kisses", "interval"),
      "Order: latest or oldest first, or most packets, most drops, most kisses, or shortest interval first. Default: last."
    ),
    limit: valueFlag(wholeNumber("N", 1, 10_000), "Number of clients to show. Default: 25, with --json 10000.")
  }
})

const share = (part: number, whole: number): string =>
  part === 0 ? "-" : `${part} (${part === whole ? 100 : Math.min(99, Math.floor((part / whole) * 100))}%)`

const rowOf = (client: ClientEntry, now: number) => [
  client.limited ? cell(client.address, "warn") : client.address,
  String(client.packets),
  client.interval === null ? "-" : shortSeconds(client.interval),
  shortSeconds(Math.max(0, now - client.last)),
  shortSeconds(Math.max(0, now - client.first)),
  `${client.version}/${client.mode}`,
  client.authenticated ? "yes" : "-",
  share(client.dropped, client.packets),
  client.kisses === 0 ? "-" : String(client.kisses)
]

/** The list as a table, and what stands behind it. */
const formatClients = ({ entries, known, evicted, refused, most, bytes }: ClientList, now: number): string => {
  const head = ["client", "packets", "every", "last", "since", "v/mode", "auth", "dropped", "kisses"]
  const remembered = `${known} of at most ${most} clients remembered, in ${(bytes / 2 ** 20).toFixed(1)} MB`
  const forgotten =
    evicted + refused === 0 ? "" : `; ${evicted} forgotten for others, ${refused} packets of newcomers not remembered`
  return `${
    entries.length === 0
      ? "nobody asked yet\n"
      : table(
          head,
          entries.map((client) => rowOf(client, now))
        )
  }${remembered}${forgotten}\n`
}

export const runClients = (args: readonly string[]): Promise<number> =>
  runCommand(clientsCommand, args, async ({ values: { state, json, sort, limit } }) => {
    const query = `sort=${sort ?? "last"}&limit=${limit ?? (json ? 10_000 : 25)}`
    const list = await askNode<ClientList>(stateDirectoryOf(state), `/clients?${query}`)
    if (json) printJson(list)
    else process.stdout.write(formatClients(list, Date.now() / 1e3))
  })
