/**
 * Autokey's extension fields (RFC 5906 §10), as every deployed implementation sends them: an operation with two flags and
 * the version 2 in the type, an association id, and mostly a value with its stamps and its signature. Fields of 8 octets carry
 * no value. RFC 7822's shortest field of 16 octets is younger, so trailer.ts calls such packets malformed.
 *
 * ```
 *   R|E|   2 (6 bits) | operation (8) | length of the field (16)
 *   association id (32)
 *   timestamp (32): NTP seconds of the signature, 0 when the sender is not synchronised
 *   filestamp (32): NTP seconds of the file that the value comes from
 *   value length (32) | value, padded to 4
 *   signature length (32) | signature over the three words before the value and the value, padded to 4
 * ```
 *
 * The packet ends in a MAC of 20 to 24 octets, whose key id is above {@link HIGHEST_SYMMETRIC_KEY_ID}.
 */
import { HEADER_BYTES } from "./ntp.ts"

/** RFC 5906 §10: the low octet of a field's type. */
export const AutokeyOperation = {
  null: 0,
  association: 1,
  certificate: 2,
  cookie: 3,
  autokey: 4,
  leapSeconds: 5,
  sign: 6,
  iff: 7,
  gq: 8,
  mv: 9
} as const
export type AutokeyOperation = (typeof AutokeyOperation)[keyof typeof AutokeyOperation]

/** Larger key ids name session keys. */
export const HIGHEST_SYMMETRIC_KEY_ID = 65_535

/** Operation, length and association id. */
const AUTOKEY_HEADER_BYTES = 8
/** A field with a value: header, stamps, two lengths. */
const AUTOKEY_VALUE_BYTES = 24
/** Timestamp, filestamp and value length: what a signature covers before the value. */
const SIGNED_HEADER_BYTES = 12
/** The longest field classic ntpd sends or takes (NTP_MAXEXTEN). */
export const LONGEST_AUTOKEY_FIELD = 2_048
/** A packet has at most a response and a request or two. */
const MOST_AUTOKEY_FIELDS = 4

const RESPONSE = 0x80
const ERROR = 0x40
const VERSION = 2
const SHORTEST_MAC = 20
const LONGEST_MAC = 24

export interface AutokeyValue {
  /** NTP seconds, 32 bits; 0 is "not signed, because not synchronised" */
  readonly timestamp: number
  /** NTP seconds, 32 bits; in association messages the status word */
  readonly filestamp: number
  readonly value: Uint8Array
  /** Empty when it is not signed. */
  readonly signature: Uint8Array
}

export interface AutokeyField {
  /** 0 … 255; those of {@link AutokeyOperation} have a meaning */
  readonly operation: number
  readonly isResponse: boolean
  readonly isError: boolean
  /** 32 bits, of which implementations use 16 */
  readonly associationId: number
  /** Undefined in fields of 8 octets: requests that need none, and answers that have none. */
  readonly content: AutokeyValue | undefined
}

/** A packet that ends in a session-keyed MAC, with or without fields. */
export interface AutokeyPacket {
  readonly fields: readonly AutokeyField[]
  /** Above {@link HIGHEST_SYMMETRIC_KEY_ID}. */
  readonly keyId: number
  /** Where the MAC begins; it covers everything before. */
  readonly macOffset: number
  /** Key id included: 20 … 24. */
  readonly macLength: number
}

/** Why a datagram is no Autokey packet. */
type AutokeyFault =
  /** no header, no MAC, or lengths that are no multiple of 4 or lead out of the packet */
  | "length"
  /** a field of another version, so another protocol's */
  | "version"
  /** the MAC's key id is that of a symmetric key or of a crypto-NAK */
  | "key-id"
  /** a value or signature that is longer than its field */
  | "value"

const padded = (length: number): number => (length + 3) & ~3

/**
 * Whether a field's type is of Autokey's version. NTS's cookie, 0x0204 (RFC 8915 §7.5), is as well; a request for autokey values, which
 * shares that type, is 8 octets long, as no cookie is.
 */
const isAutokeyType = (type: number): boolean => ((type >>> 8) & 0x3f) === VERSION

/** Reads a whole datagram, copying values out of it. Never throws. */
export const decodeAutokeyPacket = (bytes: Uint8Array): AutokeyPacket | AutokeyFault => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < HEADER_BYTES + SHORTEST_MAC || (bytes.length & 3) !== 0) return "length"
  const fields: AutokeyField[] = []
  let at = HEADER_BYTES
  while (bytes.length - at > LONGEST_MAC) {
    if (fields.length === MOST_AUTOKEY_FIELDS) return "length"
    if (!isAutokeyType(view.getUint16(at))) return "version"
    const size = view.getUint16(at + 2)
    if (size < AUTOKEY_HEADER_BYTES || (size & 3) !== 0 || size > LONGEST_AUTOKEY_FIELD || size > bytes.length - at)
      return "length"
    const field = decodeField(bytes, view, at, size)
    if (field === undefined) return "value"
    fields.push(field)
    at += size
  }
  if (bytes.length - at < SHORTEST_MAC) return "length"
  const keyId = view.getUint32(at)
  if (keyId <= HIGHEST_SYMMETRIC_KEY_ID) return "key-id"
  return { fields, keyId, macOffset: at, macLength: bytes.length - at }
}

