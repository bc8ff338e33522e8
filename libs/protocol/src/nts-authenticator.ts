/** NTS (RFC 8915 §5): requests with its extension fields and without a MAC. */
import type { NtsServer } from "@meridian/auth/nts-server"
import { sourceAddressAt } from "@meridian/wire/source-address"
import type { Trailer } from "@meridian/wire/trailer"
import type { Authenticator } from "./authenticator.ts"
import { ignore, type Outcome, type Pending, pending, respond } from "./outcome.ts"
import { noBatch, type RequestBatch } from "./request-batch.ts"

const servedNts = respond("served-nts")
const ntsNakSent = respond("nts-nak-sent")
const ntsMalformed = ignore("nts-malformed")
const ntsNotServed = ignore("nts-not-served")
const ntsNakLimited = ignore("nts-nak-limited")

/** NTS kisses a second. They are unauthenticated answers: enough for a fleet that lost its keys, too few for a reflector. */
const NAKS_PER_SECOND = 1_000
/** Of those, to one IPv4 /24 or IPv6 /48: whoever floods from one network leaves the others' to them. */
const NAKS_PER_PREFIX = 50
/** Prefixes are counted by a hash: two that meet in a place share it for this second. A power of two. */
const PREFIX_PLACES = 4_096

export class NtsAuthenticator implements Authenticator {
  /** Whether there are master keys. */
  hasKeys: boolean
  private readonly nts: NtsServer
  private naks = NAKS_PER_SECOND
  private naksCountedAt = 0
  private readonly spent = new Uint8Array(PREFIX_PLACES)
  /** Another one each second, so that nobody can aim at a neighbour's place for long. */
  private salt = 0
  private batch = noBatch

  constructor(nts: NtsServer, hasKeys: boolean) {
    this.nts = nts
    this.hasKeys = hasKeys
  }

  begin(batch: RequestBatch, now: number, monotonic: number): void {
    this.nts.begin(batch.bytes, batch.view, now)
    this.batch = batch
    if (monotonic - this.naksCountedAt < 1) return
    this.naksCountedAt = monotonic
    this.naks = NAKS_PER_SECOND
    this.spent.fill(0)
    this.salt = Math.imul((this.salt + monotonic * 1e6 + 1) | 0, 0x9e3779b1)
  }

  admit(slot: number, offset: number, length: number, trailer: Trailer): Outcome | Pending | undefined {
    if (trailer.macOffset !== 0 || trailer.fieldCount === 0) return undefined
    const verdict = this.nts.admit(slot, offset, length, trailer)
    if (verdict === "absent") return undefined
    if (verdict === "malformed") return ntsMalformed
    return this.hasKeys ? pending : ntsNotServed
  }

  verify(): void {
    this.nts.verify()
  }

  verdict(slot: number): Outcome | undefined {
    const verdict = this.nts.verdict(slot)
    if (verdict === "absent") return undefined
    if (verdict === "verified") return servedNts
    const place = this.placeOf(slot)
    if (this.naks === 0 || this.spent[place]! >= NAKS_PER_PREFIX) return ntsNakLimited
    this.naks -= 1
    this.spent[place]! += 1
    return ntsNakSent
  }

  /** Of the sender's network. */
  private placeOf(slot: number): number {
    const { addresses, family } = this.batch
    const from = sourceAddressAt(slot, family)
    let mixed = this.salt ^ family
    for (let at = from; at < from + (family === 4 ? 3 : 6); at++) mixed = Math.imul(mixed ^ addresses[at]!, 0x01000193)
    return (mixed ^ (mixed >>> 15)) & (PREFIX_PLACES - 1)
  }

  reply(slot: number): number {
    return this.nts.verdict(slot) === "verified" ? this.nts.reply(slot) : this.nts.nak(slot)
  }

  seal(stampedAt: number): void {
    this.nts.seal(stampedAt)
  }
}
