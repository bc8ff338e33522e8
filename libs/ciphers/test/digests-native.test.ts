import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { macAlgorithmNames, macAlgorithms } from "@meridian/auth/mac-algorithms"
import { nodeDigests } from "../src/digests.ts"
import { type DigestBinding, installedDigests, nativeDigests } from "../src/digests-native.ts"
import { loadNative, type NativeAddon } from "@meridian/system/native"

const binding = loadNative().addon as (NativeAddon & DigestBinding) | undefined

describe.runIf(binding !== undefined)("the digests of symmetric keys in C", () => {
  const { openDigest } = binding as DigestBinding
  const native = nativeDigests({ openDigest }, nobleCmac)
  const node = nodeDigests()

  it("are the same algorithms as on node:crypto", () => {
    expect(macAlgorithmNames.filter((name) => native.supports(name) !== node.supports(name))).toEqual([])
  })

  it.each(macAlgorithmNames)("%s equals node:crypto's over any key and range, and writes nothing beside it", (name) => {
    const { keyBytes, digestBytes } = macAlgorithms[name]
    const key = fc.uint8Array({ minLength: keyBytes ?? 1, maxLength: keyBytes ?? 32 })
    const range = fc.record({ before: fc.nat(70), length: fc.nat(600), after: fc.nat(70) })
    fc.assert(
      fc.property(key, range, fc.nat(), (secret, { before, length, after }, seed) => {
        const bytes = Uint8Array.from({ length: before + length + after }, (_, at) => (at * 167 + seed) >>> 3)
        const found = new Uint8Array(80).fill(0xee)
        const expected = new Uint8Array(80).fill(0xee)
        const size = native.digest(name, secret, bytes, before, length, found)
        expect(size).toBe(digestBytes)
        expect(node.digest(name, secret, bytes, before, length, expected)).toBe(size)
        expect(found).toEqual(expected)
      }),
      { numRuns: 200 }
    )
  })

  it("read arrays that are a part of a buffer", () => {
    const whole = Uint8Array.from({ length: 300 }, (_, at) => at)
    const part = whole.subarray(100, 200)
    const key = whole.subarray(10, 26)
    const [found, expected] = [new Uint8Array(200), new Uint8Array(64)]
    native.digest("SHA256", key, part, 20, 48, found.subarray(70))
    node.digest("SHA256", key.slice(), part.slice(), 20, 48, expected)
    expect(found.subarray(70, 102)).toEqual(expected.subarray(0, 32))
  })

  it("refuse a message outside its array and a digest without room, with a RangeError that names neither's bytes", () => {
    const key = new Uint8Array(16)
    const bytes = new Uint8Array(100)
    const out = new Uint8Array(64)
    for (const [offset, length, room] of [
      [53, 48, out],
      [101, 0, out],
      [-1, 48, out],
      [0, -1, out],
      [0x7fffffff, 0x7fffffff, out],
      [0, 48, out.subarray(0, 15)]
    ] as const)
      expect(() => native.digest("MD5", key, bytes, offset, length, room)).toThrow(RangeError)
    expect(out).toEqual(new Uint8Array(64))
    expect(() => native.digest("MD5", key, "text" as never, 0, 4, out)).toThrow(TypeError)
    expect(() => native.digest("MD5", key, new Float64Array(8) as never, 0, 4, out)).toThrow(TypeError)
  })

  it("go on after a refusal, and do not mix up algorithms", () => {
    const key = Uint8Array.of(1, 2, 3)
    const message = new Uint8Array(48)
    const digestOf = (port: typeof native, name: "MD5" | "SHA1"): Uint8Array => {
      const out = new Uint8Array(64)
      port.digest(name, key, message, 0, 48, out)
      return out
    }
    expect(() => native.digest("MD5", key, message, 1, 48, new Uint8Array(64))).toThrow(RangeError)
    for (const name of ["MD5", "SHA1", "MD5"] as const) expect(digestOf(native, name)).toEqual(digestOf(node, name))
  })

  it("do not have what OpenSSL does not have", () => {
    expect(openDigest("no-such-digest")).toBeUndefined()
    expect(() => openDigest(undefined as never)).toThrow(TypeError)
  })

  it("are what this installation uses", () => {
    expect(installedDigests(nobleCmac).supports("MD5")).toBe(true)
  })
})
