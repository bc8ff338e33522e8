import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { memoryKeyStore, type WrappedKey } from "../src/key-store.ts"
import { openKey, sealKey } from "../src/sealing.ts"
import { sqliteKeyStore } from "../src/key-store-sqlite.ts"
import { filesHolding, keyStoreContract, recover } from "./key-store-contract.ts"

const directories: Array<string> = []
const fresh = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "meridian-shelf-"))
  directories.push(directory)
  return directory
}
afterAll(() => directories.forEach((it) => rmSync(it, { recursive: true, force: true })))

describe("key store in memory", () => {
  keyStoreContract(async () => ({ store: memoryKeyStore(), directories: [], onDisk: false, close: async () => {} }))
})

describe("key store in SQLite", () => {
  keyStoreContract(async () => {
    const directory = fresh()
    const store = sqliteKeyStore(join(directory, "keys.db"))
    return { store, directories: [directory], onDisk: true, close: async () => store.close() }
  })

  it("is its owner's alone, survives being opened again, and may be read beside a writer", async () => {
    const file = join(fresh(), "keys.db")
    const store = sqliteKeyStore(file)
    const key = { under: "0123456789abcdef", box: new Uint8Array(72).fill(7) }
    await store.put("nts.1.a", key)
    const other = sqliteKeyStore(file)
    expect(await other.get("nts.1.a")).toEqual(key)
    other.close()
    store.close()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const again = sqliteKeyStore(file)
    expect(await again.get("nts.1.a")).toEqual(key)
    again.close()
  })

  it("forgets through hundreds of changes that move cells and pages about", async () => {
    const directory = fresh()
    const store = sqliteKeyStore(join(directory, "keys.db"))
    const box = (): WrappedKey => ({ under: "0123456789abcdef", box: new Uint8Array(randomBytes(72)) })
    const held = new Map<string, WrappedKey>()
    const shredded: Array<WrappedKey> = []
    for (let round = 0; round < 150; round++) {
      const slot = `nts.${round}.${randomBytes(4).toString("hex")}`
      const key = box()
      await store.put(slot, key)
      held.set(slot, key)
      const victim = [...held.keys()][Math.floor(held.size / 2)] as string
      if (round % 3 !== 0) {
        shredded.push(held.get(victim) as WrappedKey)
        held.delete(victim)
        await store.shred(victim)
      }
    }
    expect(shredded.filter((it) => filesHolding([directory], it.box).length > 0)).toHaveLength(0)
    for (const [slot, key] of held) expect(await store.get(slot)).toEqual(key)
    store.close()
    expect(shredded.filter((it) => filesHolding([directory], it.box).length > 0)).toHaveLength(0)
  })

  it("gives a key to an attacker who holds everything before it is shredded, and none after", async () => {
    const directory = fresh()
    const store = sqliteKeyStore(join(directory, "keys.db"))
    const [clusterKey, secret] = [randomBytes(32), randomBytes(32)]
    const place = { subject: "keys.nts", generation: 1, purpose: "nts-cookie" }
    const { sealed, wrapped } = sealKey(clusterKey, place, "nts.1.a", secret)
    await store.put("nts.1.a", wrapped)
    const attack = (): Uint8Array | undefined =>
      recover(clusterKey, sealed, place, wrapped.under, wrapped.box.length, [directory])
    expect(attack()).toEqual(new Uint8Array(secret))
    await store.shred("nts.1.a")
    expect(attack()).toBeUndefined()
    store.close()
    expect(attack()).toBeUndefined()
    expect(() => openKey(clusterKey, place, sealed, { ...wrapped, box: randomBytes(72) })).toThrow("does not open")
  })

  it("refuses a file that is no key store", () => {
    const file = join(fresh(), "keys.db")
    writeFileSync(file, "no database ".repeat(200))
    expect(() => sqliteKeyStore(file)).toThrow("the key store is unavailable")
  })
})
