import { generatePrimeSync, randomFillSync } from "node:crypto"
import { describe, expect, it } from "vitest"
import { answerGq, makeGqGroup, provesGq } from "../../src/autokey/gq.ts"
import { decodeChallenge, encodeAnswer, encodeChallenge, randomBelowFrom } from "../../src/autokey/identity.ts"
import { answerIff, areIffParameters, iffParametersOf, makeIffGroup, provesIff } from "../../src/autokey/iff.ts"
import {
  gqGroupKeyFrom,
  gqGroupKeyNumbers,
  gqParametersFrom,
  gqParametersNumbers,
  iffGroupKeyFrom,
  iffGroupKeyNumbers,
  iffParametersFrom,
  iffParametersNumbers,
  mvAuthorityNumbers,
  mvParametersFrom,
  mvServerKeyFrom
} from "../../src/autokey/identity-files.ts"
import { inverse, power } from "../../src/autokey/modular.ts"
import { answerMv, makeMvAuthority, type MvParameters, type MvServerKey, provesMv } from "../../src/autokey/mv.ts"
import { digests, file, numbers, recording } from "./recordings.ts"

const randomBelow = randomBelowFrom((bytes) => void randomFillSync(bytes))
/** Whether a client's key opens what the server encrypts; false for the revoked. */
const opensMv = ({ p, e, gbar, ghat }: MvServerKey, { xbar, xhat }: MvParameters): boolean =>
  (((power(gbar, xhat, p) * power(ghat, xbar, p)) % p) * e) % p === 1n

const prime = (bits: number): bigint => generatePrimeSync(bits, { bigint: true })
/** Made once: primes whose product q makes 2 q + 1 prime too are rare. */
const mvFactors = [0xc88de49bn, 0xf08ae663n, 0xf8d43d83n]

const iffGroup = makeIffGroup(
  (() => {
    const q = prime(160)
    return { q, p: generatePrimeSync(512, { add: 2n * q, rem: 1n, bigint: true }) }
  })(),
  randomBelow
)
const gqGroup = makeGqGroup(prime(256) * prime(256), randomBelow)

describe("IFF", () => {
  const parameters = iffParametersOf(iffGroup)

  it("proves the group's secret and nothing else", () => {
    expect(areIffParameters(parameters)).toBe(true)
    for (let round = 0; round < 8; round += 1) {
      const r = randomBelow(iffGroup.q)
      const answer = answerIff(iffGroup, r, digests, randomBelow)
      expect(provesIff(parameters, r, answer, digests)).toBe(true)
      expect(provesIff(parameters, r + 1n, answer, digests)).toBe(false)
      expect(provesIff({ ...parameters, v: parameters.g }, r, answer, digests)).toBe(false)
      const impostor = answerIff({ ...iffGroup, b: iffGroup.b + 1n }, r, digests, randomBelow)
      expect(provesIff(parameters, r, impostor, digests)).toBe(false)
    }
  })

  it("knows a client file whose v was lost: what is left does not have the order of the group", () => {
    expect(areIffParameters({ ...parameters, v: 1n })).toBe(false)
    expect(areIffParameters({ ...parameters, v: parameters.p - 1n })).toBe(false)
    expect(areIffParameters({ ...parameters, q: parameters.q + 2n })).toBe(false)
  })

  it("takes no answer that is none", () => {
    expect(provesIff(parameters, 5n, new Uint8Array(0), digests)).toBe(false)
    expect(provesIff(parameters, 5n, encodeAnswer({ y: parameters.q, hash: 1n }), digests)).toBe(false)
  })
})

describe("GQ", () => {
  it("proves the secret behind a certificate's public value", () => {
    for (let round = 0; round < 8; round += 1) {
      const r = randomBelow(gqGroup.n)
      const answer = answerGq(gqGroup, r, digests, randomBelow)
      expect(provesGq(gqGroup, gqGroup.v, r, answer, digests)).toBe(true)
      expect(provesGq(gqGroup, gqGroup.v, r + 1n, answer, digests)).toBe(false)
      expect(provesGq(gqGroup, gqGroup.v + 1n, r, answer, digests)).toBe(false)
      expect(provesGq(gqGroup, 1n, r, answer, digests)).toBe(false)
    }
    const other = answerGq({ ...gqGroup, u: gqGroup.u + 1n }, 12_345n, digests, randomBelow)
    expect(provesGq(gqGroup, gqGroup.v, 12_345n, other, digests)).toBe(false)
  })
})

describe("MV", () => {
  it("opens for every client but the last, which is revoked", () => {
    const authority = makeMvAuthority({ factors: mvFactors }, randomBelow)
    expect(authority.p).toBe(2n * mvFactors.reduce((product, factor) => product * factor) + 1n)
    expect(authority.clients.map((client) => opensMv(authority.server, client))).toEqual([true, true, false])
    const r = randomBelow(authority.p)
    const answer = answerMv(authority.server, r, randomBelow)
    expect(authority.clients.map((client) => provesMv(client, r, answer))).toEqual([true, true, false])
    expect(provesMv(authority.clients[0]!, r + 1n, answer)).toBe(false)
    expect(provesMv(authority.clients[0]!, r, new Uint8Array(40))).toBe(false)
  })
})

