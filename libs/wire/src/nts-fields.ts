/**
 * The NTS extension fields (RFC 8915 §5). Fields are found as offsets into the packet and written in place; nothing is
 * copied. The generic walk over extension fields is trailer.ts; this file knows what the four types mean together.
 */
import { FIELD_HEADER_BYTES, fieldLength, fieldType, type Trailer } from "./trailer.ts"

/** IANA "NTP Extension Field Types" of RFC 8915 §7.5. */
export const NtsFieldType = {
  uniqueIdentifier: 0x0104,
  cookie: 0x0204,
  cookiePlaceholder: 0x0304,
  authenticator: 0x0404
} as const

/** RFC 8915 §5.3: the shortest unique identifier a client may send, and the one to send. */
export const UNIQUE_IDENTIFIER_BYTES = 32

/** Type, length, nonce length, ciphertext length: what precedes the nonce (RFC 8915 §5.6). */
export const AUTHENTICATOR_HEADER_BYTES = FIELD_HEADER_BYTES + 4

/** Rounded up to the four bytes that fields, nonces and ciphertexts are padded to. */
export const padded = (length: number): number => (length + 3) & ~3

/**
 * Where the NTS fields of one packet lie: offsets into the buffer, lengths in bytes without padding and field headers.
 * An object is reused from packet to packet. Lengths of 0 mean that the field is not there.
 */
export interface NtsFields {
  uniqueIdentifierOffset: number
  uniqueIdentifierLength: number
  cookieOffset: number
  cookieLength: number
  /** Cookie placeholders that are at least as long as the cookie (RFC 8915 §5.5); a shorter one would make the reply longer. */
  placeholders: number
  /** Start of the authenticator field, which is also the end of what it covers. 0 when there is none. */
  authenticatorOffset: number
  nonceOffset: number
  nonceLength: number
  ciphertextOffset: number
  ciphertextLength: number
}

export const newNtsFields = (): NtsFields => ({
  uniqueIdentifierOffset: 0,
  uniqueIdentifierLength: 0,
  cookieOffset: 0,
  cookieLength: 0,
  placeholders: 0,
  authenticatorOffset: 0,
  nonceOffset: 0,
  nonceLength: 0,
  ciphertextOffset: 0,
  ciphertextLength: 0
})

/** What the fields of a packet make together. */
export const NtsShape = {
  /** Neither a cookie nor an authenticator: a packet without NTS, though it may carry a unique identifier. */
  absent: 0,
  /** One unique identifier and one authenticator after it; at most one cookie. */
  authenticated: 1,
  /** A cookie or an authenticator, but not what RFC 8915 §5.7 asks to go with it, or twice what it allows once. */
  malformed: 2
} as const
export type NtsShape = (typeof NtsShape)[keyof typeof NtsShape]

/**
 * Finds the NTS fields among the fields of a scanned packet, into `out`. What stands before the authenticator may be in
 * any order. What stands after it is not authenticated and is not looked at, but a second authenticator is malformed.
 * Requests must also have a cookie: the caller checks `cookieLength`. Never throws.
 */
export const findNtsFields = (view: DataView, trailer: Trailer, out: NtsFields): NtsShape => {
  clear(out)
  let malformed = false
  let placeholderSeen = false
  for (let index = 0; index < trailer.fieldCount; index += 1) {
    const offset = trailer.fieldOffsets[index] ?? 0
    const length = fieldLength(view, offset)
    switch (fieldType(view, offset)) {
      case NtsFieldType.uniqueIdentifier:
        if (out.authenticatorOffset !== 0) break
        malformed ||= out.uniqueIdentifierLength !== 0 || length < FIELD_HEADER_BYTES + UNIQUE_IDENTIFIER_BYTES
        out.uniqueIdentifierOffset = offset + FIELD_HEADER_BYTES
        out.uniqueIdentifierLength = length - FIELD_HEADER_BYTES
        break
      case NtsFieldType.cookie:
        if (out.authenticatorOffset !== 0) break
        malformed ||= out.cookieLength !== 0
        out.cookieOffset = offset + FIELD_HEADER_BYTES
        out.cookieLength = length - FIELD_HEADER_BYTES
        break
      case NtsFieldType.cookiePlaceholder:
        placeholderSeen = true
        break
      case NtsFieldType.authenticator:
        malformed ||= out.authenticatorOffset !== 0 || !readAuthenticator(view, offset, length, out)
        break
    }
  }
  if (out.authenticatorOffset === 0) return out.cookieLength === 0 ? NtsShape.absent : NtsShape.malformed
  if (malformed || out.uniqueIdentifierLength === 0) return NtsShape.malformed
  if (placeholderSeen) out.placeholders = countAuthenticatedPlaceholders(view, trailer, out)
  return NtsShape.authenticated
}

