/**
 * NTS on the client's side of NTP (RFC 8915 §5.7): an association made by a key exchange, its jar of cookies, requests
 * and the judgement of replies. Cookies are used once each; every accepted reply brings as many as were asked for.
 */
import { decodeHeader, HEADER_BYTES } from "@meridian/wire/ntp"
import {
  AUTHENTICATOR_HEADER_BYTES,
  authenticatorLength,
  findNtsFields,
  newNtsFields,
  NtsFieldType,
  NtsShape,
  padded,
  UNIQUE_IDENTIFIER_BYTES,
  walkEncryptedFields,
  writeAuthenticatorHeader,
  writeFieldHeader
} from "@meridian/wire/nts-fields"
import { FIELD_HEADER_BYTES, newTrailer, scanTrailer, TrailerShape } from "@meridian/wire/trailer"
import type { Aead } from "./aead.ts"
import { equalBytes } from "../symmetric/mac.ts"
import { MAXIMUM_COOKIES } from "./nts-ke-client.ts"
import { KISS_NTSN } from "./nts-server.ts"

/** What an association starts from, and what is kept (sealed) to start from after a restart. Holds key material. */
export interface NtsSession {
  readonly c2s: Uint8Array
  readonly s2c: Uint8Array
  /** Oldest first. */
  readonly cookies: readonly Uint8Array[]
}

export type NtsReplyVerdict =
  /** Authentic: the header may be used. */
  | { readonly _tag: "Authentic"; readonly newCookies: number }
  /** An unauthenticated claim that our cookies are not known any more; see {@link NtsAssociation.needsKeyExchange}. */
  | { readonly _tag: "Nak" }
  | { readonly _tag: "Rejected"; readonly reason: NtsRejection }

export type NtsRejection =
  | "short"
  | "malformed"
  | "unasked"
  | "not-authenticated"
  | "wrong-identifier"
  | "forged"
  | "wrong-origin"

const rejected = (reason: NtsRejection): NtsReplyVerdict => ({ _tag: "Rejected", reason })

/** Requests stay below this, so that they are never fragmented (RFC 8915 §5.7: placeholders are left out first). */
const MAXIMUM_REQUEST_BYTES = 1280 - 48

interface Pending {
  readonly identifier: Uint8Array
  readonly transmit: bigint
  /** Zero in a basic request. */
  readonly receive: bigint
}

const isEcho = (origin: bigint, { transmit, receive }: Pending): boolean =>
  origin === transmit || (receive !== 0n && origin === receive)

export class NtsAssociation {
  private readonly aead: Aead
  private readonly c2s: Uint8Array
  private readonly s2c: Uint8Array
  private readonly jar: Uint8Array[]
  private pending: Pending | undefined
  private nakSeen = false
  private wasAccepted = false

  /** Throws RangeError when the keys are not of the AEAD's length. */
  constructor(aead: Aead, session: NtsSession) {
    for (const key of [session.c2s, session.s2c])
      if (key.length !== aead.keyBytes)
        throw new RangeError(`expected keys of ${aead.keyBytes} bytes for ${aead.name}, found ${key.length}`)
    this.aead = aead
    this.c2s = session.c2s
    this.s2c = session.s2c
    this.jar = session.cookies.slice(-MAXIMUM_COOKIES)
  }

  /** Bytes of the newest cookie, 0 when the jar is empty. */
  get cookieLength(): number {
    return this.jar.at(-1)?.length ?? 0
  }

  get cookies(): number {
    return this.jar.length
  }

  /**
   * To be asked when the next poll is due: whether to exchange keys instead. The jar is empty, or the last request brought
   * a NAK and no authentic reply until now. A NAK alone ends nothing, since anyone on the path can send it (RFC 8915 §5.7).
   */
  get needsKeyExchange(): boolean {
    return this.jar.length === 0 || this.nakSeen
  }

  /** Whether the last request brought a NAK and nothing authentic, and none ever did: the keys may be the wrong ones. */
  get isRefused(): boolean {
    return this.nakSeen && !this.wasAccepted
  }

  /** The present state, to be persisted sealed. */
  session(): NtsSession {
    return { c2s: this.c2s, s2c: this.s2c, cookies: [...this.jar] }
  }

