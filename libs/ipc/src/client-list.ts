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
  /** Between its packets lately; null of one that came once. */
  readonly interval: number | null
  /** Of its last packet. */
  readonly mode: number
  readonly version: number
  /** Packets whose MAC or NTS verified. */
  readonly authenticated: number
  /** Packets that were not answered, and kisses that were sent, for asking too often. */
  readonly dropped: number
  readonly kisses: number
  /** Restrictions that its last packet met, as ntpd's bits (RES_*). */
  readonly restrictions: number
}

export interface ClientList {
  /** Most recent first. */
  readonly entries: readonly ClientEntry[]
  /** Entries that had to make room. */
  readonly evicted: number
  /** Most entries it may hold, over all workers. */
  readonly most: number
  /** Bytes that it takes. */
  readonly bytes: number
}
