/**
 * Keys minted for commands that ask for them. A key that was minted for a number stays reserved for it until the log has
 * given that number out: an append that ended in doubt is repeated with the same key, and its slot is not shredded meanwhile.
 */
import { randomFillSync } from "node:crypto"
import { printableKey } from "@meridian/auth/keygen"
import * as Effect from "effect/Effect"
import { type KeyStoreUnavailable, type SlotTaken, ntsKeyPlace, symmetricKeyPlace } from "@meridian/event-log"
import { MASTER_KEY_BYTES } from "@meridian/auth/key-ring"
import { MAXIMUM_KEY_ID } from "@meridian/auth/key-table"
import type { NtsKeysState, EarlierGeneration, SuppliedKey, SuppliedSet } from "@meridian/events"
import type { ClusterFold } from "./cluster-fold.ts"
import type { CookieKeys } from "./cookie-key-file.ts"
import type { KeyManager, KeyUnopened } from "./key-manager.ts"

type MintError = KeyUnopened | KeyStoreUnavailable | SlotTaken

/** AES-128-CMAC (RFC 8573): what ntpd, NTPsec and chrony all know. */
const SYMMETRIC_TYPE = "AES-128"
const SYMMETRIC_BYTES = 16
/** Key ids begin here, clear of those that operators give by hand. */
const FIRST_KEY_ID = 10_001

/** The key id of a set; it comes back only after tens of thousands of sets. */
const keyIdOf = (set: number): number => FIRST_KEY_ID + ((set - 1) % (MAXIMUM_KEY_ID - FIRST_KEY_ID + 1))

export class Mint {
  readonly #keyManager: KeyManager
  readonly #generations = new Map<number, SuppliedKey>()
  readonly #sets = new Map<number, SuppliedSet>()
  /** Keys of an earlier log, for a log that has none. */
  #earlier: CookieKeys = { since: 0, keys: [] }

  constructor(keyManager: KeyManager) {
    this.#keyManager = keyManager
  }

  /** Another leader may have shredded what was reserved under an earlier term. */
  forget(): void {
    this.#generations.clear()
    this.#sets.clear()
  }

  /** Keys to go on from where the log has never had any. */
  inherit(keys: CookieKeys): void {
    this.#earlier = keys
  }

  /** The generations to go on from, none in a log that has its own. Only the newest one's time is known. */
  earlier({ next }: NtsKeysState, rotationMs: number): ReadonlyArray<EarlierGeneration> {
    const { since, keys } = this.#earlier
    if (next > 1) {
      for (const { key } of keys) key.fill(0)
      this.#earlier = { since: 0, keys: [] }
    }
    return this.#earlier.keys.map(({ generation }, index) => ({ generation, activation: since - index * rotationMs }))
  }

  /** Slots of keys that wait for their number to be given out. */
  reserved({ nts, symmetric }: ClusterFold): ReadonlyArray<string> {
    for (const generation of this.#generations.keys()) if (generation < nts.next) this.#generations.delete(generation)
    for (const set of this.#sets.keys()) if (set < symmetric.next) this.#sets.delete(set)
    return [
      ...[...this.#generations.values()].map(({ sealed }) => sealed.slot),
      ...[...this.#sets.values()].flatMap(({ keys }) => keys.map(({ sealed }) => sealed.slot))
    ]
  }

  /** `under`: fingerprint of the cluster key to wrap under. */
  generations(numbers: ReadonlyArray<number>, under: string): Effect.Effect<ReadonlyArray<SuppliedKey>, MintError> {
    return Effect.forEach(numbers, (generation) => this.#generation(generation, under))
  }

  set(set: number, under: string): Effect.Effect<SuppliedSet, MintError> {
    return Effect.gen({ self: this }, function* () {
      const known = this.#sets.get(set)
      if (known !== undefined) return known
      const key = { keyId: keyIdOf(set), type: SYMMETRIC_TYPE }
      const sealed = yield* this.#keyManager.mint(
        symmetricKeyPlace(set, key.keyId, key.type),
        SYMMETRIC_BYTES,
        under,
        "symmetric",
        // The one file of keys then serves ntpd and chronyd: only text is a key to both under some type word.
        printableKey(randomFillSync)
      )
      const supply: SuppliedSet = { set, keys: [{ ...key, sealed }] }
      this.#sets.set(set, supply)
      return supply
    })
  }

  #generation(generation: number, under: string): Effect.Effect<SuppliedKey, MintError> {
    return Effect.gen({ self: this }, function* () {
      const known = this.#generations.get(generation)
      if (known !== undefined) return known
      const given = this.#earlier.keys.find((it) => it.generation === generation)?.key
      const sealed = yield* this.#keyManager.mint(ntsKeyPlace(generation), MASTER_KEY_BYTES, under, "nts", given)
      const supply = { generation, sealed }
      this.#generations.set(generation, supply)
      return supply
    })
  }
}
