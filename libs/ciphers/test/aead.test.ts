import { readFileSync } from "node:fs"
import { type Aead, AeadId, CHAINED, Job, JOB_STRIDE, PLAINTEXT_IN_SECRETS, SEAL } from "@meridian/auth/aead"
import { nobleAeads, nobleBatch } from "@meridian/auth/aead-noble"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { describe, expect, it } from "vitest"
import { type AeadProvider, aeadProvider, aeadProviderWith } from "@meridian/ciphers/aead"
import { loadAeadBinding } from "../src/aead-native.ts"
import { loadNative } from "@meridian/system/native"

const bytesOf = (hex: string): Uint8Array => (hex === "-" ? new Uint8Array(0) : Uint8Array.fromHex(hex))

const linesOf = (file: string): string[][] =>
  readFileSync(new URL(`vectors/${file}`, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(" "))

const noble: AeadProvider = {
  name: "@noble/ciphers",
  reason: undefined,
  aeads: nobleAeads,
  batch: nobleBatch,
  cmac: nobleCmac
}
const { binding } = loadAeadBinding()
const providers = [
  noble,
  aeadProviderWith({ reason: "for the test" }),
  ...(binding === undefined ? [] : [aeadProviderWith({ binding })])
]

describe("choosing an implementation", () => {
  it("is native where the addon is built and the processor has AES", () => {
    const flags = / aes .*pclmulqdq|pclmulqdq.* aes | aes .*pmull/.test(readFileSync("/proc/cpuinfo", "utf8"))
    const expected = loadNative().addon !== undefined && flags
    expect(aeadProvider().batch.kind).toBe(expected ? "native" : "reference")
    expect(aeadProvider().reason === undefined).toBe(expected)
  })

  it("falls back with the reason, and still has all four algorithms", () => {
    const fallback = aeadProviderWith({ reason: "no such instructions" })
    expect(fallback).toMatchObject({ name: "node:crypto", reason: "no such instructions" })
    expect([...fallback.aeads.keys()].toSorted((a, b) => a - b)).toEqual([15, 16, 17, 30])
  })
})

describe.each(providers)("$name", ({ aeads, batch, cmac }) => {
  const aeadOf = (id: number): Aead => {
    const aead = aeads.get(id as AeadId)
    if (aead === undefined) throw new Error(`no AEAD ${id}`)
    return aead
  }

  it.each(["aead-wycheproof-siv.txt", "aead-wycheproof-gcm-siv.txt", "aead-rfc.txt"])("keeps to %s", (file) => {
    let texts = 0
    for (const [id, key, associated, plaintextHex, ciphertextHex, result] of linesOf(file)) {
      const [ad, nonce, ...others] = (associated as string).split(",").map(bytesOf)
      // The port feeds exactly two strings; the vectors with one or three are run by aead-engine.test.ts.
      if (ad === undefined || nonce === undefined || others.length > 0) continue
      const aead = aeadOf(Number(id))
      const ciphertext = bytesOf(ciphertextHex as string)
      const plaintext = bytesOf(plaintextHex as string)
      const opened = new Uint8Array(ciphertext.length - aead.tagBytes).fill(0xaa)
      const sealed = new Uint8Array(ciphertext.length)
      aead.seal(bytesOf(key as string), nonce, ad, plaintext, sealed)
      const verified = aead.open(bytesOf(key as string), nonce, ad, ciphertext, opened)
      const isValid = result === "valid"
      expect([verified, Buffer.compare(sealed, ciphertext) === 0]).toEqual([isValid, isValid])
      expect(opened).toEqual(isValid ? plaintext : new Uint8Array(opened.length))
      texts += 1
    }
    expect(texts).toBeGreaterThanOrEqual(file === "aead-rfc.txt" ? 3 : 99)
  })

  it.each(["aead-wycheproof-cmac.txt", "aead-rfc-cmac.txt"])("keeps to %s", (file) => {
    const lines = linesOf(file)
    expect(lines.length).toBeGreaterThanOrEqual(4)
    for (const [key, messageHex, mac, result] of lines) {
      const message = bytesOf(messageHex as string)
      const inside = new Uint8Array(message.length + 7)
      inside.set(message, 3)
      const out = new Uint8Array(20)
      expect(cmac(bytesOf(key as string), inside, 3, message.length, out)).toBe(16)
      expect(out.toHex().slice(0, 32) === mac).toBe(result === "valid")
      expect(out.toHex().slice(32)).toBe("00000000")
    }
  })

  it.each(Object.values(AeadId))("AEAD %i refuses another tag, nonce, associated data or key", (id) => {
    const aead = aeadOf(id)
    const key = new Uint8Array(aead.keyBytes).fill(1)
    const nonce = new Uint8Array(aead.nonceBytes).fill(2)
    const ad = new Uint8Array(40).fill(3)
    const ciphertext = new Uint8Array(50 + aead.tagBytes)
    aead.seal(key, nonce, ad, new Uint8Array(50).fill(4), ciphertext)
    const opensWith = (changed: Uint8Array, at: number): boolean => {
      const opened = new Uint8Array(50).fill(9)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      const verified = aead.open(key, nonce, ad, ciphertext, opened)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      expect(opened).toEqual(new Uint8Array(50).fill(verified ? 4 : 0))
      return verified
    }
    for (let at = 0; at < ciphertext.length; at += 1) expect(opensWith(ciphertext, at)).toBe(false)
    for (const at of [0, nonce.length - 1]) expect(opensWith(nonce, at)).toBe(false)
    for (const at of [0, 39]) expect(opensWith(ad, at)).toBe(false)
    for (const at of [0, key.length - 1]) expect(opensWith(key, at)).toBe(false)
    expect(opensWith(new Uint8Array(1), 0)).toBe(true)
    expect(aead.open(key, nonce, ad.subarray(1), ciphertext, new Uint8Array(50))).toBe(false)
    expect(aead.open(key, nonce, ad, ciphertext.subarray(0, 15), new Uint8Array(0))).toBe(false)
    expect(aead.open(key, new Uint8Array(0), ad, ciphertext, new Uint8Array(50))).toBe(false)
    expect(aead.open(key, new Uint8Array(65), ad, ciphertext, new Uint8Array(50))).toBe(false)
  })

  it.each(Object.values(AeadId))("AEAD %i throws RangeError on a caller's wrong lengths", (id) => {
    const aead = aeadOf(id)
    const key = new Uint8Array(aead.keyBytes)
    const nonce = new Uint8Array(aead.nonceBytes)
    const none = new Uint8Array(0)
    expect(() => aead.seal(key.subarray(1), nonce, none, none, new Uint8Array(16))).toThrow(RangeError)
    expect(() => aead.seal(key, none, none, none, new Uint8Array(16))).toThrow(RangeError)
    expect(() => aead.seal(key, nonce, none, none, new Uint8Array(15))).toThrow(RangeError)
    expect(() => aead.open(key.subarray(1), nonce, none, new Uint8Array(16), none)).toThrow(RangeError)
    expect(() => aead.open(key, nonce, none, new Uint8Array(20), new Uint8Array(3))).toThrow(RangeError)
  })

  it("runs a chain: a client's key out of a sealed text, a request opened and a reply sealed with it", () => {
    const world = chain()
    const jobs = Int32Array.from([...world.openKeys, ...world.openRequest, ...world.sealReply])
    batch.run(jobs, 3, world.packets, world.secrets)
    expect(statusesOf(jobs)).toEqual([1, 1, 1])
    expect(world.packets.subarray(world.requestTextAt, world.requestTextAt + 20)).toEqual(new Uint8Array(20).fill(0x77))
    const reply = new Uint8Array(30)
    const sealed = world.packets.subarray(world.replyAt, world.replyAt + 46)
    expect(
      aeadOf(15).open(world.s2c, world.packets.subarray(0, 16), world.packets.subarray(16, 64), sealed, reply)
    ).toBe(true)
    expect(reply).toEqual(new Uint8Array(30).fill(0x55))
  })

  it("skips what is chained to a failed job, and goes on after it", () => {
    const world = chain()
    world.packets[world.keysAt] = (world.packets[world.keysAt] ?? 0) ^ 1
    const before = world.packets.slice()
    const jobs = Int32Array.from([...world.openKeys, ...world.openRequest, ...world.openRequest, ...world.sealReply])
    jobs[3 * JOB_STRIDE + Job.flags] = SEAL
    batch.run(jobs, 4, world.packets, world.secrets)
    expect(statusesOf(jobs)).toEqual([0, 0, 0, 1])
    expect(world.secrets.subarray(32)).toEqual(new Uint8Array(64))
    expect(world.packets.subarray(0, world.replyAt)).toEqual(before.subarray(0, world.replyAt))
  })

  it("zeroes the plaintext of a text that does not open, in place", () => {
    const world = chain()
    batch.run(Int32Array.from(world.openKeys), 1, world.packets, world.secrets)
    world.packets[16] = 0xff
    const job = Int32Array.from(world.openRequest)
    batch.run(job, 1, world.packets, world.secrets)
    expect(statusesOf(job)).toEqual([0])
    expect(world.packets.subarray(world.requestTextAt, world.requestTextAt + 20)).toEqual(new Uint8Array(20))
  })

  it("opens nothing with a nonce of a length the algorithm does not take", () => {
    const job = Int32Array.from(
      jobOf({ [Job.aead]: 30, [Job.nonceLength]: 11, [Job.plaintextLength]: 5, [Job.ciphertextAt]: 40 })
    )
    const packets = new Uint8Array(100).fill(1)
    batch.run(job, 1, packets, new Uint8Array(16))
    expect(statusesOf(job)).toEqual([0])
    expect(packets.subarray(0, 6)).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 1))
    job[Job.flags] = SEAL
    expect(() => batch.run(job, 1, packets, new Uint8Array(16))).toThrow(RangeError)
  })
})

