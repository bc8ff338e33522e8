/** Where the kernel dropped packets of a load test, by its own counts: a generator that did not read is told from a node that did not. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import type { NetworkNamespace } from "@meridian/testkit/network-namespace"

/** Packets by place. */
export type Drops = Readonly<Record<string, number>>

/** Datagrams that found a full receive queue, from the text of a network's /proc/net/snmp. */
export const fullQueues = (snmp: string): number => {
  const [names = "", values = ""] = snmp.split("\n").filter((line) => line.startsWith("Udp:"))
  const at = names.split(" ").indexOf("RcvbufErrors")
  return at < 0 ? 0 : Number(values.split(" ")[at])
}

/** Packets on their way between networks of this machine that a core had no room for, from the text of /proc/net/softnet_stat. */
export const fullBacklogs = (softnet: string): number =>
  softnet
    .trim()
    .split("\n")
    .reduce((sum, line) => sum + Number.parseInt(line.split(" ")[1] ?? "0", 16), 0)

/** All of them since the networks were made. @param networks by the name of who is in them */
export const dropsSoFar = (networks: ReadonlyMap<string, NetworkNamespace>): Drops => {
  const queues = [...networks].map(([who, { within }]) => {
    const [command = "", ...before] = within
    const snmp = execFileSync(command, [...before, "cat", "/proc/net/snmp"], { encoding: "utf8" })
    return [`receive queues of ${who}`, fullQueues(snmp)] as const
  })
  const backlog = fullBacklogs(readFileSync("/proc/net/softnet_stat", "utf8"))
  return { ...Object.fromEntries(queues), "the machine's own backlog": backlog }
}

/** What came since; places without any are left out. */
export const dropsSince = (before: Drops, now: Drops): Drops =>
  Object.fromEntries(
    Object.entries(now)
      .map(([where, count]) => [where, count - (before[where] ?? 0)] as const)
      .filter(([, count]) => count > 0)
  )
