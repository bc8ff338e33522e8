/** MACs by the list in C against the reference over node:crypto and @noble/ciphers. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { SymmetricKey } from "@meridian/auth/key-table"
import { type MacAlgorithmName, macAlgorithmNames, macAlgorithms } from "@meridian/auth/mac-algorithms"
import { MAC_JOB_STRIDE, MAC_SEAL, macBatchOver, MacJob } from "@meridian/auth/mac-batch"
import { nodeDigests } from "../src/digests.ts"
import { installedMacs, type MacBinding, MacJobError, nativeMacs } from "../src/macs-native.ts"
import { loadNative, type NativeAddon } from "@meridian/system/native"
import { systemClock } from "@meridian/clocks/system-clock"
import { movedOn } from "./moved-stamp.ts"

const addon = loadNative().addon as (NativeAddon & MacBinding & { readonly aeadEngine?: string }) | undefined
const digests = nodeDigests(nobleCmac)
const STANDING = () => 0

const keyOf = (name: MacAlgorithmName, length: number, seed: number, id = 1): SymmetricKey => {
  const size = macAlgorithms[name].keyBytes ?? length
  return new SymmetricKey(
    id,
    macAlgorithms[name],
    Uint8Array.from({ length: size }, (_, at) => (at * 59 + seed) >>> 1)
  )
}

/** One job; positions that are not named are 0. */
const jobOf = (fields: Record<number, number>): number[] =>
  Array.from({ length: MAC_JOB_STRIDE }, (_, position) => fields[position] ?? 0)

const SLOT = 704
const NO_FLIP = 1 << 20

/** What one slot of a random batch is asked. */
interface Ask {
  readonly key: number
  readonly length: number
  readonly before: number
  readonly cut: number
  /** Which bit of the message is flipped between sealing and verifying; none where it is past its end. */
  readonly flip: number
}

