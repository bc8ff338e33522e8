/**
 * Distinguished Encoding Rules (X.690 §10), as much as certificates, key files and Autokey's values need: single-octet tags,
 * definite lengths up to 2^24. Readers never throw and copy nothing.
 */
import { civilTime, unixSecondsOf } from "@meridian/time/civil-date"

export const DerTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31
} as const

const LONGEST_SHORT_LENGTH = 0x7f
const MOST_LENGTH_OCTETS = 3

/** An element that lies within the array it was read from. */
export interface DerElement {
  readonly tag: number
  /** Tag and length included. */
  readonly whole: Uint8Array
  readonly content: Uint8Array
}

/** The element at the start of `bytes`; undefined when it is not whole. What follows it is the caller's matter. */
export const readElement = (bytes: Uint8Array): DerElement | undefined => {
  const [tag, first] = bytes
  if (tag === undefined || first === undefined) return undefined
  let at = 2
  let length = first
  if (first > LONGEST_SHORT_LENGTH) {
    const octets = first & 0x7f
    if (octets === 0 || octets > MOST_LENGTH_OCTETS || bytes.length < 2 + octets) return undefined
    length = 0
    for (; at < 2 + octets; at += 1) length = length * 256 + bytes[at]!
  }
  const end = at + length
  return end > bytes.length ? undefined : { tag, whole: bytes.subarray(0, end), content: bytes.subarray(at, end) }
}

/** The elements one after another, which fill `bytes`; undefined when they do not. */
export const readElements = (bytes: Uint8Array): readonly DerElement[] | undefined => {
  const elements: DerElement[] = []
  for (let left = bytes; left.length > 0;) {
    const element = readElement(left)
    if (element === undefined) return undefined
    elements.push(element)
    left = left.subarray(element.whole.length)
  }
  return elements
}

/** The elements of the SEQUENCE that fills `bytes`. */
export const readSequence = (bytes: Uint8Array): readonly DerElement[] | undefined => {
  const element = readElement(bytes)
  return element?.tag === DerTag.sequence && element.whole.length === bytes.length
    ? readElements(element.content)
    : undefined
}

/** A non-negative INTEGER; undefined for another element and for a negative one. */
export const readUnsigned = (element: DerElement | undefined): bigint | undefined => {
  if (element?.tag !== DerTag.integer || element.content.length === 0 || element.content[0]! > 0x7f) return undefined
  return bigIntOf(element.content)
}

/** The non-negative INTEGERs that a SEQUENCE consists of. */
export const readUnsignedSequence = (bytes: Uint8Array): readonly bigint[] | undefined => {
  const values = readSequence(bytes)?.map(readUnsigned)
  return values?.every((value) => value !== undefined) ? (values as readonly bigint[]) : undefined
}

/** An OBJECT IDENTIFIER in its dotted form. */
export const readObjectIdentifier = (element: DerElement | undefined): string | undefined => {
  if (element?.tag !== DerTag.objectIdentifier || element.content.length === 0) return undefined
  const arcs: number[] = []
  let arc = 0
  for (const octet of element.content) {
    arc = arc * 128 + (octet & 0x7f)
    if (arc > Number.MAX_SAFE_INTEGER / 128) return undefined
    if (octet > 0x7f) continue
    arcs.push(arc)
    arc = 0
  }
  if (element.content.at(-1)! > 0x7f) return undefined
  const first = Math.min(Math.floor(arcs[0]! / 40), 2)
  return [first, arcs[0]! - 40 * first, ...arcs.slice(1)].join(".")
}

