/**
 * How the identity schemes' numbers lie in key files (RFC 5906 Appendix B gives the schemes, ntp-keygen the places), and which
 * files cannot be right.
 *
 * | file | form | numbers |
 * | --- | --- | --- |
 * | iffkey | DSA | p, q, g, private b, public v |
 * | iffpar | DSA | p, q, g, private 1, public v |
 * | gqkey | RSA | n, e = b, p = u, q = v, the others 1 |
 * | gqpar | RSA | n, e = b, the others 1; ours d = b too, where ntpd 4.2.8p10 and later look for b |
 * | mvta | DSA, several blocks | authority (p, q, g, private A, public b), server, clients |
 * | mvkey | DSA | p, q, g = E, private gbar, public ghat |
 * | mvpar | DSA | p, q = g = 1, private xbar, public xhat |
 *
 * PKCS #8 has no place for a DSA key's public number, so iffpar and everything of MV must be in the traditional form. What
 * ntp-keygen 4.2.8 writes is not: its own ntpd, too, cannot use it.
 */
import { type GqGroupKey, type GqParameters } from "./gq.ts"
import { areIffParameters, type IffGroupKey, type IffParameters, iffParametersOf } from "./iff.ts"
import { power } from "./modular.ts"
import type { MvAuthority, MvParameters, MvServerKey } from "./mv.ts"
import type { DsaNumbers, PrivateNumbers, RsaNumbers } from "./private-keys.ts"

/** Why a key file's numbers cannot be used. */
export type IdentityFileFault =
  /** a key of another kind than the scheme's */
  | "kind"
  /** PKCS #8 as ntp-keygen 4.2.8 writes it: a number is lost */
  | "lost-number"
  /** numbers that do not fit together */
  | "numbers"

export const iffGroupKeyFrom = (key: PrivateNumbers): IffGroupKey | IdentityFileFault => {
  if (key.kind !== "dsa") return "kind"
  const { p, q, g, privateNumber: b } = key
  const group = { p, q, g, b }
  if (b <= 1n || b >= q || !areIffParameters(iffParametersOf(group))) return "numbers"
  return group
}

export const iffParametersFrom = (key: PrivateNumbers): IffParameters | IdentityFileFault => {
  if (key.kind !== "dsa") return "kind"
  const { p, q, g, publicNumber: v } = key
  if (v === undefined) return "lost-number"
  // OpenSSL, asked to convert the file, puts g^1 in the lost number's place.
  if (v === g) return "lost-number"
  const parameters = { p, q, g, v }
  return areIffParameters(parameters) ? parameters : "numbers"
}

/** Also takes the arrangement that ntpd 4.2.8p10 and later need (e = u, d = b); which it is shows in v = (u^-1)^b. */
export const gqGroupKeyFrom = (key: PrivateNumbers): GqGroupKey | IdentityFileFault => {
  if (key.kind !== "rsa") return "kind"
  const { n, q: v } = key
  if (n < 4n) return "numbers"
  for (const { b, u } of [
    { b: key.e, u: key.p },
    { b: key.d, u: key.e }
  ])
    if (u > 1n && b > 1n && (power(u, b, n) * v) % n === 1n) return { n, b, u, v }
  return "numbers"
}

export const gqParametersFrom = (key: PrivateNumbers): GqParameters | IdentityFileFault => {
  if (key.kind !== "rsa") return "kind"
  return key.n > 3n && key.e > 1n ? { n: key.n, b: key.e } : "numbers"
}

export const mvServerKeyFrom = (key: PrivateNumbers): MvServerKey | IdentityFileFault => {
  if (key.kind !== "dsa") return "kind"
  const { p, q, g: e, privateNumber: gbar, publicNumber: ghat } = key
  if (ghat === undefined) return "lost-number"
  const isSound = p === 2n * q + 1n && [e, gbar, ghat].every((value) => value > 1n && power(value, q, p) === 1n)
  return isSound ? { p, q, e, gbar, ghat } : "numbers"
}

export const mvParametersFrom = (key: PrivateNumbers): MvParameters | IdentityFileFault => {
  if (key.kind !== "dsa") return "kind"
  const { p, privateNumber: xbar, publicNumber: xhat } = key
  if (xhat === undefined) return "lost-number"
  return p > 3n && xbar > 1n && xhat > 1n && xbar < p && xhat < p ? { p, xbar, xhat } : "numbers"
}

const dsa = (p: bigint, q: bigint, g: bigint, privateNumber: bigint, publicNumber: bigint): DsaNumbers => ({
  kind: "dsa",
  p,
  q,
  g,
  publicNumber,
  privateNumber
})

const rsa = (n: bigint, e: bigint, d: bigint, p: bigint, q: bigint): RsaNumbers => ({
  kind: "rsa",
  n,
  e,
  d,
  p,
  q,
  dp: 1n,
  dq: 1n,
  qInverse: 1n
})

export const iffGroupKeyNumbers = (group: IffGroupKey): DsaNumbers =>
  dsa(group.p, group.q, group.g, group.b, iffParametersOf(group).v)
export const iffParametersNumbers = ({ p, q, g, v }: IffParameters): DsaNumbers => dsa(p, q, g, 1n, v)
export const gqGroupKeyNumbers = ({ n, b, u, v }: GqGroupKey): RsaNumbers => rsa(n, b, 1n, u, v)
export const gqParametersNumbers = ({ n, b }: GqParameters): RsaNumbers => rsa(n, b, b, 1n, 1n)
export const mvServerKeyNumbers = ({ p, q, e, gbar, ghat }: MvServerKey): DsaNumbers => dsa(p, q, e, gbar, ghat)
export const mvParametersNumbers = ({ p, xbar, xhat }: MvParameters): DsaNumbers => dsa(p, 1n, 1n, xbar, xhat)
/** The blocks of an mvta file, in its order. */
export const mvAuthorityNumbers = (authority: MvAuthority): readonly DsaNumbers[] => [
  dsa(authority.p, authority.q, authority.g, authority.a, authority.b),
  mvServerKeyNumbers(authority.server),
  ...authority.clients.map(mvParametersNumbers)
]