describe("challenges", () => {
  it("are padded on the left, and 0 and the modulus are none", () => {
    expect(encodeChallenge(5n, 1n << 159n)).toHaveLength(20)
    expect(decodeChallenge(encodeChallenge(5n, 1n << 159n), 1n << 159n)).toBe(5n)
    for (const bad of [0n, 1n << 159n])
      expect(decodeChallenge(encodeChallenge(bad, (1n << 160n) - 1n), 1n << 159n)).toBeUndefined()
    // As the reference sends 0x1234 with a modulus of three octets: at the start, and one octet of its memory behind.
    expect(decodeChallenge(Uint8Array.of(0x12, 0x34, 0x99), 0x01_00_00n)).toBe(0x1234n)
    expect(decodeChallenge(Uint8Array.of(0x00, 0x12, 0x34), 0x01_00_00n)).toBe(0x1234n)
    expect(decodeChallenge(new Uint8Array(21), 1n << 159n)).toBeUndefined()
    expect(decodeChallenge(new Uint8Array(0), 1n << 159n)).toBeUndefined()
  })
})

describe("modular arithmetic", () => {
  it("agrees with its definition", () => {
    for (const [base, exponent, modulus] of [
      [2n, 10n, 1000n],
      [7n, 0n, 13n],
      [5n, 117n, 19n],
      [0n, 5n, 7n],
      [3n, 4n, 1n]
    ] as const)
      expect(power(base, exponent, modulus)).toBe(base ** exponent % modulus)
    expect(inverse(3n, 11n)).toBe(4n)
    expect(inverse(6n, 9n)).toBeUndefined()
  })
})

describe("identity files", () => {
  it("of the reference are told good from damaged", () => {
    const { server, client } = recording("iff").keys
    expect(iffGroupKeyFrom(numbers(server, "ntpkey_iffkey_wonder"))).toMatchObject({ q: expect.any(BigInt) as bigint })
    expect(iffParametersFrom(numbers(client, "ntpkey_iffpar_wonder"))).toMatchObject({
      v: expect.any(BigInt) as bigint
    })
    expect(iffParametersFrom(numbers(client, "ntpkey_iffpar_wonder.pkcs8"))).toBe("lost-number")
    const mv = recording("mv").keys
    expect(mvServerKeyFrom(numbers(mv.server, "ntpkey_mvkey_wonder"))).toMatchObject({
      e: expect.any(BigInt) as bigint
    })
    expect(mvServerKeyFrom(numbers(mv.server, "ntpkey_mvkey_wonder.pkcs8"))).toBe("lost-number")
    expect(mvParametersFrom(numbers(mv.client, "ntpkey_mvpar_wonder.pkcs8"))).toBe("lost-number")
    expect(file(mv.server, "ntpkey_mvta_wonder").blocks).toHaveLength(6)
    const gq = recording("gq-p15").keys
    const arranged = gqGroupKeyFrom(numbers(gq.server, "ntpkey_gqkey_alice"))
    expect(arranged).toMatchObject({ u: expect.any(BigInt) as bigint })
    expect(gqGroupKeyFrom(numbers(gq.server, "ntpkey_GQkey_wonder.4004169774"))).toEqual(arranged)
    expect(gqParametersFrom(numbers(gq.client, "ntpkey_gqpar_wonder"))).toMatchObject({
      b: expect.any(BigInt) as bigint
    })
    expect(iffGroupKeyFrom(numbers(gq.server, "ntpkey_gqkey_alice"))).toBe("kind")
    expect(gqGroupKeyFrom(numbers(server, "ntpkey_iffkey_wonder"))).toBe("kind")
  })

  it("of the reference's MV open for the clients its author saw them open for", () => {
    const { server, client } = recording("mv").keys
    const key = mvServerKeyFrom(numbers(server, "ntpkey_mvkey_wonder"))
    const opens = [1, 2, 3, 4].map((number) => {
      const parameters = mvParametersFrom(numbers(client, `ntpkey_mvpar${number}_wonder`))
      return typeof key === "object" && typeof parameters === "object" && opensMv(key, parameters)
    })
    expect(opens).toEqual([true, true, true, false])
  })

  it("of ours give back what they were made of", () => {
    expect(iffGroupKeyFrom(iffGroupKeyNumbers(iffGroup))).toEqual(iffGroup)
    expect(iffParametersFrom(iffParametersNumbers(iffParametersOf(iffGroup)))).toEqual(iffParametersOf(iffGroup))
    expect(gqGroupKeyFrom(gqGroupKeyNumbers(gqGroup))).toEqual(gqGroup)
    expect(gqParametersFrom(gqParametersNumbers(gqGroup))).toEqual({ n: gqGroup.n, b: gqGroup.b })
    expect(gqGroupKeyFrom({ ...gqGroupKeyNumbers(gqGroup), q: 5n })).toBe("numbers")
    const authority = makeMvAuthority({ factors: mvFactors }, randomBelow)
    const [, server, ...clients] = mvAuthorityNumbers(authority)
    expect(mvServerKeyFrom(server!)).toEqual(authority.server)
    expect(clients.map(mvParametersFrom)).toEqual(authority.clients)
  })
})
