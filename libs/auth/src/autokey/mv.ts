/**
 * MV, the broadcast encryption of Mu and Varadharajan turned into an identity scheme (RFC 5906 Appendix B.4; Mu and
 * Varadharajan, Robust and Secure Broadcasting, Indocrypt 2001; the equations as corrected in the reference's ntp-keygen). Every
 * client has a key of its own, which can be revoked.
 *
 * - client:  draws r below p, sends it
 * - server:  draws k prime to q, sends y = r E^k, gbar^k, ghat^k, all mod p
 * - client:  (gbar^k)^xhat (ghat^k)^xbar is the inverse of E^k, so it times y is r again
 *
 * Keys come of q, the product of n distinct primes s_1 … s_n, with p = 2 q + 1 prime and g of order q. Of random roots x_j
 * the polynomial prod(x - x_j) has coefficients a_i mod q. With A = prod over j and i < n of g^(a_i x_j^i), a random b prime
 * to q, and the enabling key s = q / s_n (client n is revoked: one has to be, or E were 1):
 *
 * - server:   E = A^s, gbar = g^s, ghat = g^(s b)
 * - client j: xbar_j = b^-1 sum over i != j of x_i^n, xhat_j = x_j^n (q + s_j) / s_j, mod q
 */
import { integer, readUnsignedSequence, sequence } from "@meridian/wire/der"
import type { RandomBelow } from "./identity.ts"
import { greatestCommonDivisor, inverse, power } from "./modular.ts"

/** What one client has: `ntpkey_mvpar_GROUP`. */
export interface MvParameters {
  readonly p: bigint
  readonly xbar: bigint
  readonly xhat: bigint
}

/** What servers have: `ntpkey_mvkey_GROUP`. */
export interface MvServerKey {
  readonly p: bigint
  readonly q: bigint
  readonly e: bigint
  readonly gbar: bigint
  readonly ghat: bigint
}

/** What the trusted authority keeps: all of it, `ntpkey_mvta_GROUP`. */
export interface MvAuthority {
  readonly p: bigint
  readonly q: bigint
  readonly g: bigint
  /** The master encryption key A. */
  readonly a: bigint
  readonly b: bigint
  readonly server: MvServerKey
  /** Clients 1 … n; the last is revoked from the start. */
  readonly clients: readonly MvParameters[]
}

/** The server's answer to a challenge below p: SEQUENCE { y, gbar^k, ghat^k }. */
export const answerMv = (
  { p, q, e, gbar, ghat }: MvServerKey,
  challenge: bigint,
  randomBelow: RandomBelow
): Uint8Array => {
  const k = randomUnit(q, randomBelow)
  return sequence(integer((challenge * power(e, k, p)) % p), integer(power(gbar, k, p)), integer(power(ghat, k, p)))
}

/** Whether the answer decrypts to the challenge. */
export const provesMv = ({ p, xbar, xhat }: MvParameters, challenge: bigint, answer: Uint8Array): boolean => {
  const [y, gbar, ghat, ...rest] = readUnsignedSequence(answer) ?? []
  if (y === undefined || gbar === undefined || ghat === undefined || rest.length > 0) return false
  // With gbar and ghat 1 the text would come back as it was sent, and prove nothing.
  if (y >= p || gbar <= 1n || gbar >= p || ghat <= 1n || ghat >= p) return false
  return (((power(gbar, xhat, p) * power(ghat, xbar, p)) % p) * y) % p === challenge
}

/** The distinct primes whose product is q, where 2 q + 1 is prime too; by whoever can find them. */
interface MvPrimes {
  readonly factors: readonly bigint[]
}

/** New keys for as many clients as there are factors, at least two. */
export const makeMvAuthority = ({ factors }: MvPrimes, randomBelow: RandomBelow): MvAuthority => {
  const n = factors.length
  const q = factors.reduce((product, factor) => product * factor, 1n)
  const p = 2n * q + 1n
  const g = generator(p, q, randomBelow)
  const roots = factors.map(() => randomUnit(q, randomBelow))
  const coefficients = expand(roots, q)
  const a = power(g, exponentOfA(roots, coefficients, q), p)
  const b = randomUnit(q, randomBelow)
  const s = q / factors[n - 1]!
  const server = { p, q, e: power(a, s, p), gbar: power(g, s, p), ghat: power(g, (s * b) % q, p) }
  return { p, q, g, a, b, server, clients: clientKeys(p, q, b, roots, factors) }
}

/** A number of order q modulo p = 2 q + 1, prime to p - 1: a square. */
const generator = (p: bigint, q: bigint, randomBelow: RandomBelow): bigint => {
  for (;;) {
    const g = randomBelow(p)
    if (g > 1n && greatestCommonDivisor(g, p - 1n) === 1n && power(g, q, p) === 1n) return g
  }
}

const randomUnit = (q: bigint, randomBelow: RandomBelow): bigint => {
  for (;;) {
    const value = randomBelow(q)
    if (greatestCommonDivisor(value, q) === 1n) return value
  }
}

/** Coefficients of prod(x - x_j) mod q, constant term first. */
const expand = (roots: readonly bigint[], q: bigint): readonly bigint[] => {
  let coefficients: readonly bigint[] = [1n]
  for (const root of roots) {
    const shifted = [0n, ...coefficients]
    const scaled = [...coefficients.map((coefficient) => coefficient * root), 0n]
    coefficients = shifted.map((coefficient, index) => (((coefficient - scaled[index]!) % q) + q) % q)
  }
  return coefficients
}

const exponentOfA = (roots: readonly bigint[], coefficients: readonly bigint[], q: bigint): bigint => {
  let sum = 0n
  for (const root of roots)
    for (let index = 0; index < roots.length; index += 1)
      sum = (sum + coefficients[index]! * power(root, BigInt(index), q)) % q
  return sum
}

const clientKeys = (
  p: bigint,
  q: bigint,
  b: bigint,
  roots: readonly bigint[],
  factors: readonly bigint[]
): readonly MvParameters[] => {
  const n = BigInt(roots.length)
  const powers = roots.map((root) => power(root, n, q))
  const sum = powers.reduce((total, value) => total + value, 0n)
  const inverseOfB = inverse(b, q)!
  return factors.map((factor, index) => ({
    p,
    xbar: ((sum - powers[index]!) * inverseOfB) % q,
    xhat: (powers[index]! * (q / factor + 1n)) % q
  }))
}
