/**
 * What is remembered of addresses that ask: how often they did, and the transmit timestamp of the last reply to each. A client that
 * echoes it got that reply, so the address is its own. The table is bounded: the address that asked longest ago goes first, and
 * whoever is forgotten begins anew.
 */

/** Requests at once; a client needs five or six, one a poll interval. */
const BURST = 8
/** Seconds for each further one: classic ntpd's shortest poll interval is 8 s, and a burst's 2 s. */
const SECONDS_PER_REQUEST = 2

interface Entry {
  tokens: number
  /** CLOCK_MONOTONIC, seconds */
  at: number
  transmit: bigint
}

export class ClientTable {
  private readonly entries = new Map<string, Entry>()
  private readonly most: number

  constructor(most: number) {
    this.most = most
  }

  get size(): number {
    return this.entries.size
  }

  /** Whether an address may ask now; counts the request. @param now CLOCK_MONOTONIC, seconds */
  admits(address: string, now: number): boolean {
    const entry = this.entries.get(address) ?? { tokens: BURST, at: now, transmit: 0n }
    entry.tokens = Math.min(BURST, entry.tokens + (now - entry.at) / SECONDS_PER_REQUEST)
    entry.at = now
    // Put at the end: a Map keeps its order of insertion, so the first is the one that asked longest ago.
    this.entries.delete(address)
    this.entries.set(address, entry)
    if (this.entries.size > this.most) this.entries.delete(this.entries.keys().next().value as string)
    if (entry.tokens < 1) return false
    entry.tokens -= 1
    return true
  }

  /** Whether a request's origin timestamp is the transmit timestamp of our last reply to that address. */
  isProved(address: string, origin: bigint): boolean {
    return origin !== 0n && this.entries.get(address)?.transmit === origin
  }

  note(address: string, transmit: bigint): void {
    const entry = this.entries.get(address)
    if (entry !== undefined) entry.transmit = transmit
  }
}

/** So many things a second, for all together. */
export class Budget {
  private readonly perSecond: number
  private left: number
  private at: number

  constructor(perSecond: number, now: number) {
    this.perSecond = perSecond
    this.left = perSecond
    this.at = now
  }

  /** Takes `count` where they are there. @param now CLOCK_MONOTONIC, seconds */
  take(count: number, now: number): boolean {
    this.left = Math.min(this.perSecond, this.left + Math.max(0, now - this.at) * this.perSecond)
    this.at = now
    if (this.left < count) return false
    this.left -= count
    return true
  }
}
