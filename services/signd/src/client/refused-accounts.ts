/**
 * Accounts that signd refused lately, so that nobody can have it asked about one over and over, and its connections closed. Bounded:
 * when there are too many, the oldest is forgotten.
 */

/** How long a refusal is believed: a machine that has just joined the domain waits no longer for its first signed time. */
const REMEMBERED_MS = 30_000
const MOST_REMEMBERED = 4_096

export class RefusedAccounts {
  /** Until when, by key; in the order of the refusals. */
  private readonly until = new Map<number, number>()

  get size(): number {
    return this.until.size
  }

  /** @param keyId with the bit for the previous password, which may be refused by itself. @param now milliseconds */
  isRefused(keyId: number, now: number): boolean {
    const until = this.until.get(keyId)
    return until !== undefined && now < until
  }

  refuse(keyId: number, now: number): void {
    this.until.delete(keyId)
    this.until.set(keyId, now + REMEMBERED_MS)
    if (this.until.size > MOST_REMEMBERED) this.until.delete(this.until.keys().next().value!)
  }

  /** Signd may know other accounts now. */
  clear(): void {
    this.until.clear()
  }
}
