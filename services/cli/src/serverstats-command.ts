/** `meridian serverstats`: what the node did with packets, in the words of chrony's. Exit codes as `meridian sources`. */
import { defineFlags } from "@meridian/config/flags"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { ntsFigures } from "@meridian/ipc/nts-figures"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askNode, nodeFlags } from "./node-client.ts"
import { printJson, runCommand } from "./run-command.ts"
import { nameValues } from "./text-table.ts"

export const serverstatsCommand = defineFlags({
  command: "meridian serverstats",
  meaning: "Shows counts since the start, over all workers: NTP packets by outcome, NTS, key exchanges.",
  flags: nodeFlags
})

const share = (count: number, whole: number): string => (whole === 0 ? "" : ` (${((count / whole) * 100).toFixed(1)}%)`)

/** Names and counts, a line each; outcomes that never were are left out. */
const formatServerstats = (snapshot: NodeSnapshot): string => {
  const { totals, uptime, ntsKe } = snapshot.status
  const { server, ke } = ntsFigures(snapshot)
  const outcomes = (counts: Readonly<Record<string, number>>): readonly (readonly [string, string])[] =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => [`  ${name}`, `${count}${share(count, totals.received)}`])
  const sum = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((all, one) => all + one, 0)
  const opened = server.cookies.current + server.cookies.old + server.cookies.old2 + server.cookies.older
  const rows: readonly (readonly [string, string])[] = [
    ["seconds since the start", uptime.toFixed(0)],
    ["NTP packets received", String(totals.received)],
    ["NTP packets answered", `${totals.replied}${share(totals.replied, totals.received)}`],
    ...outcomes(totals.served),
    ["NTP packets dropped", `${sum(totals.dropped)}${share(sum(totals.dropped), totals.received)}`],
    ...outcomes(totals.dropped),
    ["replies the kernel refused", String(totals.unsent)],
    ["lost in full receive queues", String(totals.overflow)],
    ["of versions 1 to 3", String(totals.oldVersion)],
    ["NTS requests verified", String(server.good)],
    ["NTS requests refused", String(server.bad)],
    ["NTS cookies opened", `${opened}, of them under older keys ${opened - server.cookies.current}`],
    ["NTS cookies refused", `${server.cookies.unknown} of unknown keys, ${server.cookies.forged} forged`],
    ["NTS cookies made", String(server.cookiesMade)],
    ["NTS-KE connections", String(ntsKe.reduce((all, { accepted }) => all + accepted, 0))],
    ["  agreed", String(ke.good)],
    ["  without TLS", String(ke.withoutTls)],
    ["  refused", String(ke.bad)]
  ]
  return `${nameValues(rows).join("\n")}\n`
}

export const runServerstats = (args: readonly string[]): Promise<number> =>
  runCommand(serverstatsCommand, args, async ({ values: { state, json } }) => {
    const snapshot = await askNode<NodeSnapshot>(stateDirectoryOf(state), "/snapshot")
    const { totals, ntsKe } = snapshot.status
    if (json) printJson({ totals, ntsKe, nts: ntsFigures(snapshot) })
    else process.stdout.write(formatServerstats(snapshot))
  })
