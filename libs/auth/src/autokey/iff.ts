/**
 * IFF, Schnorr's identification scheme (RFC 5906 Appendix B.2; Schnorr 1991; Stinson, Cryptography, §9.3). The group has a
 * prime p, a prime q that divides p - 1, and g of order q. Every server of the group knows b; clients know v = g^(q - b).
 *
 * - client:  draws r below q, sends it
 * - server:  draws k below q, sends y = k + b r mod q and hash(g^k mod p)
 * - client:  hash(g^y v^r mod p) is the same, for g^(k + b r) g^(-b r) = g^k
 */
import type { DigestPort } from "../symmetric/mac.ts"
import { type Answer, decodeAnswer, encodeAnswer, hashNumber, type RandomBelow } from "./identity.ts"
import { power } from "./modular.ts"

/** What clients have: `ntpkey_iffpar_GROUP`. */
export interface IffParameters {
  readonly p: bigint
  readonly q: bigint
  readonly g: bigint
  /** g^(q - b) mod p */
  readonly v: bigint
}

/** What servers have: `ntpkey_iffkey_GROUP`. */
export interface IffGroupKey {
  readonly p: bigint
  readonly q: bigint
  readonly g: bigint
  /** The group's secret, 0 < b < q. */
  readonly b: bigint
}

/** The server's answer to a challenge below q. */
export const answerIff = (
  { p, q, g, b }: IffGroupKey,
  challenge: bigint,
  digests: DigestPort,
  randomBelow: RandomBelow
): Uint8Array => {
  const k = randomBelow(q)
  return encodeAnswer({ y: (k + b * challenge) % q, hash: hashNumber(digests, power(g, k, p)) })
}

/** Whether an answer proves the group's secret. */
export const provesIff = (
  parameters: IffParameters,
  challenge: bigint,
  answer: Uint8Array,
  digests: DigestPort
): boolean => {
  const decoded = decodeAnswer(answer)
  return decoded !== undefined && fits(parameters, challenge, decoded, digests)
}

const fits = ({ p, q, g, v }: IffParameters, challenge: bigint, { y, hash }: Answer, digests: DigestPort): boolean =>
  y < q && hashNumber(digests, (power(g, y, p) * power(v, challenge, p)) % p) === hash

/** What clients are given. */
export const iffParametersOf = ({ p, q, g, b }: IffGroupKey): IffParameters => ({ p, q, g, v: power(g, q - b, p) })

/** Whether numbers from a file can be parameters at all: g and v of order q, neither of them 1. */
export const areIffParameters = ({ p, q, g, v }: IffParameters): boolean =>
  q > 1n &&
  p > q &&
  (p - 1n) % q === 0n &&
  g > 1n &&
  g < p &&
  v > 1n &&
  v < p &&
  power(g, q, p) === 1n &&
  power(v, q, p) === 1n

/** Primes that a group is made of, by whoever can find them. */
interface IffPrimes {
  readonly p: bigint
  readonly q: bigint
}

/** A new group over primes where q divides p - 1. */
export const makeIffGroup = ({ p, q }: IffPrimes, randomBelow: RandomBelow): IffGroupKey => {
  let g = 1n
  while (g === 1n) g = power(1n + randomBelow(p - 2n), (p - 1n) / q, p)
  return { p, q, g, b: randomBelow(q) }
}
