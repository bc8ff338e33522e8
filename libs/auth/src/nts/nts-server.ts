/**
 * NTS in the server's packet path (RFC 8915 §5.7). Verifying a request and sealing its reply are split in two, so that a
 * batch of packets costs two calls of the AEAD implementation:
 *
 *     begin → admit each request → verify → (the header of each verified reply is written) → reply for each → seal
 *
 * A request occupies a slot, a number the caller gives it, from admit to seal. Replies are written over their requests
 * and are never longer. Nothing is allocated per packet; the keys of clients live in `secrets` between admit and seal.
 */
import { Leap } from "@meridian/time/clock-curve"
import { flagsOf, HEADER_BYTES, modeOf, Offset, versionOf } from "@meridian/wire/ntp"
import {
  AUTHENTICATOR_HEADER_BYTES,
  authenticatorLength,
  countEncryptedPlaceholders,
  findNtsFields,
  newNtsFields,
  type NtsFields,
  NtsFieldType,
  NtsShape,
  padded,
  writeAuthenticatorHeader,
  writeFieldHeader
} from "@meridian/wire/nts-fields"
import { FIELD_HEADER_BYTES, type Trailer } from "@meridian/wire/trailer"
import {
  type AeadBatch,
  type AeadParameters,
  CHAINED,
  isNonceLength,
  MAXIMUM_KEY_BYTES,
  PLAINTEXT_IN_SECRETS,
  SEAL
} from "./aead.ts"
import { AeadJobs } from "./aead-jobs.ts"
import {
  COOKIE_AD_BYTES,
  COOKIE_AEAD,
  COOKIE_NONCE_BYTES,
  cookieAead,
  cookieGeneration,
  cookieLength,
  CookieOffset,
  writeCookieHeader
} from "./cookie.ts"
import { type Generation, KeyRing, MASTER_KEY_BYTES, MAXIMUM_GENERATIONS, refusalAt } from "./key-ring.ts"

/** The kiss code of an NTS NAK (RFC 8915 §5.7). */
export const KISS_NTSN = 0x4e54534e

/** Most cookies in one reply (RFC 8915 §5.7: clients ask for at most seven more than they used). */
const MAXIMUM_COOKIES_PER_REPLY = 8

/**
 * What a request is. `absent`: no NTS, to be served plainly. `malformed`: to be dropped. `pending`: known after verify.
 * `verified`: to be answered with reply. The others failed, and RFC 8915 §5.7 wants a NAK, as often as the shell allows.
 */
export type NtsVerdict =
  | "absent"
  | "malformed"
  | "pending"
  | "verified"
  | "cookie-malformed"
  | "cookie-unknown"
  | "cookie-retired"
  | "cookie-revoked"
  | "cookie-forged"
  | "request-forged"

const refusedCookie = { unknown: "cookie-unknown", retired: "cookie-retired", revoked: "cookie-revoked" } as const

interface NtsServerOptions {
  readonly batch: AeadBatch
  /** Fills the array with random bytes, of the quality that nonces need. */
  readonly fillRandom: (bytes: Uint8Array) => void
  /** Requests between begin and seal: slots 0 … slots-1. */
  readonly slots: number
}

const SLOT_SECRETS_BYTES = 2 * MAXIMUM_KEY_BYTES
const SLOTS_AT = MAXIMUM_GENERATIONS * MASTER_KEY_BYTES
const RANDOM_POOL_BYTES = 16_384

/** Cookies by what became of them; `unknown` names no generation that opens, `forged` one that does and is not its seal. */
interface CookieCounts {
  made: number
  current: number
  old: number
  old2: number
  older: number
  unknown: number
  forged: number
}

/** One request between admit and seal. */
interface Slot {
  readonly fields: NtsFields
  verdict: NtsVerdict
  offset: number
  length: number
  aead: AeadParameters | undefined
  firstJob: number
}

export class NtsServer {
  /** Fresh cookies in the reply that was last built. */
  cookiesInReply = 0
  /** Cookies that were opened, by the age of the generation that they name, and made; totals since the start. */
  readonly cookies: CookieCounts = { made: 0, current: 0, old: 0, old2: 0, older: 0, unknown: 0, forged: 0 }

