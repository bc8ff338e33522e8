/** Groups of IFF, GQ and MV that are made for a test: a server's key, a client's parameters, the flags of who proved it. */
import { generatePrimeSync } from "node:crypto"
import { makeGqGroup } from "../../src/autokey/gq.ts"
import { noParameters } from "../../src/autokey/group-parameters.ts"
import { gqGroupKeyNumbers, iffGroupKeyNumbers, mvServerKeyNumbers } from "../../src/autokey/identity-files.ts"
import { iffParametersOf, makeIffGroup } from "../../src/autokey/iff.ts"
import { makeMvAuthority } from "../../src/autokey/mv.ts"
import { writeDsa, writeRsa } from "../../src/autokey/private-keys.ts"
import { NOW, NTP, randomBelow } from "./parties.ts"

export const prime = (bits: number): bigint => generatePrimeSync(bits, { bigint: true })
/** The modulus of IFF challenges. */
export const q = prime(160)
export const iff = makeIffGroup({ q, p: generatePrimeSync(512, { add: 2n * q, rem: 1n, bigint: true }) }, randomBelow)
export const gq = makeGqGroup(prime(256) * prime(256), randomBelow)
/** Another each time, of the same factors. */
export const makeMv = () => makeMvAuthority({ factors: [0xc88de49bn, 0xf08ae663n, 0xf8d43d83n] }, randomBelow)
const mv = makeMv()
export const stamp = NTP(NOW - 900)
export const groups = {
  iff: {
    identity: { scheme: "iff", key: writeDsa(iffGroupKeyNumbers(iff)), filestamp: stamp },
    parameters: { ...noParameters, iff: { value: iffParametersOf(iff), filestamp: stamp } },
    flags: "87f21"
  },
  gq: {
    identity: { scheme: "gq", key: writeRsa(gqGroupKeyNumbers(gq)), filestamp: stamp },
    parameters: { ...noParameters, gq: { value: { n: gq.n, b: gq.b }, filestamp: stamp } },
    flags: "87f41"
  },
  mv: {
    identity: { scheme: "mv", key: writeDsa(mvServerKeyNumbers(mv.server)), filestamp: stamp },
    parameters: { ...noParameters, mv: { value: mv.clients[0]!, filestamp: stamp } },
    flags: "87f81"
  }
} as const
