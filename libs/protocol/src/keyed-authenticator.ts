/** Symmetric keys (RFC 5905 §7.3, RFC 8573): every request that ends in a MAC, unless another authenticator took it before. */
import { writeCryptoNak } from "@meridian/auth/mac"
import type { MacServer } from "@meridian/auth/mac-server"
import type { Trailer } from "@meridian/wire/trailer"
import type { Authenticator } from "./authenticator.ts"
import { ignore, type Outcome, type Pending, pending, respond } from "./outcome.ts"
import { noBatch, type RequestBatch } from "./request-batch.ts"

const servedKeyed = respond("served-keyed")
const cryptoNakSent = respond("crypto-nak-sent")
const unknownKey = ignore("unknown-key")
const untrustedKey = ignore("untrusted-key")
const badMac = ignore("bad-mac")

export class KeyedAuthenticator implements Authenticator {
  /** Answer a MAC that proves nothing with a crypto-NAK, as classic ntpd does; silence otherwise, as NTPsec. */
  sendCryptoNak: boolean
  private readonly macs: MacServer
  private batch: RequestBatch = noBatch

  constructor(macs: MacServer, sendCryptoNak: boolean) {
    this.macs = macs
    this.sendCryptoNak = sendCryptoNak
  }

  begin(batch: RequestBatch): void {
    this.batch = batch
  }

  admit(slot: number, offset: number, _length: number, trailer: Trailer): Outcome | Pending | undefined {
    if (trailer.macOffset === 0) return undefined
    const verdict = this.macs.admit(slot, this.batch.view, offset, trailer.macOffset, trailer.macLength)
    if (verdict === "pending") return pending
    return this.refuse(verdict === "unknown-key" ? unknownKey : verdict === "untrusted-key" ? untrustedKey : badMac)
  }

  verify(): void {
    this.macs.verify(this.batch.bytes)
  }

  verdict(slot: number): Outcome | undefined {
    if (!this.macs.holds(slot)) return undefined
    return this.macs.isVerified(slot) ? servedKeyed : this.refuse(badMac)
  }

  reply(slot: number, offset: number): number {
    const { view } = this.batch
    return this.macs.isVerified(slot) ? this.macs.reply(slot, view, offset) : writeCryptoNak(view, offset)
  }

  seal(stampedAt: number): void {
    this.macs.seal(this.batch.bytes, stampedAt)
  }

  private refuse(refusal: Outcome): Outcome {
    return this.sendCryptoNak ? cryptoNakSent : refusal
  }
}
