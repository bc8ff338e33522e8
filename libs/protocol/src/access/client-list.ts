/** The list of clients, read out of the table that the packet path writes: bounded, sorted, merged over several tables. */
import { AccessFlag } from "./access-flags.ts"
import {
  clientMemory,
  Field,
  Header,
  Mark,
  recordAt,
  TABLE_MAGIC,
  tagAt,
  TICKS_PER_SECOND,
  WAYS
} from "./client-layout.ts"

export interface ClientEntry {
  readonly family: 4 | 6
  /** 4 or 16 bytes in network order; the last one seen, where a prefix shares an entry. */
  readonly bytes: readonly number[]
  readonly port: number
  readonly count: number
  readonly dropped: number
  readonly kisses: number
  /** CLOCK_MONOTONIC seconds before the moment of reading. */
  readonly sinceLast: number
  readonly sinceFirst: number
  readonly version: number
  readonly mode: number
  readonly authenticated: boolean
  /** The last packet was over the limit. */
  readonly limited: boolean
  /** The low sixteen of {@link AccessFlag} as they held for the last packet, `limited` and `kod` as ntpd shows them: only where they acted. */
  readonly flags: number
  /** What the limit makes of it: see rate-limit.ts. */
  readonly level: number
}

/** What several tables count together. */
export interface ClientTotals {
  readonly entries: number
  readonly room: number
  /** Packets of addresses that were known, that got a free entry, that got another's, that got none. */
  readonly known: number
  readonly fresh: number
  readonly replaced: number
  readonly refused: number
}

/** Seconds between packets, on average; undefined for one packet. */
export const averageInterval = ({ count, sinceFirst, sinceLast }: ClientEntry): number | undefined =>
  count < 2 ? undefined : (sinceFirst - sinceLast) / (count - 1)

/** A larger number comes first in the list. */
export const CLIENT_ORDERS: Readonly<Record<string, (client: ClientEntry) => number>> = {
  last: (client) => -client.sinceLast,
  first: (client) => client.sinceFirst,
  count: (client) => client.count,
  dropped: (client) => client.dropped,
  kisses: (client) => client.kisses,
  interval: (client) => -(averageInterval(client) ?? Infinity)
}

/**
 * The first `most` clients by an order, over all tables. Work and memory are bounded: one pass, at most twice `most` entries kept.
 * @param now ticks
 */
export const listClients = (
  tables: readonly ArrayBuffer[],
  now: number,
  order: (client: ClientEntry) => number,
  most: number
): readonly ClientEntry[] => {
  let kept: ClientEntry[] = []
  const byOrder = (a: ClientEntry, b: ClientEntry): number => order(b) - order(a)
  for (const table of tables) {
    for (const client of clientsOf(table, now)) {
      kept.push(client)
      if (kept.length >= 2 * most + 64) kept = kept.toSorted(byOrder).slice(0, most)
    }
  }
  return kept.toSorted(byOrder).slice(0, most)
}

/** Every client of a table, in no order. */
export function* clientsOf(table: ArrayBuffer, now: number): Generator<ClientEntry> {
  const { header, tags, words, levels, sets } = clientMemory(table)
  if (header[Header.magic] !== TABLE_MAGIC) return
  for (let record = 0; record < sets * WAYS; record += 1) {
    const at = recordAt(record)
    if (tags[tagAt(record)] === 0 || words[at + Field.count] === 0) continue
    yield entryOf(words, levels, at, now)
  }
}

const entryOf = (words: Int32Array, levels: Float32Array, at: number, now: number): ClientEntry => {
  const marks = words[at + Field.marks]!
  const isIpv6 = (marks & Mark.ipv6) !== 0
  const address = isIpv6 ? [0, 1, 2, 3] : [3]
  const kissesAndPort = words[at + Field.kissesAndPort]!
  const isOver = (marks & Mark.over) !== 0
  const flags = marks >>> Mark.flagsShift
  const since = (field: number): number => ((now - words[at + field]!) >>> 0) / TICKS_PER_SECOND
  return {
    family: isIpv6 ? 6 : 4,
    bytes: address.flatMap((word) => bytesOf(words[at + word]!)),
    port: kissesAndPort >>> 16,
    count: words[at + Field.count]! >>> 0,
    dropped: words[at + Field.dropped]! >>> 0,
    kisses: kissesAndPort & 0xffff,
    sinceLast: since(Field.last),
    sinceFirst: since(Field.first),
    version: (marks >> 3) & 7,
    mode: marks & 7,
    authenticated: (marks & Mark.authenticated) !== 0,
    limited: isOver,
    flags: isOver ? flags : flags & ~(AccessFlag.limited | AccessFlag.kod),
    level: levels[at + Field.level]!
  }
}

const bytesOf = (word: number): number[] => [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff]

/** What the tables count, added up. */
export const clientTotals = (tables: readonly ArrayBuffer[]): ClientTotals => {
  const sum = (field: number): number =>
    tables.reduce((total, table) => {
      const { header } = clientMemory(table)
      return header[Header.magic] === TABLE_MAGIC ? total + header[field]! : total
    }, 0)
  return {
    entries: sum(Header.used),
    room: tables.reduce((total, table) => total + clientMemory(table).sets * WAYS, 0),
    known: sum(Header.known),
    fresh: sum(Header.fresh),
    replaced: sum(Header.replaced),
    refused: sum(Header.refused)
  }
}
