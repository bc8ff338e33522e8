/** New keys for the identity schemes: the primes are OpenSSL's work, the rest the schemes' own. */
import { checkPrimeSync, generatePrimeSync, randomFillSync } from "node:crypto"
import { type GqGroupKey, makeGqGroup } from "@meridian/auth/autokey/gq"
import { randomBelowFrom } from "@meridian/auth/autokey/identity"
import { type IffGroupKey, makeIffGroup } from "@meridian/auth/autokey/iff"
import { makeMvAuthority, type MvAuthority } from "@meridian/auth/autokey/mv"

const randomBelow = randomBelowFrom((bytes) => void randomFillSync(bytes))

const prime = (bits: number): bigint => generatePrimeSync(bits, { bigint: true })

/** IFF's small prime: as long as the hash that it is held against is worth, and never longer than half of p. */
const iffOrderBits = (bits: number): number => (bits < 1_024 ? 160 : 256)

/** @param bits of p */
export const newIffGroup = (bits: number): IffGroupKey => {
  const q = prime(iffOrderBits(bits))
  return makeIffGroup({ q, p: generatePrimeSync(bits, { add: 2n * q, rem: 1n, bigint: true }) }, randomBelow)
}

/**
 * @param bits of n, at most 1016: its public value goes into certificates, where ntpd skips two octets of header and so reads
 *   at most 127 octets
 */
export const newGqGroup = (bits: number): GqGroupKey => {
  const half = Math.ceil(bits / 2)
  for (;;) {
    const p = prime(half)
    const q = prime(bits - half)
    if (p !== q) return makeGqGroup(p * q, randomBelow)
  }
}

/** @param bits of q, spread over as many primes as there are clients */
export const newMvAuthority = (bits: number, clients: number): MvAuthority => {
  const each = Math.floor(bits / clients)
  const factors = Array.from({ length: clients }, () => prime(each))
  for (let turn = 0; ; turn += 1) {
    const q = factors.reduce((product, factor) => product * factor, 1n)
    if (new Set(factors).size === clients && checkPrimeSync(2n * q + 1n))
      return makeMvAuthority({ factors }, randomBelow)
    factors[turn % clients] = prime(each)
  }
}
