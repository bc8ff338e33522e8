/** Autokey's session keys (RFC 5906 §9.1): requests without extension fields whose key id is above those of symmetric keys. */
import type { RequestAddresses, SessionServer } from "@meridian/auth/autokey/session-server"
import type { SecretRing } from "@meridian/auth/autokey/server-secret"
import { writeCryptoNak } from "@meridian/auth/mac"
import { HIGHEST_SYMMETRIC_KEY_ID } from "@meridian/wire/autokey-fields"
import { HEADER_BYTES, Mode, modeOf, Offset, versionOf } from "@meridian/wire/ntp"
import { sourceAddressAt } from "@meridian/wire/source-address"
import type { Trailer } from "@meridian/wire/trailer"
import type { Authenticator } from "./authenticator.ts"
import { ignore, type Outcome, type Pending, pending, respond } from "./outcome.ts"
import { LOCAL_ADDRESS_STRIDE, noBatch, type RequestBatch } from "./request-batch.ts"

const servedAutokey = respond("served-autokey")
/** The client's cookie is no longer ours: told so, it begins the exchange anew at once. */
const nakSent = respond("autokey-nak-sent")
const noSecret = ignore("autokey-no-secret")

export class AutokeyAuthenticator implements Authenticator {
  private readonly sessions: SessionServer
  private readonly secrets: SecretRing
  private readonly from: { -readonly [Key in keyof RequestAddresses]: RequestAddresses[Key] } = {
    sources: noBatch.addresses,
    sourceAt: 0,
    destinations: noBatch.localAddresses,
    destinationAt: 0,
    length: 4
  }
  private batch: RequestBatch = noBatch

  constructor(sessions: SessionServer, secrets: SecretRing) {
    this.sessions = sessions
    this.secrets = secrets
  }

  begin(batch: RequestBatch, now: number): void {
    this.batch = batch
    this.secrets.useAt(now)
    this.from.sources = batch.addresses
    this.from.destinations = batch.localAddresses
    this.from.length = batch.family === 4 ? 4 : 16
  }

  admit(slot: number, offset: number, length: number, trailer: Trailer): Outcome | Pending | undefined {
    const { view } = this.batch
    if (trailer.fieldCount > 0 || trailer.macOffset === 0 || length !== this.sessions.packetBytes) return undefined
    if (view.getUint32(offset + HEADER_BYTES) <= HIGHEST_SYMMETRIC_KEY_ID) return undefined
    const flags = view.getUint8(offset + Offset.flags)
    if (modeOf(flags) !== Mode.client || versionOf(flags) < 3) return undefined
    if (this.secrets.current === undefined) return noSecret
    this.from.sourceAt = sourceAddressAt(slot, this.batch.family)
    this.from.destinationAt = slot * LOCAL_ADDRESS_STRIDE
    this.sessions.admit(slot, view, offset, this.from)
    return pending
  }

  verify(): void {
    this.sessions.verify(this.batch.bytes, this.secrets)
  }

  verdict(slot: number): Outcome | undefined {
    if (!this.sessions.holds(slot)) return undefined
    return this.sessions.isVerified(slot) ? servedAutokey : nakSent
  }

  reply(slot: number, offset: number): number {
    const { view } = this.batch
    return this.sessions.isVerified(slot) ? this.sessions.reply(slot, view, offset) : writeCryptoNak(view, offset)
  }

  seal(stampedAt: number): void {
    this.sessions.seal(this.batch.bytes, stampedAt)
  }
}
