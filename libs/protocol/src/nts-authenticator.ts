/** NTS (RFC 8915 §5): requests with its extension fields and without a MAC. */
import type { NtsServer } from "@meridian/auth/nts-server"
import type { Trailer } from "@meridian/wire/trailer"
import type { Authenticator } from "./authenticator.ts"
import { ignore, type Outcome, type Pending, pending, respond } from "./outcome.ts"
import type { RequestBatch } from "./request-batch.ts"

const servedNts = respond("served-nts")
const ntsNakSent = respond("nts-nak-sent")
const ntsMalformed = ignore("nts-malformed")
const ntsNotServed = ignore("nts-not-served")
const ntsNakLimited = ignore("nts-nak-limited")

/** NTS kisses a second. They are unauthenticated answers: enough for a fleet that lost its keys, too few for a reflector. */
const NAKS_PER_SECOND = 1_000

export class NtsAuthenticator implements Authenticator {
  /** Whether there are master keys. */
  hasKeys: boolean
  private readonly nts: NtsServer
  private naks = NAKS_PER_SECOND
  private naksCountedAt = 0

  constructor(nts: NtsServer, hasKeys: boolean) {
    this.nts = nts
    this.hasKeys = hasKeys
  }

  begin(batch: RequestBatch, now: number, monotonic: number): void {
    this.nts.begin(batch.bytes, batch.view, now)
    if (monotonic - this.naksCountedAt < 1) return
    this.naksCountedAt = monotonic
    this.naks = NAKS_PER_SECOND
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
    if (this.naks === 0) return ntsNakLimited
    this.naks -= 1
    return ntsNakSent
  }

  reply(slot: number): number {
    return this.nts.verdict(slot) === "verified" ? this.nts.reply(slot) : this.nts.nak(slot)
  }

  seal(stampedAt: number): void {
    this.nts.seal(stampedAt)
  }
}
