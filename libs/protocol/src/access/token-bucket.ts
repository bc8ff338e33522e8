/**
 * Token buckets, for what is asked for now and then: key exchanges, queries, acts, signatures. What workers limit requests for time by is
 * rate-limit.ts instead: three laws, in integers of memory that all workers share, with no object for a client.
 */

/** `burst` at once, `perSecond` in the long run. `perSecond` 0 means no limit. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

export class TokenBucket {
  private readonly rate: Rate
  private tokens: number
  private at: number

  /** @param now monotonic seconds */
  constructor(rate: Rate, now: number) {
    this.rate = rate
    this.tokens = rate.burst
    this.at = now
  }

  /** Whether so many tokens are there. @param now monotonic seconds */
  has(now: number, count = 1): boolean {
    const { perSecond, burst } = this.rate
    if (perSecond === 0) return true
    this.tokens = Math.min(burst, this.tokens + Math.max(0, now - this.at) * perSecond)
    this.at = now
    return this.tokens >= count
  }

  /** Takes tokens that {@link has} found. */
  spend(count = 1): void {
    this.tokens -= count
  }

  /** Takes tokens where they are there. @param now monotonic seconds */
  take(now: number, count = 1): boolean {
    const isThere = this.has(now, count)
    if (isThere) this.spend(count)
    return isThere
  }
}

/** Something of each of a bounded number of addresses: the one that asked longest ago is forgotten first, and begins anew. */
export class Remembered<Entry> {
  private readonly entries = new Map<string, Entry>()
  private readonly most: number
  private readonly begin: (now: number) => Entry

  constructor(most: number, begin: (now: number) => Entry) {
    this.most = most
    this.begin = begin
  }

  get size(): number {
    return this.entries.size
  }

  /** What is known of an address; counts as its asking. @param now monotonic seconds */
  of(address: string, now: number): Entry {
    const entry = this.entries.get(address) ?? this.begin(now)
    // Put at the end: a Map keeps its order of insertion, so the first is the one that asked longest ago.
    this.entries.delete(address)
    this.entries.set(address, entry)
    if (this.entries.size > this.most) {
      const [oldest] = this.entries.keys()
      if (oldest !== undefined) this.entries.delete(oldest)
    }
    return entry
  }

  peek(address: string): Entry | undefined {
    return this.entries.get(address)
  }
}

/** One rate for each address. */
export class AddressLimit {
  private readonly buckets: Remembered<TokenBucket>

  constructor(rate: Rate, most: number) {
    this.buckets = new Remembered(most, (now) => new TokenBucket(rate, now))
  }

  /** @param now monotonic seconds */
  allows(address: string, now: number): boolean {
    return this.buckets.of(address, now).take(now)
  }
}