const clear = (out: NtsFields): void => {
  out.uniqueIdentifierOffset = 0
  out.uniqueIdentifierLength = 0
  out.cookieOffset = 0
  out.cookieLength = 0
  out.placeholders = 0
  out.authenticatorOffset = 0
  out.nonceOffset = 0
  out.nonceLength = 0
  out.ciphertextOffset = 0
  out.ciphertextLength = 0
}

/** Reads the two lengths and checks that nonce and ciphertext lie within the field (RFC 8915 §5.6). */
const readAuthenticator = (view: DataView, offset: number, length: number, out: NtsFields): boolean => {
  out.authenticatorOffset = offset
  out.nonceLength = view.getUint16(offset + FIELD_HEADER_BYTES)
  out.ciphertextLength = view.getUint16(offset + FIELD_HEADER_BYTES + 2)
  out.nonceOffset = offset + AUTHENTICATOR_HEADER_BYTES
  out.ciphertextOffset = out.nonceOffset + padded(out.nonceLength)
  return out.nonceLength > 0 && out.ciphertextOffset + padded(out.ciphertextLength) <= offset + length
}

/** A second pass, because a placeholder may stand before the cookie whose length decides whether it counts. */
const countAuthenticatedPlaceholders = (view: DataView, trailer: Trailer, fields: NtsFields): number => {
  let count = 0
  for (let index = 0; index < trailer.fieldCount; index += 1) {
    const offset = trailer.fieldOffsets[index] ?? 0
    if (offset >= fields.authenticatorOffset) break
    if (isPlaceholder(view, offset, fields.cookieLength)) count += 1
  }
  return count
}

const isPlaceholder = (view: DataView, offset: number, cookieLength: number): boolean =>
  fieldType(view, offset) === NtsFieldType.cookiePlaceholder &&
  fieldLength(view, offset) >= cookieLength + FIELD_HEADER_BYTES

/**
 * Calls back with the offset and length of the body of each field of a decrypted text (RFC 8915 §5.6: the plaintext is a
 * sequence of whole extension fields, of 4 bytes and up). False when it is no such sequence; fields before the fault were
 * told.
 */
export const walkEncryptedFields = (
  view: DataView,
  offset: number,
  length: number,
  tell: (type: number, bodyOffset: number, bodyLength: number) => void
): boolean => {
  const end = offset + length
  let at = offset
  while (end - at >= FIELD_HEADER_BYTES) {
    const size = fieldLength(view, at)
    if (size < FIELD_HEADER_BYTES || size > end - at || (size & 3) !== 0) return false
    tell(fieldType(view, at), at + FIELD_HEADER_BYTES, size - FIELD_HEADER_BYTES)
    at += size
  }
  return at === end
}

/** Placeholders in a decrypted text that count: a client may encrypt them (RFC 8915 §5.7). Allocates nothing. */
export const countEncryptedPlaceholders = (
  view: DataView,
  offset: number,
  length: number,
  cookieLength: number
): number => {
  const end = offset + length
  let count = 0
  let at = offset
  while (end - at >= FIELD_HEADER_BYTES) {
    const size = fieldLength(view, at)
    if (size < FIELD_HEADER_BYTES || size > end - at || (size & 3) !== 0) break
    if (isPlaceholder(view, at, cookieLength)) count += 1
    at += size
  }
  return count
}

/** Writes type and length of a field whose body has `bodyLength` bytes (a multiple of 4). Returns the body's offset. */
export const writeFieldHeader = (view: DataView, offset: number, type: number, bodyLength: number): number => {
  view.setUint16(offset, type)
  view.setUint16(offset + 2, FIELD_HEADER_BYTES + bodyLength)
  return offset + FIELD_HEADER_BYTES
}

/** Bytes of an authenticator field around a ciphertext (tag included), without additional padding. */
export const authenticatorLength = (nonceLength: number, ciphertextLength: number): number =>
  AUTHENTICATOR_HEADER_BYTES + padded(nonceLength) + padded(ciphertextLength)

/**
 * Writes everything of an authenticator field but the nonce and the ciphertext: header, the two lengths, zeros as padding.
 * The nonce then belongs at `offset + AUTHENTICATOR_HEADER_BYTES`, the ciphertext `padded(nonceLength)` after it. Returns
 * the field's length.
 */
export const writeAuthenticatorHeader = (
  view: DataView,
  offset: number,
  nonceLength: number,
  ciphertextLength: number
): number => {
  const length = authenticatorLength(nonceLength, ciphertextLength)
  writeFieldHeader(view, offset, NtsFieldType.authenticator, length - FIELD_HEADER_BYTES)
  view.setUint16(offset + FIELD_HEADER_BYTES, nonceLength)
  view.setUint16(offset + FIELD_HEADER_BYTES + 2, ciphertextLength)
  const nonceOffset = offset + AUTHENTICATOR_HEADER_BYTES
  for (let at = nonceOffset + nonceLength; at < nonceOffset + padded(nonceLength); at += 1) view.setUint8(at, 0)
  for (let at = offset + length - (padded(ciphertextLength) - ciphertextLength); at < offset + length; at += 1)
    view.setUint8(at, 0)
  return length
}
