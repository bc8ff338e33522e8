/** Just enough DER (X.690) to write a certificate. */

const LONGEST_SHORT_LENGTH = 0x7f

/** One element: a tag, the length of what follows, and the contents one after another. */
export const element = (tag: number, ...contents: readonly Uint8Array[]): Uint8Array => {
  const body = Buffer.concat(contents)
  return Buffer.concat([Uint8Array.of(tag), lengthBytes(body.length), body])
}

const lengthBytes = (length: number): Uint8Array => {
  if (length <= LONGEST_SHORT_LENGTH) return Uint8Array.of(length)
  const digits = [length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff]
  const significant = digits.slice(digits.findIndex((digit) => digit !== 0))
  return Uint8Array.of(0x80 | significant.length, ...significant)
}

export const sequence = (...contents: readonly Uint8Array[]): Uint8Array => element(0x30, ...contents)
export const set = (...contents: readonly Uint8Array[]): Uint8Array => element(0x31, ...contents)
export const octetString = (bytes: Uint8Array): Uint8Array => element(0x04, bytes)
export const utf8String = (text: string): Uint8Array => element(0x0c, Buffer.from(text, "utf8"))
export const booleanTrue: Uint8Array = element(0x01, Uint8Array.of(0xff))

/** A [number] that wraps other elements. */
export const explicit = (number: number, ...contents: readonly Uint8Array[]): Uint8Array =>
  element(0xa0 | number, ...contents)

/** A [number] in place of the tag of a primitive. */
export const implicit = (number: number, bytes: Uint8Array): Uint8Array => element(0x80 | number, bytes)

/** A non-negative INTEGER from its big-endian bytes. */
export const integer = (bytes: Uint8Array): Uint8Array => {
  const first = bytes.findIndex((byte) => byte !== 0)
  const digits = first < 0 ? Uint8Array.of(0) : bytes.subarray(first)
  // A leading bit of one would make it negative.
  return digits[0]! >= 0x80 ? element(0x02, Uint8Array.of(0), digits) : element(0x02, digits)
}

/** @param unusedBits of the last byte */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Uint8Array =>
  element(0x03, Uint8Array.of(unusedBits), bytes)

/** OBJECT IDENTIFIER from its dotted form. */
export const objectIdentifier = (dotted: string): Uint8Array => {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number)
  return element(0x06, Uint8Array.from([40 * first + second, ...rest].flatMap(base128)))
}

const base128 = (value: number): readonly number[] => {
  const digits = [value % 128]
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) digits.unshift(0x80 | (left % 128))
  return digits
}

/** UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). @param seconds Unix */
export const time = (seconds: number): Uint8Array => {
  const text = `${new Date(Math.floor(seconds) * 1000).toISOString().replaceAll(/[-:T]|\.\d+Z$/g, "")}Z`
  return text < "2050" ? element(0x17, Buffer.from(text.slice(2), "ascii")) : element(0x18, Buffer.from(text, "ascii"))
}
