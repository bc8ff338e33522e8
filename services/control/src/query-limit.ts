/**
 * How often one address may ask: a burst, then so many a second, which leaves room for a screen that asks of each of a
 * hundred sources and none for a flood. Bounded memory: when the table is full, all begin anew.
 */
const BURST = 500
const PER_SECOND = 200
const MOST_ADDRESSES = 4_096

interface Bucket {
  tokens: number
  at: number
}

export class QueryLimit {
  readonly #buckets = new Map<string, Bucket>()

  /** @param now seconds, steady */
  allows(address: string, now: number): boolean {
    let bucket = this.#buckets.get(address)
    if (bucket === undefined) {
      if (this.#buckets.size >= MOST_ADDRESSES) this.#buckets.clear()
      bucket = { tokens: BURST, at: now }
      this.#buckets.set(address, bucket)
    }
    bucket.tokens = Math.min(BURST, bucket.tokens + Math.max(0, now - bucket.at) * PER_SECOND)
    bucket.at = now
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }
}
