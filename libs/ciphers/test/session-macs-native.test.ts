/** Session-keyed MACs by the list in C against the reference over node:crypto, and against a recording's arithmetic. */
import { createHash } from "node:crypto"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import {
  SESSION_ADDRESS_STRIDE,
  SESSION_IPV6,
  SESSION_JOB_STATUS,
  SESSION_JOB_STRIDE,
  SESSION_SEAL,
  type SessionBatch,
  sessionBatchOver
} from "@meridian/auth/autokey/session-batch"
import { loadNative, type NativeAddon } from "@meridian/system/native"
import { nodeDigests } from "../src/digests.ts"
import { nativeSessionMacs, SessionJobError, type SessionMacBinding } from "../src/session-macs-native.ts"

const addon = loadNative().addon as (NativeAddon & SessionMacBinding) | undefined
const digests = nodeDigests(nobleCmac)
const STANDING = () => 0
const SLOT = 96
const NAMES = ["MD5", "SHA1", "SHA256", "SHA512"] as const
const PREVIOUS = 0x01020304
const CURRENT = 0xfffffffe

interface Ask {
  readonly isIPv6: boolean
  readonly secret: number
  /** Which bit of the packet is flipped between sealing and verifying; none where it is past its end. */
  readonly flip: number
}

/** Seals every slot's packet as a server would, turns it into the client's, flips bits and verifies: all bytes and jobs. */
const exercise = (batch: SessionBatch, asks: readonly Ask[], seed: Uint8Array) => {
  const packets = new Uint8Array(asks.length * SLOT).map((_, at) => seed[at % seed.length]! ^ at)
  const addresses = new Uint8Array(asks.length * 2 * SESSION_ADDRESS_STRIDE).map((_, at) => (at * 7) & 0xff)
  // Verified from the other side: the server's address is the source then.
  const turned = new Uint8Array(addresses.length)
  for (let at = 0; at < addresses.length; at += 2 * SESSION_ADDRESS_STRIDE) {
    turned.set(addresses.subarray(at, at + SESSION_ADDRESS_STRIDE), at + SESSION_ADDRESS_STRIDE)
    turned.set(addresses.subarray(at + SESSION_ADDRESS_STRIDE, at + 2 * SESSION_ADDRESS_STRIDE), at)
  }
  const cookieOf = ({ isIPv6, secret }: Ask, slot: number): number => {
    const [client, server] = [0, SESSION_ADDRESS_STRIDE].map((from) => {
      const at = slot * 2 * SESSION_ADDRESS_STRIDE + from
      return turned.subarray(at, at + (isIPv6 ? 16 : 4))
    })
    const words = Buffer.alloc(8)
    words.writeUInt32BE(secret, 4)
    return createHash(hashName).update(client!).update(server!).update(words).digest().readInt32BE(0)
  }
  const jobs = (flags: number, cookies: boolean) =>
    Int32Array.from(
      asks.flatMap((ask, slot) => [
        flags | (ask.isIPv6 ? SESSION_IPV6 : 0),
        slot * 2 * SESSION_ADDRESS_STRIDE,
        slot * SLOT,
        cookies ? cookieOf(ask, slot) : 0,
        0
      ])
    )
  const sealing = jobs(SESSION_SEAL, true)
  batch.run(sealing, asks.length, packets, addresses, undefined, undefined, -Infinity)
  const sealed = packets.slice()
  for (const [slot, { flip }] of asks.entries())
    if (flip < 8 * (48 + batch.macBytes)) packets[slot * SLOT + (flip >> 3)]! ^= 1 << (flip & 7)
  const verifying = jobs(0, false)
  batch.run(verifying, asks.length, packets, turned, CURRENT, PREVIOUS, -Infinity)
  const statuses = asks.map((_, slot) => verifying[slot * SESSION_JOB_STRIDE + SESSION_JOB_STATUS])
  return { sealed, sealing, verifying, statuses, packets }
}
let hashName = "md5"

describe.runIf(addon !== undefined)("session-keyed MACs by the list in C", () => {
  it.each(NAMES)("are the reference's, under %s", (name) => {
    hashName = name.toLowerCase()
    const ask = fc.record({
      isIPv6: fc.boolean(),
      secret: fc.constantFrom(CURRENT, PREVIOUS, 7),
      flip: fc.integer({ min: 0, max: 8 * 100 })
    })
    const [native, reference] = [nativeSessionMacs(addon!, name), sessionBatchOver(digests, name, STANDING)]
    expect(native.macBytes).toBe(reference.macBytes)
    fc.assert(
      fc.property(fc.array(ask, { maxLength: 20 }), fc.uint8Array({ minLength: 1, maxLength: 64 }), (asks, seed) => {
        const found = exercise(native, asks, seed)
        expect(found).toEqual(exercise(reference, asks, seed))
        const isWhole = ({ flip }: Ask): boolean => flip >= 8 * (48 + native.macBytes)
        expect(found.statuses).toEqual(asks.map((each) => (isWhole(each) && each.secret !== 7 ? 1 : 0)))
      })
    )
  })

  it("refuses a list whole that leads out of a buffer", () => {
    const batch = nativeSessionMacs(addon!, "MD5")
    const packets = new Uint8Array(SLOT)
    const run = (job: readonly number[], count = 1, addresses = new Uint8Array(32)) =>
      batch.run(Int32Array.from([SESSION_SEAL, 0, 0, 0, 0, ...job]), count, packets, addresses, 1, undefined, 0)
    for (const [job, said] of [
      [[0, 1, 0, 0, 0], "session MAC job 1: the addresses lie outside their buffer"],
      [[0, -1, 0, 0, 0], "session MAC job 1: the addresses"],
      [[0, 0, 29, 0, 0], "session MAC job 1: the packet lies outside its buffer"],
      [[0, 0, -1, 0, 0], "session MAC job 1: the packet"]
    ] as const)
      expect(() => run(job, 2)).toThrow(said)
    expect(() => run([], 2)).toThrow(SessionJobError)
    expect(packets).toEqual(new Uint8Array(SLOT))
    expect(() => nativeSessionMacs(addon!, "AES-128" as never)).toThrow("digest")
  })
})