const decodeField = (bytes: Uint8Array, view: DataView, at: number, size: number): AutokeyField | undefined => {
  const flags = view.getUint8(at)
  const field = {
    operation: view.getUint8(at + 1),
    isResponse: (flags & RESPONSE) !== 0,
    isError: (flags & ERROR) !== 0,
    associationId: view.getUint32(at + 4)
  }
  if (size < AUTOKEY_VALUE_BYTES) return { ...field, content: undefined }
  const length = view.getUint32(at + 16)
  if (length > size - AUTOKEY_VALUE_BYTES) return undefined
  const valueAt = at + 20
  const signatureAt = valueAt + padded(length) + 4
  if (signatureAt > at + size) return undefined
  const signatureLength = view.getUint32(signatureAt - 4)
  if (signatureLength > at + size - signatureAt) return undefined
  return {
    ...field,
    content: {
      timestamp: view.getUint32(at + 8),
      filestamp: view.getUint32(at + 12),
      value: bytes.slice(valueAt, valueAt + length),
      signature: bytes.slice(signatureAt, signatureAt + signatureLength)
    }
  }
}

/** Length of a field on the wire. */
export const autokeyFieldLength = ({ content }: Pick<AutokeyField, "content">): number =>
  content === undefined
    ? AUTOKEY_HEADER_BYTES
    : AUTOKEY_VALUE_BYTES + padded(content.value.length) + padded(content.signature.length)

/** Writes a field at `offset`, padding with zeros. Returns its length; the caller has seen to the room. */
export const writeAutokeyField = (bytes: Uint8Array, offset: number, field: AutokeyField): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = autokeyFieldLength(field)
  const { content } = field
  bytes.fill(0, offset, offset + length)
  view.setUint8(offset, (field.isResponse ? RESPONSE : 0) | (field.isError ? ERROR : 0) | VERSION)
  view.setUint8(offset + 1, field.operation)
  view.setUint16(offset + 2, length)
  view.setUint32(offset + 4, field.associationId)
  if (content === undefined) return length
  bytes.set(signedOctets(content), offset + AUTOKEY_HEADER_BYTES)
  const signatureAt = offset + 24 + padded(content.value.length)
  view.setUint32(signatureAt - 4, content.signature.length)
  bytes.set(content.signature, signatureAt)
  return length
}

/** What a value's signature covers: timestamp, filestamp, value length, value without padding. */
export const signedOctets = ({ timestamp, filestamp, value }: Omit<AutokeyValue, "signature">): Uint8Array => {
  const octets = new Uint8Array(SIGNED_HEADER_BYTES + value.length)
  const view = new DataView(octets.buffer)
  view.setUint32(0, timestamp)
  view.setUint32(4, filestamp)
  view.setUint32(8, value.length)
  octets.set(value, SIGNED_HEADER_BYTES)
  return octets
}

/** The word that opens a field, as cryptostats shows it: flags, version, operation, length. */
export const fieldWord = (field: AutokeyField): number =>
  (((field.isResponse ? RESPONSE : 0) | (field.isError ? ERROR : 0) | VERSION) * 0x1_00_00_00 +
    field.operation * 0x1_00_00 +
    autokeyFieldLength(field)) >>>
  0

/** The autokey values (RFC 5906 §11.4): where a key list begins. */
export interface AutokeyValues {
  /** Hashing the key id of the list's first packet gives this one. */
  readonly keyId: number
  /** Packets that the list gives after its first. */
  readonly sequence: number
}

const AUTOKEY_VALUES_BYTES = 8

export const encodeAutokeyValues = ({ keyId, sequence }: AutokeyValues): Uint8Array => {
  const value = new Uint8Array(AUTOKEY_VALUES_BYTES)
  const view = new DataView(value.buffer)
  view.setUint32(0, keyId)
  view.setUint32(4, sequence)
  return value
}

/** Undefined for another length. */
export const decodeAutokeyValues = (value: Uint8Array): AutokeyValues | undefined => {
  if (value.length !== AUTOKEY_VALUES_BYTES) return undefined
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  return { keyId: view.getUint32(0), sequence: view.getUint32(4) }
}

/** The leap-seconds values (RFC 5906 §11.6). */
export interface LeapSecondsValues {
  /** TAI - UTC, seconds */
  readonly taiOffset: number
  /** NTP seconds of the last leap second; 0 when the sender only learned the offset */
  readonly lastLeap: number
  /** NTP seconds */
  readonly expiry: number
}

const LEAP_SECONDS_VALUES_BYTES = 12

export const encodeLeapSecondsValues = ({ taiOffset, lastLeap, expiry }: LeapSecondsValues): Uint8Array => {
  const value = new Uint8Array(LEAP_SECONDS_VALUES_BYTES)
  const view = new DataView(value.buffer)
  view.setUint32(0, taiOffset)
  view.setUint32(4, lastLeap)
  view.setUint32(8, expiry)
  return value
}

/** Undefined for another length. */
export const decodeLeapSecondsValues = (value: Uint8Array): LeapSecondsValues | undefined => {
  if (value.length !== LEAP_SECONDS_VALUES_BYTES) return undefined
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  return { taiOffset: view.getUint32(0), lastLeap: view.getUint32(4), expiry: view.getUint32(8) }
}
