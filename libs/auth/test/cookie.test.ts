import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Aead, type AeadId, type AeadParameters, aeadParameters } from "../src/nts/aead.ts"
import { batchOver, nobleAeads } from "../src/nts/aead-noble.ts"
import { COOKIE_AEAD, COOKIE_NONCE_BYTES, cookieLength, sealCookies, type SessionKeys } from "../src/nts/cookie.ts"
import { openCookie, sealCookie } from "@meridian/testkit/cookies"
import { type Generation, KeyRing } from "../src/nts/key-ring.ts"

const sealing = nobleAeads.get(COOKIE_AEAD) as Aead
const generation: Generation = {
  id: 0xdeadbeef,
  key: Uint8Array.from({ length: 32 }, (_, index) => index * 7),
  activation: 0,
  retirement: 1000,
  revoked: false
}
const ring = KeyRing.of([generation])
const parameters = (id: number): AeadParameters => aeadParameters(id) as AeadParameters
const keysOf = (id: AeadId): SessionKeys => ({
  aead: parameters(id),
  c2s: new Uint8Array(parameters(id).keyBytes).fill(1),
  s2c: new Uint8Array(parameters(id).keyBytes).fill(2)
})
const nonce = Uint8Array.from({ length: COOKIE_NONCE_BYTES }, (_, index) => 100 + index)

describe("a cookie", () => {
  it.each([
    [15, 96],
    [16, 128],
    [17, 160],
    [30, 64]
  ] as const)("of AEAD %i has always %i bytes, a multiple of four", (id, length) => {
    expect(cookieLength(parameters(id))).toBe(length)
    expect(sealCookie(sealing, generation, keysOf(id), nonce)).toHaveLength(length)
  })

  it("has version, AEAD and generation in front, big-endian", () => {
    const cookie = sealCookie(sealing, generation, keysOf(15), nonce)
    expect([...cookie.subarray(0, 6)]).toEqual([1, 15, 0xde, 0xad, 0xbe, 0xef])
    expect(cookie.subarray(6, 16)).toEqual(nonce)
  })

  it.each([15, 16, 17, 30] as const)("of AEAD %i opens to the keys it was made of", (id) => {
    expect(openCookie(sealing, ring, sealCookie(sealing, generation, keysOf(id), nonce), 500)).toEqual(keysOf(id))
  })

  it.each([15, 16, 17, 30] as const)("of AEAD %i is the same when several are sealed at once", (id) => {
    const batch = batchOver("reference", nobleAeads)
    const nonces = Uint8Array.from({ length: 8 * COOKIE_NONCE_BYTES }, (_, index) => index)
    const cookies = sealCookies(batch, generation, keysOf(id), nonces)
    const one = (index: number): Uint8Array =>
      nonces.subarray(index * COOKIE_NONCE_BYTES, (index + 1) * COOKIE_NONCE_BYTES)
    expect(cookies).toHaveLength(8)
    cookies.forEach((cookie, index) => expect(cookie).toEqual(sealCookie(sealing, generation, keysOf(id), one(index))))
    expect(() => sealCookies(batch, generation, keysOf(id), nonces.subarray(1))).toThrow("79 bytes")
    expect(() => sealCookies(batch, generation, { ...keysOf(id), s2c: new Uint8Array(1) }, nonces)).toThrow("keys of")
  })

  it("is refused with every bit flipped", () => {
    const cookie = sealCookie(sealing, generation, keysOf(30), nonce)
    const outcomes = new Set<unknown>()
    for (let bit = 0; bit < 8 * cookie.length; bit += 1) {
      const changed = cookie.slice()
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      outcomes.add(openCookie(sealing, ring, changed, 500))
    }
    expect(outcomes).toEqual(new Set(["forged", "malformed", "unknown"]))
  })

  it("says why it does not open", () => {
    const cookie = sealCookie(sealing, generation, keysOf(15), nonce)
    expect(openCookie(sealing, KeyRing.empty, cookie, 500)).toBe("unknown")
    expect(openCookie(sealing, ring, cookie, 1000)).toBe("retired")
    expect(openCookie(sealing, KeyRing.of([{ ...generation, revoked: true }]), cookie, 500)).toBe("revoked")
    expect(openCookie(sealing, ring, cookie.subarray(0, 92), 500)).toBe("malformed")
    expect(openCookie(sealing, KeyRing.of([{ ...generation, key: new Uint8Array(32) }]), cookie, 500)).toBe("forged")
  })

  it("shows nothing of the keys and differs with the nonce", () => {
    const a = sealCookie(sealing, generation, keysOf(15), nonce)
    const b = sealCookie(
      sealing,
      generation,
      keysOf(15),
      nonce.map((byte) => byte ^ 1)
    )
    expect(a.subarray(16)).not.toEqual(b.subarray(16))
    expect(Array.from(a).join()).not.toContain("1,1,1,1,1,1,1,1")
  })

  it("is made only of keys and nonces of the right length", () => {
    expect(() => sealCookie(sealing, generation, keysOf(15), nonce.subarray(1))).toThrow(
      "expected nonces of 10 bytes each, found 9 bytes"
    )
    expect(() => sealCookie(sealing, generation, { ...keysOf(15), c2s: new Uint8Array(16) }, nonce)).toThrow(RangeError)
  })

  it("never makes the reader throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, ours) => {
        if (ours) bytes.set([1, 30, 0xde, 0xad, 0xbe, 0xef].slice(0, bytes.length))
        expect(typeof openCookie(sealing, ring, bytes, 500)).toBe("string")
      }),
      { numRuns: 500 }
    )
  })
})
