/**
 * Which peers that come by themselves are taken: at most so many, so many a minute, and nobody again soon who never answered.
 * Who holds a trusted key can make up as many of them as there are addresses (CVE-2016-1549), and so can for a while who
 * hears others' packets and sends them again from elsewhere.
 */
import type { AssociationAuthentication } from "./association-authentication.ts"
import {
  type AssociationOptions,
  defaultAssociationOptions,
  type Endpoint,
  GREATEST_POLL,
  LEAST_POLL
} from "./association-options.ts"
import { GREATEST_PASSIVE_POLL } from "./association-passive.ts"

/** The sender of an authentic packet in symmetric active mode. */
export interface Caller {
  readonly endpoint: Endpoint
  /** 1 … 4 */
  readonly version: number
  /** The packet's, log2 seconds. */
  readonly poll: number
  /** Under the packet's key. */
  readonly authentication: AssociationAuthentication
}

/** A broadcast server that was heard. */
export interface Teller {
  /** Where it tells from, which is where it is asked. */
  readonly endpoint: Endpoint
  /** 1 … 4 */
  readonly version: number
  /** The packet's, log2 seconds. */
  readonly poll: number
  readonly authentication: AssociationAuthentication
  /** See AssociationOptions.broadcastDelay. */
  readonly delay: number | undefined
}

const passiveRefusals = [
  /** there are as many as may be */
  "full",
  /** too many came at once; it may come again */
  "too-fast",
  /** it was taken lately and never answered */
  "unproven"
] as const
export type PassiveRefusal = (typeof passiveRefusals)[number]

/** As many may come at once as may be in all; then one is taken in so many seconds. */
const REFILL_SECONDS = 4
/** Nobody who never answered is taken again for so long, seconds. */
const AVOIDED_SECONDS = 3_600
const MOST_AVOIDED = 256

/** An association with a caller keeps to its pace. Poll intervals of under a second are taken for one. */
export const passiveOptions = ({ version }: Caller): AssociationOptions => ({
  ...defaultAssociationOptions,
  mode: "passive",
  version,
  minpoll: LEAST_POLL,
  maxpoll: GREATEST_PASSIVE_POLL
})

/** A broadcast server sets the pace too; the volley before is as quick as a burst. */
export const tellerOptions = ({ version, poll, delay }: Teller): AssociationOptions => ({
  ...defaultAssociationOptions,
  mode: "broadcast",
  version,
  minpoll: Math.min(Math.max(poll, LEAST_POLL), GREATEST_POLL),
  maxpoll: GREATEST_POLL,
  iburst: true,
  broadcastDelay: delay
})

export class PassiveRegister {
  /** Associations with callers, or with tellers, that there are. */
  size = 0
  private readonly most: number
  private allowance: number
  private asked = -Infinity
  private readonly avoided = new Map<string, number>()

  constructor(most: number) {
    this.most = most
    this.allowance = most
  }

  /** Why a caller is not taken, or undefined. @param now CLOCK_MONOTONIC, seconds */
  refusal(address: string, now: number): PassiveRefusal | undefined {
    const elapsed = Math.max(0, now - this.asked)
    this.allowance = Math.min(this.most, this.allowance + elapsed / REFILL_SECONDS)
    this.asked = now
    if (this.size >= this.most) return "full"
    if ((this.avoided.get(address) ?? -Infinity) > now) return "unproven"
    return this.allowance < 1 ? "too-fast" : undefined
  }

  taken(): void {
    this.size += 1
    this.allowance -= 1
  }

  left(): void {
    this.size -= 1
  }

  avoid(address: string, now: number): void {
    for (const [each, until] of this.avoided) if (until <= now) this.avoided.delete(each)
    const [oldest] = this.avoided.keys()
    if (this.avoided.size >= MOST_AVOIDED && oldest !== undefined) this.avoided.delete(oldest)
    this.avoided.delete(address)
    this.avoided.set(address, now + AVOIDED_SECONDS)
  }
}
