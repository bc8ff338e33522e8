/** What every key store does, and the attempt to get a shredded key back from all that is left. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import type { SealedKey } from "@meridian/events"
import { overSlots, type SlotStore, type WrappedKey } from "../src/key-store.ts"
import { type KeyPlace, openKey, rewrapKey, sealKey, WrongClusterKey } from "../src/sealing.ts"

interface KeyStoreFixture {
  readonly store: SlotStore
  /** Where its bytes might lie. */
  readonly directories: ReadonlyArray<string>
  /** Whether live keys are on disk, so that a search that finds none of them is a search that does not work. */
  readonly onDisk: boolean
  readonly close: () => Promise<void>
}

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

const place = (generation: number): KeyPlace => ({ subject: "keys.nts", generation, purpose: "nts-cookie" })

const key = (under: string, byte: number): WrappedKey => ({
  under: under.padEnd(16, "0"),
  box: new Uint8Array(72).fill(byte)
})

/** Every file below some directories, as one buffer each. */
export const filesBelow = (
  directories: ReadonlyArray<string>
): ReadonlyArray<{ readonly path: string; readonly bytes: Buffer }> =>
  directories.flatMap((directory) =>
    readdirSync(directory, { recursive: true, encoding: "utf8" })
      .map((name) => join(directory, name))
      .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
      .map((path) => ({ path, bytes: readFileSync(path) }))
  )

/** Files in which a box, or any 16 bytes of its ciphertext, can still be found, raw or as text. */
export const filesHolding = (directories: ReadonlyArray<string>, box: Uint8Array): ReadonlyArray<string> => {
  const pieces = [24, 40].map((at) => Buffer.from(box.subarray(at, at + 16)))
  const forms = pieces.flatMap((it) => [
    it,
    Buffer.from(it.toString("hex")),
    Buffer.from(it.subarray(0, 15).toString("base64"))
  ])
  return filesBelow(directories)
    .filter(({ bytes }) => forms.some((form) => bytes.includes(form)))
    .map(({ path }) => path)
}

/** Tries every stretch of every file as the wrapped data key of a sealed key. Returns the key if one opens it. */
export const recover = (
  clusterKey: Uint8Array,
  sealed: SealedKey,
  at: KeyPlace,
  under: string,
  length: number,
  directories: ReadonlyArray<string>
): Uint8Array | undefined => {
  for (const { bytes } of filesBelow(directories)) {
    if (bytes.every((it) => it === 0)) continue
    for (let offset = 0; offset + length <= bytes.length && offset < 200_000; offset++) {
      if (bytes[offset] === 0 && bytes[offset + 8] === 0) continue
      try {
        return openKey(clusterKey, at, sealed, { under, box: bytes.subarray(offset, offset + length) })
      } catch (error) {
        if (error instanceof WrongClusterKey) throw error
      }
    }
  }
  return undefined
}

