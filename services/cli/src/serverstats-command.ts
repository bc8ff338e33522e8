/** `meridian serverstats`: what the node did with packets, in the words of chrony's. Exit codes as `meridian sources`. */
import { defineFlags, parseFlags, renderHelp } from "@meridian/config/flags"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { ntsFigures } from "@meridian/ipc/nts-figures"
import { askNode, nodeFlags, stateDirectoryOf } from "./sources-command.ts"
import { NodeUnreachable } from "./status.ts"

export const serverstatsCommand = defineFlags({
  command: "meridian serverstats",
  meaning: "Shows what came of the packets since the start, over all workers: NTP by outcome, NTS, key establishment.",
  flags: nodeFlags
})

const share = (count: number, whole: number): string => (whole === 0 ? "" : ` (${((count / whole) * 100).toFixed(1)}%)`)

/** Names and counts, a line each; outcomes that never were are left out. */
export const formatServerstats = (snapshot: NodeSnapshot): string => {
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
  const width = Math.max(...rows.map(([name]) => name.length))
  return `${rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n")}\n`
}

export const runServerstats = async (programRoot: string, args: readonly string[]): Promise<number> => {
  const parsed = parseFlags(serverstatsCommand, args)
  if (!parsed.ok) {
    process.stderr.write(`meridian serverstats: ${parsed.error.message}\n`)
    return 2
  }
  if (parsed.value.help) {
    process.stdout.write(renderHelp(serverstatsCommand))
    return 0
  }
  const { state, json } = parsed.value.values
  const snapshot = await askNode<NodeSnapshot>(stateDirectoryOf(state, programRoot), "/snapshot")
  if (snapshot instanceof NodeUnreachable) {
    process.stderr.write(`meridian serverstats: ${snapshot.message}\n`)
    return 1
  }
  const { totals, ntsKe } = snapshot.status
  const plain = { totals, ntsKe, nts: ntsFigures(snapshot) }
  process.stdout.write(json ? `${JSON.stringify(plain, null, 2)}\n` : formatServerstats(snapshot))
  return 0
}
