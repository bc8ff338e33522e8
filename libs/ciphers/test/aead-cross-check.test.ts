/** Random texts, the same through every implementation. One seed a run, named in a failure, replays it. */
import { type Aead, AeadId } from "@meridian/auth/aead"
import { nobleAeads } from "@meridian/auth/aead-noble"
import { aeadProvider } from "@meridian/ciphers/aead"
import { nodeAeads } from "../src/aead-node.ts"
import { describe, expect, it } from "vitest"

const TEXTS_PER_AEAD = 25_000
const LONGEST = 512
/** The reference takes most of the time, so it does one text in this many. */
const TEXTS_PER_REFERENCE = 5

/** xorshift32. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** Mostly the lengths of packets, sometimes up to {@link LONGEST}. */
const lengthFrom = (random: () => number): number => random() % (random() % 8 === 0 ? LONGEST + 1 : 97)

describe("100,000 random texts", () => {
  it.each(Object.values(AeadId))("AEAD %i: native and node:crypto agree, and noble on a fifth of them", (id) => {
    const seed = Date.now() >>> 0
    const random = randomFrom(seed)
    const [native, node, reference] = [aeadProvider().aeads, nodeAeads(), nobleAeads].map((aeads) => aeads.get(id))
    if (native === undefined || node === undefined || reference === undefined) throw new Error(`no AEAD ${id}`)
    const failures: string[] = []
    let checks = 0
    const pool = new Uint8Array(8192)
    for (let at = 0; at < pool.length; at += 1) pool[at] = random()
    const take = (length: number): Uint8Array => {
      const at = random() % (pool.length - length)
      return pool.subarray(at, at + length)
    }
    for (let text = 0; text < TEXTS_PER_AEAD; text += 1) {
      const key = take(native.keyBytes)
      const nonce = take(native.tagFirst ? 1 + (random() % 40) : native.nonceBytes)
      const ad = take(lengthFrom(random))
      const plaintext = take(lengthFrom(random))
      const check = (what: string, holds: boolean): void => {
        checks += 1
        if (!holds && failures.length < 5) failures.push(`${what}: not with seed ${seed}, text ${text}`)
      }
      const sealWith = (aead: Aead): Buffer => {
        const out = Buffer.alloc(plaintext.length + aead.tagBytes)
        aead.seal(key, nonce, ad, plaintext, out)
        return out
      }
      const sealed = sealWith(native)
      const opened = Buffer.alloc(plaintext.length)
      check("node:crypto seals the same", sealed.equals(sealWith(node)))
      if (text % TEXTS_PER_REFERENCE === 0) check("noble seals the same", sealed.equals(sealWith(reference)))
      check("native opens its own", native.open(key, nonce, ad, sealed, opened))
      check("native opens to the same text", opened.equals(plaintext))
      const at = random() % sealed.length
      sealed[at] = (sealed[at] ?? 0) ^ (1 << (random() % 8))
      check("native refuses a forged text", !native.open(key, nonce, ad, sealed, opened))
      check("native shows nothing of a forged text", opened.equals(Buffer.alloc(opened.length)))
      if (text % TEXTS_PER_REFERENCE === 0)
        check("node:crypto refuses a forged text", !node.open(key, nonce, ad, sealed, opened))
    }
    expect(checks).toBeGreaterThan(5 * TEXTS_PER_AEAD)
    expect(failures).toEqual([])
  })
})
