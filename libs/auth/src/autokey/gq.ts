/**
 * GQ, the identification scheme of Guillou and Quisquater (RFC 5906 Appendix B.3; Stinson, Cryptography, §9.4). The group has
 * a modulus n = p q, whose factors nobody keeps, and a group key b, which clients know too. A server has u, drawn
 * below n; its certificate carries v = (u^-1)^b mod n in the subject key identifier.
 *
 * - client:  draws r below n, sends it
 * - server:  draws k below n, sends y = k u^r mod n and hash(k^b mod n)
 * - client:  hash(v^r y^b mod n) is the same, for (u^-1)^(b r) (k u^r)^b = k^b
 */
import type { DigestPort } from "../symmetric/mac.ts"
import { decodeAnswer, encodeAnswer, hashNumber, type RandomBelow } from "./identity.ts"
import { greatestCommonDivisor, inverse, power } from "./modular.ts"

/** What clients have: `ntpkey_gqpar_GROUP`. */
export interface GqParameters {
  readonly n: bigint
  /** The group key, an exponent. */
  readonly b: bigint
}

/** What servers have: `ntpkey_gqkey_GROUP`. */
export interface GqGroupKey extends GqParameters {
  /** The server's secret. */
  readonly u: bigint
  /** (u^-1)^b mod n, which goes into certificates */
  readonly v: bigint
}

/** The server's answer to a challenge below n. */
export const answerGq = (
  { n, b, u }: GqGroupKey,
  challenge: bigint,
  digests: DigestPort,
  randomBelow: RandomBelow
): Uint8Array => {
  const k = randomBelow(n)
  return encodeAnswer({ y: (k * power(u, challenge, n)) % n, hash: hashNumber(digests, power(k, b, n)) })
}

/**
 * Whether an answer proves the secret that belongs to `v`.
 * @param v from the server's certificate
 */
export const provesGq = (
  { n, b }: GqParameters,
  v: bigint,
  challenge: bigint,
  answer: Uint8Array,
  digests: DigestPort
): boolean => {
  const decoded = decodeAnswer(answer)
  if (decoded === undefined || decoded.y === 0n || decoded.y >= n || v <= 1n || v >= n) return false
  return hashNumber(digests, (power(v, challenge, n) * power(decoded.y, b, n)) % n) === decoded.hash
}

/** A new group over a modulus that is the product of two primes, with a server's u and v. */
export const makeGqGroup = (n: bigint, randomBelow: RandomBelow): GqGroupKey => {
  const b = randomBelow(n)
  for (;;) {
    const u = randomBelow(n)
    if (greatestCommonDivisor(u, n) !== 1n) continue
    const v = power(inverse(u, n)!, b, n)
    if (v > 1n) return { n, b, u, v }
  }
}
