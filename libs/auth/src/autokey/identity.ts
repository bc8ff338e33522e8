/** What the three identity schemes that ask a question have in common (RFC 5906 Appendix B). */
import { bigIntOf, integer, octetsOf, readUnsignedSequence, sequence } from "@meridian/wire/der"
import type { DigestPort } from "../symmetric/mac.ts"
import { octetLength } from "./modular.ts"

/** A number from 1 to below, evenly drawn, by whoever has randomness. */
export type RandomBelow = (below: bigint) => bigint

/** Makes {@link RandomBelow} of random octets: 64 bits more than it takes, so that the remainder is even enough. */
export const randomBelowFrom =
  (fillRandom: (bytes: Uint8Array) => void): RandomBelow =>
  (below) => {
    const octets = new Uint8Array(octetLength(below) + 8)
    fillRandom(octets)
    return 1n + (bigIntOf(octets) % (below - 1n))
  }

/**
 * A challenge as it is sent: as long as the modulus it was drawn below, padded on the left. The reference does not pad, so
 * one of its challenges in 256 is another number at the other side.
 */
export const encodeChallenge = (challenge: bigint, modulus: bigint): Uint8Array =>
  octetsOf(challenge, octetLength(modulus))

/**
 * The number a challenge is; undefined for what proves nothing: 0, and multiples of the modulus. The reference writes a short
 * number at the start of its field and leaves what was in the memory behind it: what is not below the modulus can only be
 * such a one, and the octets behind it are left out.
 */
export const decodeChallenge = (value: Uint8Array, modulus: bigint): bigint | undefined => {
  if (value.length === 0 || value.length > octetLength(modulus)) return undefined
  let challenge = bigIntOf(value)
  if (challenge % modulus === 0n) return undefined
  while (challenge >= modulus) challenge >>= 8n
  return challenge === 0n ? undefined : challenge
}

const MD5_BYTES = 16

/** MD5 of a number's shortest big-endian form, whatever `crypto digest` is, as a number. */
export const hashNumber = (digests: DigestPort, value: bigint): bigint => {
  const octets = octetsOf(value)
  const digest = new Uint8Array(64)
  digests.digest("MD5", new Uint8Array(0), octets, 0, octets.length, digest)
  return bigIntOf(digest.subarray(0, MD5_BYTES))
}

/** The answer of IFF and GQ: SEQUENCE { INTEGER y, INTEGER hash(x) }. */
export interface Answer {
  readonly y: bigint
  readonly hash: bigint
}

export const encodeAnswer = ({ y, hash }: Answer): Uint8Array => sequence(integer(y), integer(hash))

export const decodeAnswer = (value: Uint8Array): Answer | undefined => {
  const [y, hash, ...rest] = readUnsignedSequence(value) ?? []
  return y === undefined || hash === undefined || rest.length > 0 ? undefined : { y, hash }
}