  /**
   * A request around a header, undefined when the jar is empty. It takes the oldest cookie out of the jar and asks for
   * as many as the jar lacks. A reply to an earlier request is not accepted any more.
   * @param header 48 bytes; its transmit timestamp should be random (RFC 8915 §5.7 and draft-ietf-ntp-data-minimization)
   */
  request(header: Uint8Array, fillRandom: (bytes: Uint8Array) => void): Uint8Array<ArrayBuffer> | undefined {
    if (header.length !== HEADER_BYTES)
      throw new RangeError(`expected a header of ${HEADER_BYTES} bytes, found ${header.length}`)
    const cookie = this.jar.shift()
    if (cookie === undefined) return undefined
    const identifier = new Uint8Array(UNIQUE_IDENTIFIER_BYTES)
    fillRandom(identifier)
    const { aead } = this
    const cookieBytes = FIELD_HEADER_BYTES + padded(cookie.length)
    const bare =
      HEADER_BYTES +
      FIELD_HEADER_BYTES +
      UNIQUE_IDENTIFIER_BYTES +
      cookieBytes +
      authenticatorLength(aead.nonceBytes, aead.tagBytes)
    const room = Math.max(0, Math.floor((MAXIMUM_REQUEST_BYTES - bare) / cookieBytes))
    const placeholders = Math.min(MAXIMUM_COOKIES - 1 - this.jar.length, room)

    const packet = new Uint8Array(bare + placeholders * cookieBytes)
    const view = new DataView(packet.buffer)
    packet.set(header)
    let at = HEADER_BYTES
    packet.set(identifier, writeFieldHeader(view, at, NtsFieldType.uniqueIdentifier, identifier.length))
    at += FIELD_HEADER_BYTES + identifier.length
    packet.set(cookie, writeFieldHeader(view, at, NtsFieldType.cookie, cookieBytes - FIELD_HEADER_BYTES))
    at += cookieBytes
    for (let index = 0; index < placeholders; index += 1, at += cookieBytes)
      writeFieldHeader(view, at, NtsFieldType.cookiePlaceholder, cookieBytes - FIELD_HEADER_BYTES)
    writeAuthenticatorHeader(view, at, aead.nonceBytes, aead.tagBytes)
    const nonceAt = at + AUTHENTICATOR_HEADER_BYTES
    const nonce = packet.subarray(nonceAt, nonceAt + aead.nonceBytes)
    fillRandom(nonce)
    const ciphertext = packet.subarray(nonceAt + padded(aead.nonceBytes))
    aead.seal(this.c2s, nonce, packet.subarray(0, at), new Uint8Array(0), ciphertext)
    this.pending = {
      identifier,
      transmit: view.getBigUint64(HEADER_BYTES - 8),
      receive: view.getBigUint64(HEADER_BYTES - 16)
    }
    return packet
  }

  /**
   * Judges a datagram that arrived. Only the reply to the last request is accepted, and once. Never throws; a datagram that
   * is rejected changes nothing, so a forger cannot end the wait for the true reply. An interleaved reply (RFC 9769), whose
   * origin is the request's receive timestamp, is bound to its request by the unique identifier as a basic one is.
   */
  accept(packet: Uint8Array): NtsReplyVerdict {
    const header = decodeHeader(packet)
    if ("_tag" in header) return rejected("short")
    const { pending } = this
    if (pending === undefined) return rejected("unasked")
    if (!isEcho(header.origin, pending)) return rejected("wrong-origin")
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
    const trailer = newTrailer()
    const fields = newNtsFields()
    if (scanTrailer(view, 0, packet.length, header.version, trailer) !== TrailerShape.plain)
      return rejected("malformed")
    const shape = findNtsFields(view, trailer, fields)
    if (shape === NtsShape.malformed) return rejected("malformed")
    const identifier = packet.subarray(
      fields.uniqueIdentifierOffset,
      fields.uniqueIdentifierOffset + fields.uniqueIdentifierLength
    )
    if (fields.uniqueIdentifierLength === 0) return rejected("not-authenticated")
    if (!equalBytes(identifier, pending.identifier)) return rejected("wrong-identifier")
    if (shape === NtsShape.absent) {
      if (header.stratum !== 0 || header.referenceId !== KISS_NTSN) return rejected("not-authenticated")
      this.nakSeen = true
      return { _tag: "Nak" }
    }

    const text = new Uint8Array(Math.max(0, fields.ciphertextLength - this.aead.tagBytes))
    const nonce = packet.subarray(fields.nonceOffset, fields.nonceOffset + fields.nonceLength)
    const ciphertext = packet.subarray(fields.ciphertextOffset, fields.ciphertextOffset + fields.ciphertextLength)
    const ad = packet.subarray(0, fields.authenticatorOffset)
    if (!this.aead.open(this.s2c, nonce, ad, ciphertext, text)) return rejected("forged")
    this.pending = undefined
    this.nakSeen = false
    this.wasAccepted = true
    return { _tag: "Authentic", newCookies: this.fillJar(text) }
  }

  private fillJar(text: Uint8Array): number {
    const before = this.jar.length
    const view = new DataView(text.buffer, text.byteOffset, text.byteLength)
    walkEncryptedFields(view, 0, text.length, (type, offset, length) => {
      if (type === NtsFieldType.cookie && length > 0 && this.jar.length < MAXIMUM_COOKIES)
        this.jar.push(text.slice(offset, offset + length))
    })
    return this.jar.length - before
  }
}
