/**
 * Who may connect: so many connections at a time and so many new ones a second, in all and from one address. Everything
 * that is remembered has a bound.
 */
import { type Rate, Remembered, TokenBucket } from "@meridian/protocol/access/token-bucket"
import { addressOctets } from "@meridian/udp/socket-address"
import type { ConnectionOutcome } from "@meridian/ipc/nts-ke-report"

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

type AdmissionRefusal = Extract<
  ConnectionOutcome,
  "too-many-connections" | "too-many-from-address" | "rate-in-all" | "rate-from-address"
>

export class Admission {
  private readonly limits: AdmissionLimits
  private readonly total: TokenBucket
  private readonly buckets: Remembered<TokenBucket>
  private readonly openFrom = new Map<string, number>()
  private openInAll = 0
  /** Open connections that are about to be ended for others, by address and in all. */
  private readonly leavingFrom = new Map<string, number>()
  private leaving = 0

  /** @param now monotonic seconds */
  constructor(limits: AdmissionLimits, now: number) {
    this.limits = limits
    this.total = new TokenBucket(limits.rate, now)
    this.buckets = new Remembered(REMEMBERED_ADDRESSES, (at) => new TokenBucket(limits.ratePerAddress, at))
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
    const bucket = this.buckets.of(key, now)
    if (!bucket.has(now)) return "rate-from-address"
    if (!this.total.has(now)) return "rate-in-all"
    if (this.openInAll - this.leaving >= limits.connections) return "too-many-connections"
    bucket.spend()
    this.total.spend()
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
}

/**
 * What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 address, because a client has all the rest.
 * @param address numeric, as a socket gives it; undefined for a peer that is gone already
 */
export const addressKey = (address: string | undefined): string => {
  if (address === undefined) return "gone"
  if (!address.includes(":")) return address
  if (address.startsWith("::ffff:") && address.includes(".")) return address.slice("::ffff:".length)
  return addressOctets(address).subarray(0, 8).toHex()
}
