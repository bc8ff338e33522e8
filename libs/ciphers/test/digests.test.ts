import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { type MacAlgorithmName, macAlgorithmNames, macAlgorithms } from "@meridian/auth/mac-algorithms"
import { nodeDigests } from "../src/digests.ts"

const port = nodeDigests(undefined, 200)
const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))
const digestOf = (name: MacAlgorithmName, key: Uint8Array, message: Uint8Array): string => {
  const out = new Uint8Array(64)
  return hex(out.subarray(0, port.digest(name, key, message, 0, message.length, out)))
}

describe("the digests of symmetric keys on node:crypto", () => {
  it("are all there", () => {
    expect(macAlgorithmNames.filter((name) => !port.supports(name))).toEqual([])
  })

  it.each(macAlgorithmNames)("%s has the length its algorithm says", (name) => {
    const { keyBytes = 20, digestBytes } = macAlgorithms[name]
    expect(port.digest(name, new Uint8Array(keyBytes), new Uint8Array(48), 0, 48, new Uint8Array(64))).toBe(digestBytes)
  })

  it.each([
    ["MD5", "a", "bc", "900150983cd24fb0d6963f7d28e17f72"],
    ["SHA1", "ab", "c", "a9993e364706816aba3e25717850c26c9cd0d89d"],
    ["RIPEMD160", "", "abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"],
    ["SHA256", "a", "bc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    ["SHA512-256", "a", "bc", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"],
    ["SHA3-256", "a", "bc", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"]
  ] as const)("%s of key ‖ message is the hash of both joined", (name, key, message, expected) => {
    expect(digestOf(name, bytes(key), bytes(message))).toBe(expected)
  })

  it("AES-128 is the CMAC of RFC 4493", () => {
    const key = Uint8Array.from("2b7e151628aed2a6abf7158809cf4f3c".match(/../g) ?? [], (pair) =>
      Number.parseInt(pair, 16)
    )
    expect(digestOf("AES-128", key, new Uint8Array(0))).toBe("bb1d6929e95937287fa37d129b756746")
  })

  it("read the range they are given, also one longer than the buffer they join in", () => {
    const message = Uint8Array.from({ length: 1000 }, (_, index) => index)
    for (const [offset, length] of [
      [0, 48],
      [100, 150],
      [7, 900]
    ] as const) {
      const out = new Uint8Array(64)
      const size = port.digest("SHA256", bytes("key"), message, offset, length, out)
      const expected = createHash("sha256")
        .update("key")
        .update(message.subarray(offset, offset + length))
        .digest()
      expect(hex(out.subarray(0, size))).toBe(hex(expected))
    }
  })

  it("do not mix up two calls", () => {
    const first = digestOf("MD5", bytes("long key of 24 bytes....."), bytes("message"))
    digestOf("SHA1", bytes("x"), new Uint8Array(150))
    expect(digestOf("MD5", bytes("long key of 24 bytes....."), bytes("message"))).toBe(first)
  })
})