/** One job; positions that are not named are 0. */
const jobOf = (fields: Record<number, number>): number[] =>
  Array.from({ length: JOB_STRIDE }, (_, position) => fields[position] ?? 0)

const statusesOf = (jobs: Int32Array): number[] =>
  Array.from({ length: jobs.length / JOB_STRIDE }, (_, index) => jobs[index * JOB_STRIDE + Job.status] ?? -1)

/**
 * A master key, two client keys sealed with it, and a request sealed with the first. In packets: nonce at 0, associated
 * data at 16, the sealed keys, the sealed request, and room for a reply with its plaintext in place.
 */
const chain = () => {
  const reference = nobleAeads.get(AeadId.sivCmac256) as Aead
  const master = new Uint8Array(32).fill(0x11)
  const [c2s, s2c] = [new Uint8Array(32).fill(0x22), new Uint8Array(32).fill(0x33)]
  const [keysAt, requestAt, replyAt] = [64, 144, 180]
  const packets = new Uint8Array(256).fill(0x44)
  const secrets = new Uint8Array(96)
  secrets.set(master)
  const nonce = packets.slice(0, 16)
  const ad = packets.slice(16, 64)
  reference.seal(master, nonce, ad, Uint8Array.from([...c2s, ...s2c]), packets.subarray(keysAt))
  reference.seal(c2s, nonce, ad, new Uint8Array(20).fill(0x77), packets.subarray(requestAt))
  packets.fill(0x55, replyAt + 16, replyAt + 46)
  const common = { [Job.aead]: 15, [Job.nonceLength]: 16, [Job.adAt]: 16, [Job.adLength]: 48 }
  return {
    packets,
    secrets,
    s2c,
    keysAt,
    replyAt,
    requestTextAt: requestAt + 16,
    openKeys: jobOf({
      ...common,
      [Job.flags]: PLAINTEXT_IN_SECRETS,
      [Job.plaintextAt]: 32,
      [Job.plaintextLength]: 64,
      [Job.ciphertextAt]: keysAt
    }),
    openRequest: jobOf({
      ...common,
      [Job.flags]: CHAINED,
      [Job.keyAt]: 32,
      [Job.plaintextAt]: requestAt + 16,
      [Job.plaintextLength]: 20,
      [Job.ciphertextAt]: requestAt
    }),
    sealReply: jobOf({
      ...common,
      [Job.flags]: SEAL + CHAINED,
      [Job.keyAt]: 64,
      [Job.plaintextAt]: replyAt + 16,
      [Job.plaintextLength]: 30,
      [Job.ciphertextAt]: replyAt
    })
  }
}