describe.runIf(addon?.aeadEngine !== undefined)("MACs by the list in C", () => {
  const native = () => nativeMacs(addon!)
  const names = macAlgorithmNames.filter(digests.supports)

  /** Seals every slot, flips bits, and verifies; the buffer after each and every status. */
  const sealAndVerify = (batch: ReturnType<typeof native>, keys: readonly SymmetricKey[], asks: readonly Ask[]) => {
    batch.useKeys(keys)
    const packets = Uint8Array.from({ length: asks.length * SLOT }, (_, at) => (at * 167) >>> 3)
    const jobs = Int32Array.from(
      asks.flatMap(({ key, length, before, cut }, slot) => {
        const { digestBytes } = keys[key]!.algorithm
        const messageAt = slot * SLOT + before
        return jobOf({
          [MacJob.flags]: MAC_SEAL,
          [MacJob.key]: key,
          [MacJob.messageAt]: messageAt,
          [MacJob.messageLength]: length,
          [MacJob.digestAt]: messageAt + length,
          [MacJob.digestLength]: 1 + (cut % digestBytes)
        })
      })
    )
    batch.run(jobs, asks.length, packets, 0)
    const sealed = packets.slice()
    asks.forEach(({ length, before, flip }, slot) => {
      const at = slot * SLOT + before + (flip >> 3)
      if (flip >> 3 < length) packets[at] = packets[at]! ^ (1 << (flip & 7))
      jobs[slot * MAC_JOB_STRIDE + MacJob.flags] = 0
    })
    batch.run(jobs, asks.length, packets, 0)
    const status = asks.map((_, slot) => jobs[slot * MAC_JOB_STRIDE + MacJob.status])
    return { sealed, packets, status }
  }

  it("do over any list what the reference does, and write nothing beside it", () => {
    const ask = fc.record({
      key: fc.nat(255),
      length: fc.oneof(fc.constant(48), fc.nat(600)),
      before: fc.nat(30),
      cut: fc.nat(255),
      flip: fc.oneof(fc.constant(NO_FLIP), fc.nat(5_000))
    })
    const key = fc.record({ name: fc.constantFrom(...names), length: fc.integer({ min: 1, max: 32 }), seed: fc.nat() })
    const batch = native()
    fc.assert(
      fc.property(
        fc.array(key, { minLength: 1, maxLength: 20 }),
        fc.array(ask, { minLength: 1, maxLength: 64 }),
        (made, asked) => {
          const keys = made.map(({ name, length, seed }, at) => keyOf(name, length, seed, at + 1))
          const asks = asked.map((each) => ({ ...each, key: each.key % keys.length }))
          const found = sealAndVerify(batch, keys, asks)
          expect(found).toEqual(sealAndVerify(macBatchOver(digests, STANDING), keys, asks))
        }
      ),
      { numRuns: 300 }
    )
  })

  it.each([1, 3, 8, 9])("MD5 of %i packets side by side is node:crypto's at every length", (count) => {
    const batch = native()
    for (const keyLength of [7, 32]) {
      const keys = Array.from({ length: count }, (_, at) => keyOf("MD5", keyLength, at, at + 1))
      for (let length = 0; length <= 230; length += 1) {
        // Neighbours have other lengths, and so end in other blocks.
        const asks = keys.map((_, at) => ({
          key: at,
          length: (length + at * 37) % 231,
          before: at,
          cut: 15,
          flip: NO_FLIP
        }))
        const found = sealAndVerify(batch, keys, asks)
        expect(found).toEqual(sealAndVerify(macBatchOver(digests, STANDING), keys, asks))
      }
    }
  })

  it("refuse any bit of a digest flipped", () => {
    const batch = native()
    for (const name of ["MD5", "SHA1", "AES-128"] as const) {
      const { digestBytes } = macAlgorithms[name]
      const bits = 8 * digestBytes
      const packets = new Uint8Array(bits * 96)
      batch.useKeys([keyOf(name, 20, 5)])
      const jobs = Int32Array.from({ length: bits * MAC_JOB_STRIDE }, () => 0)
      for (let bit = 0; bit < bits; bit += 1)
        jobs.set(jobOf({ 0: MAC_SEAL, 2: bit * 96, 3: 48, 4: bit * 96 + 52, 5: digestBytes }), bit * MAC_JOB_STRIDE)
      batch.run(jobs, bits, packets, 0)
      for (let bit = 0; bit < bits; bit += 1) {
        const at = bit * 96 + 52 + (bit >> 3)
        packets[at] = packets[at]! ^ (1 << (bit & 7))
        jobs[bit * MAC_JOB_STRIDE] = 0
      }
      batch.run(jobs, bits, packets, 0)
      const statuses = Array.from({ length: bits }, (_, bit) => jobs[bit * MAC_JOB_STRIDE + MacJob.status])
      expect(statuses).toEqual(statuses.map(() => 0))
    }
  })

  const STAMP = 0xe4f0_0000_0000_0001n
  const sealOne = (stampedAt: number, stamp = STAMP) => {
    const batch = native()
    const key = keyOf("MD5", 20, 1)
    batch.useKeys([key])
    const packets = new Uint8Array(100)
    const view = new DataView(packets.buffer)
    view.setBigUint64(56, stamp)
    const job = { 0: MAC_SEAL, 2: 16, 3: 48, 4: 68, 5: 16, [MacJob.stampAt]: 56 }
    batch.run(Int32Array.from(jobOf(job)), 1, packets, stampedAt)
    const digest = new Uint8Array(64)
    digests.digest("MD5", key.secret, packets, 16, 48, digest)
    expect(packets.subarray(68, 84)).toEqual(digest.subarray(0, 16))
    return Number(view.getBigUint64(56) - stamp) / 2 ** 32
  }

  it("move a stamp on by what CLOCK_MONOTONIC went since it was made, before its MAC is computed", () => {
    const { moved, least, most } = movedOn(sealOne)
    expect(moved).toBeGreaterThanOrEqual(least)
    expect(moved).toBeLessThanOrEqual(most)
  })

  it("leave a stamp that stands for no time or is not of the last second", () => {
    const now = systemClock().monotonic.seconds()
    expect(sealOne(now - 0.25, 0n)).toBe(0)
    for (const stampedAt of [now + 1_000, now - 1_000, Number.NaN, -Infinity, Infinity])
      expect(sealOne(stampedAt)).toBe(0)
  })

  const good = {
    [MacJob.flags]: MAC_SEAL,
    [MacJob.messageLength]: 48,
    [MacJob.digestAt]: 52,
    [MacJob.digestLength]: 16
  }
  it.each<readonly [string, Record<number, number>]>([
    ["a key past the last", { [MacJob.key]: 1 }],
    ["a key before the first", { [MacJob.key]: -1 }],
    ["a message before the start", { [MacJob.messageAt]: -1 }],
    ["a message past the end", { [MacJob.messageAt]: 53 }],
    ["a message whose end wraps 32 bits", { [MacJob.messageAt]: 0x7fffffff, [MacJob.messageLength]: 0x7fffffff }],
    ["a message of negative length", { [MacJob.messageLength]: -1 }],
    ["a digest past the end", { [MacJob.digestAt]: 85 }],
    ["a digest longer than its algorithm's", { [MacJob.digestLength]: 17 }],
    ["an empty digest", { [MacJob.digestLength]: 0 }],
    ["a digest of negative length", { [MacJob.digestLength]: -1 }],
    ["a stamp past the end", { [MacJob.stampAt]: 93 }],
    ["a stamp before the start", { [MacJob.stampAt]: -8 }]
  ])("refuse a list with %s whole: a typed error names the job, and no byte has changed", (_what, wrong) => {
    const batch = native()
    batch.useKeys([keyOf("MD5", 20, 1)])
    const packets = new Uint8Array(100).fill(7)
    const jobs = Int32Array.from([...jobOf(good), ...jobOf({ ...good, ...wrong })])
    const refused = (): void => batch.run(jobs, 2, packets, 0)
    expect(refused).toThrow(MacJobError)
    expect(refused).toThrow(expect.objectContaining({ _tag: "MacJobError", job: 1 }))
    expect(packets).toEqual(new Uint8Array(100).fill(7))
    batch.run(jobs, 1, packets, 0)
    expect(jobs[MacJob.status]).toBe(1)
  })

  it("refuse counts that the list does not have, and values that are no buffers", () => {
    const batch = native()
    const jobs = new Int32Array(MAC_JOB_STRIDE)
    expect(() => batch.run(jobs, 2, new Uint8Array(100), 0)).toThrow(MacJobError)
    expect(() => batch.run(jobs, -1, new Uint8Array(100), 0)).toThrow(MacJobError)
    expect(() => batch.run(jobs, 0, new Float64Array(8) as never, 0)).toThrow(TypeError)
    expect(() => batch.run(jobs, 0, undefined as never, 0)).toThrow(TypeError)
    batch.run(jobs, 0, new Uint8Array(0), 0)
  })

  it("know only the keys that were taken over last, however many, and none after a wrong one", () => {
    const batch = native()
    const jobs = (key: number) => Int32Array.from(jobOf({ ...good, [MacJob.key]: key }))
    const digestOf = (key: number) => {
      const packets = new Uint8Array(100)
      batch.run(jobs(key), 1, packets, 0)
      return packets.slice(52, 68)
    }
    const many = Array.from({ length: 500 }, (_, at) => keyOf(at % 2 === 0 ? "MD5" : "AES-256", 16, at, at + 1))
    batch.useKeys(many)
    const last = digestOf(499)
    const out = new Uint8Array(64)
    digests.digest("AES-256", many[499]!.secret, new Uint8Array(48), 0, 48, out)
    expect(last).toEqual(out.slice(0, 16))
    batch.useKeys([many[499]!])
    expect(digestOf(0)).toEqual(last)
    expect(() => digestOf(1)).toThrow(MacJobError)
    const foreign = { id: 1, algorithm: macAlgorithms.MD5, secret: new Uint8Array(33) } as never
    expect(() => batch.useKeys([many[1]!, foreign])).toThrow(RangeError)
    expect(() => digestOf(0)).toThrow(MacJobError)
  })

  it("are of the algorithms that node:crypto has", () => {
    const { supports } = native()
    expect(macAlgorithmNames.filter((name) => supports(name) !== digests.supports(name))).toEqual([])
  })

  it("are what this installation uses", () => {
    expect(installedMacs().kind).toBe("native")
    expect(installedMacs().supports("MD5")).toBe(true)
  })
})