export const keyStoreContract = (open: () => Promise<KeyStoreFixture>): void => {
  const withKeyStore = async (
    body: (keyStore: ReturnType<typeof overSlots>, fixture: KeyStoreFixture) => Promise<void>
  ): Promise<void> => {
    const fixture = await open()
    try {
      await body(overSlots(fixture.store), fixture)
    } finally {
      await fixture.close()
    }
  }

  it("keeps a key until it is shredded, and a slot for one key alone", () =>
    withKeyStore(async (keyStore) => {
      expect(await run(keyStore.get("nts.1.a"))).toBeUndefined()
      await run(keyStore.put("nts.1.a", key("c1", 1)))
      await run(keyStore.put("nts.1.a", key("c1", 1)))
      const taken = await run(Effect.result(keyStore.put("nts.1.a", key("c1", 2))))
      expect(Result.isFailure(taken) && taken.failure._tag).toBe("SlotTaken")
      await run(keyStore.put("nts.2.b", key("c1", 3)))
      expect(await run(keyStore.get("nts.1.a"))).toEqual(key("c1", 1))
      const under = "c1".padEnd(16, "0")
      expect((await run(keyStore.list)).toSorted((a, b) => (a.slot < b.slot ? -1 : 1))).toEqual([
        { slot: "nts.1.a", under },
        { slot: "nts.2.b", under }
      ])
      await run(keyStore.shred("nts.1.a"))
      await run(keyStore.shred("nts.1.a"))
      expect(await run(keyStore.get("nts.1.a"))).toBeUndefined()
      expect(await run(keyStore.list)).toEqual([{ slot: "nts.2.b", under }])
      await run(keyStore.shred("nts.2.b"))
    }))

  it("wraps a key anew only from the key it is wrapped under", () =>
    withKeyStore(async (keyStore) => {
      await run(keyStore.put("nts.3.a", key("c1", 1)))
      expect(await run(keyStore.rewrap("nts.3.a", key("c9", 0).under, key("c2", 2)))).toBe(false)
      expect(await run(keyStore.rewrap("nts.3.a", key("c1", 0).under, key("c2", 2)))).toBe(true)
      expect(await run(keyStore.get("nts.3.a"))).toEqual(key("c2", 2))
      expect(await run(keyStore.rewrap("nts.4.x", key("c1", 0).under, key("c2", 2)))).toBe(false)
      await run(keyStore.shred("nts.3.a"))
    }))

  it("refuses names and sizes that are not a slot's", () =>
    withKeyStore(async (keyStore) => {
      for (const slot of ["", "nts", "nts.1", "../x", "nts.1.A", "nts.>.a"])
        expect(Result.isFailure(await run(Effect.result(keyStore.put(slot, key("c1", 1)))))).toBe(true)
      const long = { under: key("c1", 0).under, box: new Uint8Array(300) }
      expect(Result.isFailure(await run(Effect.result(keyStore.put("nts.5.a", long))))).toBe(true)
      expect(Result.isFailure(await run(Effect.result(keyStore.put("nts.5.a", { ...key("c1", 1), under: "x" }))))).toBe(
        true
      )
    }))

  it("leaves nothing of a shredded key to whoever holds the log, the store's files and the cluster key", () =>
    withKeyStore(async (keyStore, { directories, onDisk }) => {
      const [oldKey, clusterKey] = [randomBytes(32), randomBytes(32)]
      const minted = Array.from({ length: 12 }, (_, index) => {
        const secret = randomBytes(32)
        const slot = `nts.${index + 1}.s${index}`
        return { secret, slot, generation: index + 1, ...sealKey(oldKey, place(index + 1), slot, secret) }
      })
      for (const { slot, wrapped } of minted) await run(keyStore.put(slot, wrapped))
      const rewrapped = new Map<string, WrappedKey>()
      for (const { slot, wrapped } of minted) {
        const fresh = rewrapKey(oldKey, clusterKey, slot, wrapped)
        rewrapped.set(slot, fresh)
        await run(keyStore.rewrap(slot, wrapped.under, fresh))
      }
      const [gone, kept] = [minted.filter((_, index) => index % 3 !== 0), minted.filter((_, index) => index % 3 === 0)]
      const live = rewrapped.get(kept[0]?.slot ?? "") as WrappedKey
      // The search must be able to find what is there, or finding nothing would mean nothing.
      expect(filesHolding(directories, live.box).length > 0).toBe(onDisk)
      for (const { slot } of gone) await run(keyStore.shred(slot))

      for (const { slot, sealed, generation, secret } of kept) {
        const wrapped = await run(keyStore.get(slot))
        expect(openKey(clusterKey, place(generation), sealed, wrapped as WrappedKey)).toEqual(new Uint8Array(secret))
      }
      for (const { slot, wrapped } of minted) expect([slot, filesHolding(directories, wrapped.box)]).toEqual([slot, []])
      for (const { slot } of gone) {
        expect(await run(keyStore.get(slot))).toBeUndefined()
        expect(filesHolding(directories, (rewrapped.get(slot) as WrappedKey).box)).toEqual([])
      }
      for (const { slot } of kept) await run(keyStore.shred(slot))
    }))
}
