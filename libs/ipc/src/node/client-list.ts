/**
 * The clients of a node as its workers remember them, merged over workers: what `meridian clients`, ntpq's `mrulist` and
 * chronyc's `clients` show.
 */

/** One address, or one prefix where those are counted together. Times are Unix seconds, intervals seconds. */
export interface ClientEntry {
  /** Numeric. */
  readonly address: string
  /** Of its last packet. */
  readonly port: number
  readonly packets: number
  readonly first: number
  readonly last: number
  /** Between its packets on average, from the first to the last; null of one that came once. */
  readonly interval: number | null
  /** Of its last packet. */
  readonly mode: number
  readonly version: number
  /** Its last packet's MAC or NTS verified. */
  readonly authenticated: boolean
  /** Packets that were not answered, and kisses that were sent, for asking too often. */
  readonly dropped: number
  readonly kisses: number
  /** Its last packet was over the limit. */
  readonly limited: boolean
  /** Restrictions that its last packet met, as ntpd's bits (RES_*): limited and kod only where they acted. */
  readonly restrictions: number
  /** What the limit makes of it: a score, a headway or tokens (libs/protocol/src/access/rate-limit.ts). */
  readonly score: number
}

export interface ClientList {
  /** Most recent first unless asked otherwise, and the first so many of all. */
  readonly entries: readonly ClientEntry[]
  /** Entries there are. */
  readonly known: number
  /** Entries that had to make room. */
  readonly evicted: number
  /** Packets of newcomers that no entry made room for: served, and not remembered. */
  readonly refused: number
  /** Most entries it may hold, over all workers. */
  readonly most: number
  /** Bytes that it takes. */
  readonly bytes: number
  /** Seconds of silence after which an entry is worth nothing, and after which one that came more than once may make room (`mru`). */
  readonly maxAge: number
  readonly minAge: number
}