  private readonly batch: AeadBatch
  private readonly fillRandom: (bytes: Uint8Array) => void
  private readonly slots: readonly Slot[]
  private readonly jobs: AeadJobs
  /** Master keys in the order of the ring, then the keys of each slot's client. */
  private readonly secrets: Uint8Array
  private readonly random = new Uint8Array(RANDOM_POOL_BYTES)
  private readonly randomView = new DataView(this.random.buffer)
  private randomUsed = RANDOM_POOL_BYTES
  private ring = KeyRing.empty
  private active: Generation | undefined
  private activeIndex = -1
  private now = 0
  /** Slots below this may have been admitted since begin; a batch is often one packet, and then only its slot is touched. */
  private used = 0
  private packets: Uint8Array = new Uint8Array(0)
  private view: DataView = new DataView(new ArrayBuffer(0))

  constructor(options: NtsServerOptions) {
    this.batch = options.batch
    this.fillRandom = options.fillRandom
    this.slots = Array.from({ length: options.slots }, () => ({
      fields: newNtsFields(),
      verdict: "absent" as const,
      offset: 0,
      length: 0,
      aead: undefined,
      firstJob: 0
    }))
    this.jobs = new AeadJobs(options.slots * (MAXIMUM_COOKIES_PER_REPLY + 1))
    this.secrets = new Uint8Array(SLOTS_AT + options.slots * SLOT_SECRETS_BYTES)
  }

  /** Takes over a ring; to be called between seal and begin. */
  useRing(ring: KeyRing): void {
    this.ring = ring
    this.secrets.fill(0)
    ring.generations.forEach(({ key }, index) => this.secrets.set(key, index * MASTER_KEY_BYTES))
  }

  /**
   * Starts a batch of packets.
   * @param packets the buffer they lie in
   * @param view the same buffer
   * @param now Unix seconds, by which generations are judged
   */
  begin(packets: Uint8Array, view: DataView, now: number): void {
    this.packets = packets
    this.view = view
    this.now = now
    this.active = this.ring.activeAt(now)
    this.activeIndex = this.active === undefined ? -1 : this.ring.generations.indexOf(this.active)
    this.jobs.clear()
    this.forgetSlots()
  }

  /** Takes in the version 4 request at `offset`, whose trailer has been scanned. `pending` is decided by verify. */
  admit(slotIndex: number, offset: number, length: number, trailer: Trailer): NtsVerdict {
    const slot = this.slot(slotIndex)
    this.used = Math.max(this.used, slotIndex + 1)
    slot.offset = offset
    slot.length = length
    slot.verdict = this.prepare(slot, slotIndex, trailer)
    return slot.verdict
  }

  /** Decides every pending request, in one call of the AEAD implementation. */
  verify(): void {
    this.jobs.run(this.batch, this.packets, this.secrets)
    for (let index = 0; index < this.used; index += 1) {
      const slot = this.slot(index)
      if (slot.verdict === "pending") slot.verdict = this.decide(slot)
    }
  }

  verdict(slotIndex: number): NtsVerdict {
    return this.slot(slotIndex).verdict
  }

  /**
   * Writes the reply of a verified request after its header, which the caller has written over the request's. Returns the
   * reply's length; 0 for a request that is not verified. It has fewer cookies than were asked for where more would make it
   * longer than the request, as when the client left out the padding of RFC 8915 §5.6, and none where no generation is
   * active. The bytes are final after seal.
   */
  reply(slotIndex: number): number {
    const slot = this.slot(slotIndex)
    const { aead, fields, offset } = slot
    if (slot.verdict !== "verified" || aead === undefined) return 0
    const cookieFieldBytes = FIELD_HEADER_BYTES + cookieLength(aead)
    const authenticatorAt = offset + HEADER_BYTES + FIELD_HEADER_BYTES + fields.uniqueIdentifierLength
    const bare = authenticatorAt - offset + authenticatorLength(aead.nonceBytes, aead.tagBytes)
    // A verified request held a cookie, so there is room at least for a reply without any.
    const fitting = Math.floor((slot.length - bare) / cookieFieldBytes)
    const count = this.active === undefined ? 0 : Math.min(1 + fields.placeholders, fitting, MAXIMUM_COOKIES_PER_REPLY)

    this.moveUniqueIdentifier(slot)
    const textLength = count * cookieFieldBytes
    const length = writeAuthenticatorHeader(this.view, authenticatorAt, aead.nonceBytes, aead.tagBytes + textLength)
    const nonceAt = authenticatorAt + AUTHENTICATOR_HEADER_BYTES
    const ciphertextAt = nonceAt + padded(aead.nonceBytes)
    const textAt = aead.tagFirst ? ciphertextAt + aead.tagBytes : ciphertextAt
    for (let index = 0; index < count; index += 1) this.addCookie(slotIndex, aead, textAt + index * cookieFieldBytes)
    this.writeRandom(nonceAt, aead.nonceBytes)
    const s2cAt = secretsAt(slotIndex) + aead.keyBytes
    this.jobs.add(
      SEAL,
      aead.id,
      s2cAt,
      nonceAt,
      aead.nonceBytes,
      offset,
      authenticatorAt - offset,
      textAt,
      textLength,
      ciphertextAt,
      offset + Offset.transmit
    )
    this.cookiesInReply = count
    return authenticatorAt + length - offset
  }