/** UTCTime (years 1950 to 2049) or GeneralizedTime, in UTC and whole seconds (RFC 5280 §4.1.2.5), as Unix seconds. */
export const readTime = ({ tag, content }: DerElement): number | undefined => {
  const match = /^(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(String.fromCharCode(...content.subarray(0, 16)))
  if (match === null) return undefined
  const digits = tag === DerTag.utcTime ? 2 : tag === DerTag.generalizedTime ? 4 : 0
  if (match[1]?.length !== digits) return undefined
  const [given = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number)
  const year = digits === 4 ? given : given < 50 ? 2000 + given : 1900 + given
  return unixSecondsOf({ year, month, day, hour, minute, second })
}

/** The value of a big-endian number. */
export const bigIntOf = (bytes: Uint8Array): bigint => {
  let digits = "0x0"
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0")
  return BigInt(digits)
}

/** A non-negative number as big-endian octets: as few as it takes, at least one, or exactly `length`, padded on the left. */
export const octetsOf = (value: bigint, length?: number): Uint8Array<ArrayBuffer> => {
  const digits = value.toString(16)
  const shortest = Math.ceil(digits.length / 2)
  if (length !== undefined && shortest > length && value !== 0n)
    throw new RangeError(`expected a number of at most ${length} octets, found one of ${shortest}`)
  const hex = digits.padStart(2 * (length ?? shortest), "0")
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16)
  )
}

/** One element: a tag, the length of what follows, and the contents one after another. */
export const element = (tag: number, ...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const length = contents.reduce((sum, { length: octets }) => sum + octets, 0)
  const header = [tag, ...lengthOctets(length)]
  const bytes = new Uint8Array(header.length + length)
  bytes.set(header)
  let at = header.length
  for (const content of contents) {
    bytes.set(content, at)
    at += content.length
  }
  return bytes
}

const lengthOctets = (length: number): readonly number[] => {
  if (length <= LONGEST_SHORT_LENGTH) return [length]
  const octets = octetsOf(BigInt(length))
  return [0x80 | octets.length, ...octets]
}

export const sequence = (...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  element(DerTag.sequence, ...contents)
export const set = (...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => element(DerTag.set, ...contents)
export const octetString = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => element(DerTag.octetString, bytes)
export const utf8String = (text: string): Uint8Array<ArrayBuffer> =>
  element(DerTag.utf8String, new TextEncoder().encode(text))
export const booleanTrue: Uint8Array = element(DerTag.boolean, Uint8Array.of(0xff))
export const nullElement: Uint8Array = element(DerTag.null)

/** A [number] that wraps other elements. */
export const explicit = (number: number, ...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  element(0xa0 | number, ...contents)

/** A [number] in place of the tag of a primitive. */
export const implicit = (number: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> => element(0x80 | number, bytes)

/** A non-negative INTEGER, from its value or its big-endian octets. */
export const integer = (value: bigint | Uint8Array): Uint8Array<ArrayBuffer> => {
  const digits = octetsOf(typeof value === "bigint" ? value : bigIntOf(value))
  // A leading bit of one would make it negative.
  return digits[0]! > 0x7f ? element(DerTag.integer, Uint8Array.of(0), digits) : element(DerTag.integer, digits)
}

/** @param unusedBits of the last byte */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Uint8Array<ArrayBuffer> =>
  element(DerTag.bitString, Uint8Array.of(unusedBits), bytes)

/** OBJECT IDENTIFIER from its dotted form. */
export const objectIdentifier = (dotted: string): Uint8Array<ArrayBuffer> => {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number)
  return element(DerTag.objectIdentifier, Uint8Array.from([40 * first + second, ...rest].flatMap(base128)))
}

const base128 = (value: number): readonly number[] => {
  const digits = [value % 128]
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) digits.unshift(0x80 | (left % 128))
  return digits
}

/** UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). @param seconds Unix */
export const time = (seconds: number): Uint8Array<ArrayBuffer> => {
  const { year, month, day, hour, minute, second } = civilTime(Math.floor(seconds))
  const rest = [month, day, hour, minute, second].map((part) => String(part).padStart(2, "0")).join("")
  const octets = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))
  return year < 2050
    ? element(DerTag.utcTime, octets(`${String(year % 100).padStart(2, "0")}${rest}Z`))
    : element(DerTag.generalizedTime, octets(`${year}${rest}Z`))
}

/** An Extension of a certificate (RFC 5280 §4.1). @param value its extnValue, encoded */
export const certificateExtension = (identifier: string, value: Uint8Array, critical?: "critical"): Uint8Array =>
  sequence(objectIdentifier(identifier), ...(critical === undefined ? [] : [booleanTrue]), octetString(value))
