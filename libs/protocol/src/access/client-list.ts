/** The list of clients, read out of the table that the packet path writes: bounded, sorted, merged over several tables. */
import { AccessFlag } from "./access-flags.ts"
import {
  type ClientMemory,
  clientMemory,
  Field,
  Header,
  Mark,
  recordAt,
  Rest,
  restAt,
  TABLE_MAGIC,
  TICKS_PER_SECOND,
  WAYS,
  writtenParts
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
interface ClientTotals {
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

/** What an order reads of a record. A larger number comes first in the list. */
type Order = (memory: ClientMemory, record: number, now: number) => number

const since = ({ words }: ClientMemory, record: number, field: number, now: number): number =>
  ((now - words[recordAt(record) + field]!) >>> 0) / TICKS_PER_SECOND

const countOf = ({ words }: ClientMemory, record: number): number => words[recordAt(record) + Field.count]! >>> 0

const droppedOf = ({ words }: ClientMemory, record: number): number => words[restAt(record) + Rest.dropped]! >>> 0

const kissesOf = ({ words }: ClientMemory, record: number): number =>
  words[recordAt(record) + Field.kissesAndPort]! & 0xffff

export const CLIENT_ORDERS = {
  last: (memory, record, now) => -since(memory, record, Field.last, now),
  first: (memory, record, now) => since(memory, record, Field.first, now),
  count: countOf,
  dropped: droppedOf,
  kisses: kissesOf,
  interval: (memory, record, now) => {
    const count = countOf(memory, record)
    const span = since(memory, record, Field.first, now) - since(memory, record, Field.last, now)
    return count < 2 ? -Infinity : -span / (count - 1)
  }
} as const satisfies Record<string, Order>
export type ClientOrder = keyof typeof CLIENT_ORDERS

const ENTRY_RANKS: Readonly<Record<ClientOrder, (entry: ClientEntry) => number>> = {
  last: ({ sinceLast }) => -sinceLast,
  first: ({ sinceFirst }) => sinceFirst,
  count: ({ count }) => count,
  dropped: ({ dropped }) => dropped,
  kisses: ({ kisses }) => kisses,
  interval: (entry) => -(averageInterval(entry) ?? Infinity)
}

/** Entries by an order, as {@link listClients} has them. */
export const sortClients = (entries: readonly ClientEntry[], order: ClientOrder): readonly ClientEntry[] => {
  const rankOf = ENTRY_RANKS[order]
  return entries.toSorted((a, b) => rankOf(b) - rankOf(a))
}

interface Candidate {
  readonly rank: number
  readonly memory: ClientMemory
  readonly record: number
}

/**
 * The first `most` clients by an order, over all tables. Work and memory are bounded: one pass over the numbers, and entries are
 * made of those that are listed alone.
 * @param now ticks
 */
export const listClients = (
  tables: readonly ArrayBuffer[],
  now: number,
  order: ClientOrder,
  most: number
): readonly ClientEntry[] => {
  const rankOf: Order = CLIENT_ORDERS[order]
  const byRank = (a: Candidate, b: Candidate): number => b.rank - a.rank
  let kept: Candidate[] = []
  let least = -Infinity
  for (const table of tables) {
    const memory = clientMemory(table)
    for (const record of recordsOf(memory)) {
      const rank = rankOf(memory, record, now)
      if (rank < least) continue
      kept.push({ rank, memory, record })
      if (kept.length < 2 * most + 64) continue
      kept = kept.toSorted(byRank).slice(0, most)
      least = kept.at(-1)?.rank ?? -Infinity
    }
  }
  return kept
    .toSorted(byRank)
    .slice(0, most)
    .map(({ memory, record }) => entryOf(memory, record, now))
}

/** The records in use. */
function* recordsOf(memory: ClientMemory): Generator<number> {
  const { header, tags } = memory
  if (header[Header.magic] !== TABLE_MAGIC) return
  for (const [from, to] of writtenParts(memory))
    for (let record = from; record < to; record += 1)
      if (tags[record] !== 0 && countOf(memory, record) !== 0) yield record
}

const entryOf = (memory: ClientMemory, record: number, now: number): ClientEntry => {
  const { words, levels } = memory
  const at = recordAt(record)
  const restFrom = restAt(record)
  const marks = words[at + Field.marks]!
  const isIpv6 = (marks & Mark.ipv6) !== 0
  const last = words[at + Field.address + 1]!
  const address = isIpv6 ? [words[restFrom]!, words[restFrom + 1]!, words[at + Field.address]!, last] : [last]
  const isOver = (marks & Mark.over) !== 0
  const flags = marks >>> Mark.flagsShift
  return {
    family: isIpv6 ? 6 : 4,
    bytes: address.flatMap(bytesOf),
    port: words[at + Field.kissesAndPort]! >>> 16,
    count: countOf(memory, record),
    dropped: droppedOf(memory, record),
    kisses: kissesOf(memory, record),
    sinceLast: since(memory, record, Field.last, now),
    sinceFirst: since(memory, record, Field.first, now),
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
