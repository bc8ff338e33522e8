/** Clients that the BPF program remembers, as the list of clients has them. */
import type { ClientEntry } from "@meridian/protocol/access/client-list"
import type { AnsweredClient } from "@meridian/xdp"
import { AccessFlag } from "@meridian/protocol/access/access-flags"

const IPV4_AT = 12

const isIpv4 = (address: Uint8Array): boolean =>
  address.subarray(0, 10).every((octet) => octet === 0) && address[10] === 0xff && address[11] === 0xff

/** @param now CLOCK_MONOTONIC, seconds */
export const clientEntry = (client: AnsweredClient, now: number): ClientEntry => {
  const family = isIpv4(client.address) ? 4 : 6
  return {
    family,
    bytes: [...client.address.subarray(family === 4 ? IPV4_AT : 0)],
    port: client.port,
    count: client.count,
    dropped: client.dropped,
    kisses: client.kisses,
    sinceLast: Math.max(0, now - client.last),
    sinceFirst: Math.max(0, now - client.first),
    version: (client.versionAndMode >> 3) & 7,
    mode: client.versionAndMode & 7,
    authenticated: false,
    limited: client.isOver,
    flags: client.isOver ? AccessFlag.limited : 0,
    level: client.level
  }
}

/** One entry for each address: what two places count of it is added up, the later one tells the rest. */
export const mergeClients = (some: readonly ClientEntry[], others: readonly ClientEntry[]): readonly ClientEntry[] => {
  const merged = new Map(some.map((entry) => [entry.bytes.join("."), entry]))
  for (const entry of others) {
    const name = entry.bytes.join(".")
    const known = merged.get(name)
    merged.set(name, known === undefined ? entry : sum(known, entry))
  }
  return [...merged.values()]
}

const sum = (a: ClientEntry, b: ClientEntry): ClientEntry => {
  const later = a.sinceLast <= b.sinceLast ? a : b
  return {
    ...later,
    count: a.count + b.count,
    dropped: a.dropped + b.dropped,
    kisses: a.kisses + b.kisses,
    sinceFirst: Math.max(a.sinceFirst, b.sinceFirst),
    authenticated: a.authenticated || b.authenticated
  }
}