  /**
   * Turns the reply header that the caller has written over a failed request into a NAK: unsynchronised, stratum 0, kiss
   * code NTSN, followed by the unique identifier and nothing else (RFC 8915 §5.7). Returns its length.
   */
  nak(slotIndex: number): number {
    const slot = this.slot(slotIndex)
    const flags = this.view.getUint8(slot.offset + Offset.flags)
    this.view.setUint8(slot.offset + Offset.flags, flagsOf(Leap.unsynchronised, versionOf(flags), modeOf(flags)))
    this.view.setUint8(slot.offset + Offset.stratum, 0)
    this.view.setUint32(slot.offset + Offset.referenceId, KISS_NTSN)
    this.moveUniqueIdentifier(slot)
    return HEADER_BYTES + FIELD_HEADER_BYTES + slot.fields.uniqueIdentifierLength
  }

  /**
   * Seals the replies, in one call of the AEAD implementation, and forgets the clients' keys and every slot.
   * @param stampedAt CLOCK_MONOTONIC, seconds, of the reading that the replies' transmit timestamps were made of: each is moved
   *   on by the time since, just before its reply is sealed. Without it they stay as they are.
   */
  seal(stampedAt?: number): void {
    this.jobs.run(this.batch, this.packets, this.secrets, stampedAt)
    this.forgetSlots()
  }

  private forgetSlots(): void {
    for (let index = 0; index < this.used; index += 1) this.slot(index).verdict = "absent"
    this.secrets.fill(0, SLOTS_AT, secretsAt(this.used))
    this.used = 0
  }

  private prepare(slot: Slot, slotIndex: number, trailer: Trailer): NtsVerdict {
    const { fields, offset } = slot
    const shape = findNtsFields(this.view, trailer, fields)
    if (shape === NtsShape.absent) return "absent"
    if (shape === NtsShape.malformed || fields.cookieLength === 0) return "malformed"
    const aead = cookieAead(this.view, fields.cookieOffset, fields.cookieLength)
    if (aead === undefined) return "cookie-malformed"
    const generation = this.findGeneration(cookieGeneration(this.view, fields.cookieOffset))
    if (generation < 0) {
      this.cookies.unknown += 1
      return "cookie-unknown"
    }
    const refusal = refusalAt(this.ring.generations[generation] as Generation, this.now)
    if (refusal !== undefined) {
      this.cookies.unknown += 1
      return refusedCookie[refusal]
    }
    this.countAge(this.activeIndex - generation)
    const textLength = fields.ciphertextLength - aead.tagBytes
    if (textLength < 0 || !isNonceLength(aead, fields.nonceLength)) return "request-forged"

    slot.aead = aead
    const cookieAt = fields.cookieOffset
    slot.firstJob = this.addCookieJob(0, generation, slotIndex, aead, cookieAt)
    this.jobs.add(
      CHAINED,
      aead.id,
      secretsAt(slotIndex),
      fields.nonceOffset,
      fields.nonceLength,
      offset,
      fields.authenticatorOffset - offset,
      textOffset(aead, fields),
      textLength,
      fields.ciphertextOffset
    )
    return "pending"
  }

