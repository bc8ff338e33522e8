/**
 * Who may connect: so many connections at a time and so many new ones a second, in all and from one address. Everything
 * that is remembered has a bound.
 */
import { writeAddress } from "@meridian/udp/socket-address"
import type { ConnectionOutcome } from "@meridian/ipc/nts-ke-report"

/** A token bucket: `burst` at once, `perSecond` in the long run. `perSecond` 0 means no limit. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

export interface AdmissionLimits {
  /** Connections open at a time, in all. */
  readonly connections: number
  /** Connections open at a time from one IPv4 address or one IPv6 /64. */
  readonly connectionsPerAddress: number
  readonly rate: Rate
  readonly ratePerAddress: Rate
}

/**
 * Of one process; several that share a port each have them. A handshake costs a core about half a millisecond, so the rate
 * in all keeps a flooded process from taking a whole core. One address may bring a whole office that starts at once.
 */
export const defaultAdmissionLimits: AdmissionLimits = {
  connections: 512,
  connectionsPerAddress: 16,
  rate: { perSecond: 1500, burst: 1500 },
  ratePerAddress: { perSecond: 8, burst: 64 }
}

/** Addresses whose rate is remembered; the one not seen for longest is forgotten first. */
export const REMEMBERED_ADDRESSES = 16_384

interface Bucket {
  tokens: number
  /** seconds, when `tokens` was right */
  at: number
}

export type AdmissionRefusal = Extract<
  ConnectionOutcome,
  "too-many-connections" | "too-many-from-address" | "rate-in-all" | "rate-from-address"
>

export class Admission {
  private readonly limits: AdmissionLimits
  private readonly total: Bucket
  private readonly buckets = new Map<string, Bucket>()
  private readonly openFrom = new Map<string, number>()
  private openInAll = 0
  /** Open connections that are about to be ended for others, by address and in all. */
  private readonly leavingFrom = new Map<string, number>()
  private leaving = 0

  /** @param now monotonic seconds */
  constructor(limits: AdmissionLimits, now: number) {
    this.limits = limits
    this.total = { tokens: limits.rate.burst, at: now }
  }

  /** Connections open at this moment. */
  get open(): number {
    return this.openInAll
  }

  /** Addresses remembered at this moment, at most {@link REMEMBERED_ADDRESSES}. */
  get remembered(): number {
    return this.buckets.size
  }

  /**
   * Takes a place for a connection, to be given back with {@link release}; or says why there is none: that all are taken only
   * where nothing else speaks against it. A refused connection uses up nothing.
   * @param key of an address, see {@link addressKey}
   * @param now monotonic seconds
   */
  admit(key: string, now: number): AdmissionRefusal | undefined {
    const { limits } = this
    const from = this.openFrom.get(key) ?? 0
    if (from >= limits.connectionsPerAddress) return "too-many-from-address"
    const bucket = this.bucketOf(key, now)
    if (!hasToken(bucket, limits.ratePerAddress, now)) return "rate-from-address"
    if (!hasToken(this.total, limits.rate, now)) return "rate-in-all"
    if (this.openInAll - this.leaving >= limits.connections) return "too-many-connections"
    bucket.tokens--
    this.total.tokens--
    this.openInAll++
    this.openFrom.set(key, from + 1)
    return undefined
  }

  /** A connection of this address is to be ended for another: its place counts as free until it is given back. */
  makeWay(key: string): void {
    this.leavingFrom.set(key, (this.leavingFrom.get(key) ?? 0) + 1)
    this.leaving++
  }

  /** Gives a place back. */
  release(key: string): void {
    const from = this.openFrom.get(key) ?? 0
    if (from === 0) return
    const told = this.leavingFrom.get(key) ?? 0
    if (told > 0) this.leaving--
    if (told > 1) this.leavingFrom.set(key, told - 1)
    else this.leavingFrom.delete(key)
    this.openInAll--
    if (from > 1) this.openFrom.set(key, from - 1)
    else this.openFrom.delete(key)
  }

  /** The address's bucket, moved to the young end of the table. */
  private bucketOf(key: string, now: number): Bucket {
    const known = this.buckets.get(key)
    const bucket = known ?? { tokens: this.limits.ratePerAddress.burst, at: now }
    if (known !== undefined) this.buckets.delete(key)
    else if (this.buckets.size >= REMEMBERED_ADDRESSES) {
      const [oldest] = this.buckets.keys()
      if (oldest !== undefined) this.buckets.delete(oldest)
    }
    this.buckets.set(key, bucket)
    return bucket
  }
}

/** Refills, and tells whether there is a token to take. */
const hasToken = (bucket: Bucket, rate: Rate, now: number): boolean => {
  if (rate.perSecond === 0) return true
  const elapsed = Math.max(0, now - bucket.at)
  bucket.tokens = Math.min(rate.burst, bucket.tokens + elapsed * rate.perSecond)
  bucket.at = now
  return bucket.tokens >= 1
}

const scratch = new Uint8Array(16)

/**
 * What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 address, because a client has all the rest.
 * @param address numeric, as a socket gives it; undefined for a peer that is gone already
 */
export const addressKey = (address: string | undefined): string => {
  if (address === undefined) return "gone"
  if (!address.includes(":")) return address
  if (address.startsWith("::ffff:") && address.includes(".")) return address.slice("::ffff:".length)
  writeAddress(scratch, 0, address)
  return Buffer.from(scratch.buffer, 0, 8).toString("hex")
}
