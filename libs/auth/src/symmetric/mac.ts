/**
 * Symmetric message authentication (RFC 5905 §7.3, RFC 8573): a key id and a digest after the packet. The digest is
 * H(key ‖ packet), which is not HMAC, or AES-CMAC(key, packet). In version 4 it is cut to 20 bytes; chrony sends whole
 * digests in version 3, so both lengths are taken, and a reply has the length its request had.
 */
import { HEADER_BYTES } from "@meridian/wire/ntp"
import type { KeyTable, SymmetricKey } from "./key-table.ts"
import type { MacAlgorithmName } from "./mac-algorithms.ts"

/**
 * Computes digests; libs without I/O cannot reach node:crypto. One implementation per platform (libs/ciphers).
 */
export interface DigestPort {
  /** Whether this platform has the algorithm: some builds leave out RIPEMD-160 or MD5. */
  readonly supports: (algorithm: MacAlgorithmName) => boolean
  /**
   * Writes H(key ‖ message) or AES-CMAC(key, message) at the start of `out` ({@link MAXIMUM_DIGEST_BYTES} long) and
   * returns its length, uncut. The message is `length` bytes of `bytes` from `offset`. Throws for an algorithm that is not
   * supported.
   */
  readonly digest: (
    algorithm: MacAlgorithmName,
    key: Uint8Array,
    bytes: Uint8Array,
    offset: number,
    length: number,
    out: Uint8Array
  ) => number
}

/** The longest digest of any algorithm: 512 bits. */
export const MAXIMUM_DIGEST_BYTES = 64
/** What version 4 cuts digests to (RFC 7822 §3). */
export const CUT_DIGEST_BYTES = 20
export const KEY_ID_BYTES = 4

/** What a MAC proved. Only `verified` proves anything. */
export type MacVerdict =
  | "verified"
  /** no key of this id in the table */
  | "unknown-key"
  /** the key is there, but no trustedkey names it */
  | "untrusted-key"
  /** the digest is neither cut nor whole */
  | "wrong-length"
  /** the digest differs: another key, or a changed packet */
  | "wrong-digest"

/** Verifies and writes MACs with one table of keys; the table is replaced as a whole. */
export class SymmetricMacs {
  keys: KeyTable
  private readonly port: DigestPort
  private readonly scratch = new Uint8Array(MAXIMUM_DIGEST_BYTES)

  constructor(port: DigestPort, keys: KeyTable) {
    this.port = port
    this.keys = keys
  }

  /**
   * Verifies the MAC at `macOffset` over the bytes from `offset` to it, in constant time for a given key and lengths.
   * @param macLength key id included
   */
  verify(view: DataView, bytes: Uint8Array, offset: number, macOffset: number, macLength: number): MacVerdict {
    if (macLength <= KEY_ID_BYTES || macOffset - offset < HEADER_BYTES) return "wrong-length"
    const id = view.getUint32(macOffset)
    const key = this.keys.get(id)
    if (key === undefined) return "unknown-key"
    if (!this.keys.isTrusted(id)) return "untrusted-key"
    const digestLength = macLength - KEY_ID_BYTES
    const { digestBytes } = key.algorithm
    if (digestLength !== digestBytes && digestLength !== Math.min(digestBytes, CUT_DIGEST_BYTES)) return "wrong-length"
    this.port.digest(key.algorithm.name, key.secret, bytes, offset, macOffset - offset, this.scratch)
    return equalRange(bytes, macOffset + KEY_ID_BYTES, this.scratch, digestLength) ? "verified" : "wrong-digest"
  }

  /**
   * Writes the MAC under a key after the `length` bytes at `offset`, and returns its length, key id included.
   * @param macLength that of the request being answered; without it the digest is cut as version 4 asks
   */
  append(
    view: DataView,
    bytes: Uint8Array,
    offset: number,
    length: number,
    key: SymmetricKey,
    macLength: number = KEY_ID_BYTES + Math.min(key.algorithm.digestBytes, CUT_DIGEST_BYTES)
  ): number {
    const macOffset = offset + length
    this.port.digest(key.algorithm.name, key.secret, bytes, offset, length, this.scratch)
    view.setUint32(macOffset, key.id)
    for (let index = 0; index < macLength - KEY_ID_BYTES; index += 1)
      bytes[macOffset + KEY_ID_BYTES + index] = this.scratch[index] as number
    return macLength
  }
}

/** Writes a crypto-NAK, a MAC of a zero key id alone, after the header at `offset`. Returns the packet's length. */
export const writeCryptoNak = (view: DataView, offset: number): number => {
  view.setUint32(offset + HEADER_BYTES, 0)
  return HEADER_BYTES + KEY_ID_BYTES
}

/** Whether two ranges are equal, reading all of both whatever they hold. */
export const equalRange = (bytes: Uint8Array, offset: number, digest: Uint8Array, length: number): boolean => {
  let difference = 0
  for (let index = 0; index < length; index += 1)
    difference |= (bytes[offset + index] as number) ^ (digest[index] as number)
  return difference === 0
}

/** Whether two arrays are equal, in time that depends on their lengths alone. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && equalRange(a, 0, b, b.length)