  private decide(slot: Slot): NtsVerdict {
    const { aead, fields, firstJob } = slot
    if (aead === undefined || !this.jobs.succeeded(firstJob)) {
      this.cookies.forged += 1
      return "cookie-forged"
    }
    if (!this.jobs.succeeded(firstJob + 1)) return "request-forged"
    const textLength = fields.ciphertextLength - aead.tagBytes
    fields.placeholders += countEncryptedPlaceholders(
      this.view,
      textOffset(aead, fields),
      textLength,
      fields.cookieLength
    )
    return "verified"
  }

  /** @param age generations between the one that seals and the cookie's; 0 or less for one to come */
  private countAge(age: number): void {
    if (age <= 0) this.cookies.current += 1
    else if (age === 1) this.cookies.old += 1
    else if (age === 2) this.cookies.old2 += 1
    else this.cookies.older += 1
  }

  /** Index in the ring of the generation with this id, -1 when there is none. */
  private findGeneration(id: number): number {
    const generations = this.ring.generations
    for (let index = generations.length - 1; index >= 0; index -= 1) if (generations[index]?.id === id) return index
    return -1
  }

  /** Puts the unique identifier right behind the header, wherever the client had it. */
  private moveUniqueIdentifier(slot: Slot): void {
    const { uniqueIdentifierOffset: from, uniqueIdentifierLength: length } = slot.fields
    const fieldAt = slot.offset + HEADER_BYTES
    if (from === fieldAt + FIELD_HEADER_BYTES) return
    this.packets.copyWithin(fieldAt + FIELD_HEADER_BYTES, from, from + length)
    writeFieldHeader(this.view, fieldAt, NtsFieldType.uniqueIdentifier, length)
  }

  private addCookie(slotIndex: number, aead: AeadParameters, fieldAt: number): void {
    const active = this.active as Generation
    this.cookies.made += 1
    const cookieAt = writeFieldHeader(this.view, fieldAt, NtsFieldType.cookie, cookieLength(aead))
    writeCookieHeader(this.view, cookieAt, aead, active.id)
    this.writeRandom(cookieAt + CookieOffset.nonce, COOKIE_NONCE_BYTES)
    this.addCookieJob(SEAL, this.findGeneration(active.id), slotIndex, aead, cookieAt)
  }

  /** Seals both keys of a slot into the cookie there, or opens them from it. @param generation its place in the ring */
  private addCookieJob(
    flags: number,
    generation: number,
    slotIndex: number,
    aead: AeadParameters,
    cookieAt: number
  ): number {
    return this.jobs.add(
      flags + PLAINTEXT_IN_SECRETS,
      COOKIE_AEAD,
      generation * MASTER_KEY_BYTES,
      cookieAt + CookieOffset.nonce,
      COOKIE_NONCE_BYTES,
      cookieAt,
      COOKIE_AD_BYTES,
      secretsAt(slotIndex),
      2 * aead.keyBytes,
      cookieAt + CookieOffset.sealed
    )
  }

  /** Writes an even number of random bytes, by fours: this is done twice a packet. */
  private writeRandom(offset: number, length: number): void {
    if (this.randomUsed + length > RANDOM_POOL_BYTES) {
      this.fillRandom(this.random)
      this.randomUsed = 0
    }
    const { view, randomView, randomUsed } = this
    let index = 0
    for (; index + 4 <= length; index += 4) view.setInt32(offset + index, randomView.getInt32(randomUsed + index))
    if (index < length) view.setInt16(offset + index, randomView.getInt16(randomUsed + index))
    this.randomUsed = randomUsed + length
  }

  private slot(index: number): Slot {
    const slot = this.slots[index]
    if (slot === undefined) throw new RangeError(`expected a slot below ${this.slots.length}, found ${index}`)
    return slot
  }
}

const secretsAt = (slotIndex: number): number => SLOTS_AT + slotIndex * SLOT_SECRETS_BYTES

/** Requests are decrypted in place; nothing needs their ciphertext afterwards. */
const textOffset = (aead: AeadParameters, fields: NtsFields): number =>
  aead.tagFirst ? fields.ciphertextOffset + aead.tagBytes : fields.ciphertextOffset
