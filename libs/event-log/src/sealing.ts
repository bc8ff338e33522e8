/**
 * Sealing of keys, XChaCha20-Poly1305 throughout, in two layers: a key is sealed under a random data key of its own, and
 * that goes into an event; the data key is wrapped under the cluster key, and that goes into the key store. Each layer is
 * bound to its place by associated data, so that a box moved elsewhere does not open.
 */
import * as Data from "effect/Data"
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js"
import { createHmac, randomBytes } from "node:crypto"
import { type AnyEvent, NTS_KEYS_SUBJECT, type SealedKey, SYMMETRIC_KEYS_SUBJECT } from "@meridian/events"
import type { Inspect } from "./commit.ts"
import type { WrappedKey } from "./key-store.ts"

export const CLUSTER_KEY_BYTES = 32
const DATA_KEY_BYTES = 32
const NONCE_BYTES = 24
const TAG_BYTES = 16

/** Where a sealed key belongs. */
export interface KeyPlace {
  readonly subject: string
  /** Generation, or number of the set. */
  readonly generation: number
  /** What the key is for. */
  readonly purpose: string
}

/** The place of an NTS master key. */
export const ntsKeyPlace = (generation: number): KeyPlace => ({
  subject: NTS_KEYS_SUBJECT,
  generation,
  purpose: "nts-cookie"
})

/** The place of a symmetric key. */
export const symmetricKeyPlace = (set: number, keyId: number, type: string): KeyPlace => ({
  subject: SYMMETRIC_KEYS_SUBJECT,
  generation: set,
  purpose: `symmetric:${keyId}:${type}`
})

/** The key store's key is wrapped under another cluster key than the one at hand. */
export class WrongClusterKey extends Data.TaggedError("WrongClusterKey")<{
  readonly expected: string
  readonly found: string
}> {
  override get message(): string {
    return `the key is wrapped under cluster key ${this.expected}, this node has ${this.found}: give it the right one`
  }
}

/** A box that does not open: sealed for another place or under another key, or damaged. */
export class WronglySealed extends Data.TaggedError("WronglySealed")<{ readonly what: string }> {
  override get message(): string {
    return `${this.what} does not open: it was sealed for another place or under another key, or is damaged`
  }
}

/** 16 hexadecimal digits that tell one cluster key from another; nothing of the key can be learned from them. */
export const fingerprint = (clusterKey: Uint8Array): string =>
  createHmac("sha256", clusterKey).update("meridian cluster key fingerprint 1").digest("hex").slice(0, 16)

/**
 * Seals a freshly minted key: `sealed` for the event, `wrapped` for the key store, where it must lie before the event is
 * appended. `slot` must never have been used.
 */
export const sealKey = (
  clusterKey: Uint8Array,
  place: KeyPlace,
  slot: string,
  key: Uint8Array
): { readonly sealed: SealedKey; readonly wrapped: WrappedKey } => {
  const dataKey = randomBytes(DATA_KEY_BYTES)
  try {
    const box = Buffer.from(seal(dataKey, placeText(place, slot), key)).toString("base64")
    return { sealed: { slot, box }, wrapped: wrap(clusterKey, slot, dataKey) }
  } finally {
    dataKey.fill(0)
  }
}

/** The key of an event, with its data key from the key store. Throws WrongClusterKey or WronglySealed. */
export const openKey = (
  clusterKey: Uint8Array,
  place: KeyPlace,
  { slot, box }: SealedKey,
  wrapped: WrappedKey
): Uint8Array => {
  const dataKey = unwrap(clusterKey, slot, wrapped)
  try {
    return unseal(
      dataKey,
      placeText(place, slot),
      Buffer.from(box, "base64"),
      `the key of ${place.subject} ${place.generation}`
    )
  } finally {
    dataKey.fill(0)
  }
}

/** A key store's key wrapped anew under another cluster key. Throws WrongClusterKey or WronglySealed. */
export const rewrapKey = (from: Uint8Array, to: Uint8Array, slot: string, wrapped: WrappedKey): WrappedKey => {
  const dataKey = unwrap(from, slot, wrapped)
  try {
    return wrap(to, slot, dataKey)
  } finally {
    dataKey.fill(0)
  }
}

/** The sealed keys of an event and their places. */
export const sealedKeysOf = (event: AnyEvent): ReadonlyArray<readonly [KeyPlace, SealedKey]> => {
  if (event.type === "NtsGenerationPublished") return [[ntsKeyPlace(event.data.generation), event.data.sealed]]
  if (event.type !== "SymmetricSetAnnounced") return []
  const { set, keys } = event.data
  return keys.map(({ keyId, type, sealed }) => [symmetricKeyPlace(set, keyId, type), sealed])
}

/**
 * Condemns events with a key that does not open where it stands. `lookUp` gives a slot's key as far as the caller has it
 * at hand; a slot it does not know says nothing, since the keys of old generations have been shredded.
 */
export const inspectSeals =
  (clusterKey: Uint8Array, lookUp: (slot: string) => WrappedKey | undefined): Inspect =>
  (event) => {
    for (const [place, sealed] of sealedKeysOf(event)) {
      const wrapped = lookUp(sealed.slot)
      if (wrapped === undefined) continue
      try {
        openKey(clusterKey, place, sealed, wrapped).fill(0)
      } catch (error) {
        return error instanceof Error ? error.message : "does not open"
      }
    }
    return undefined
  }

const wrap = (clusterKey: Uint8Array, slot: string, dataKey: Uint8Array): WrappedKey => ({
  under: fingerprint(clusterKey),
  box: seal(clusterKey, slotText(slot), dataKey)
})

const unwrap = (clusterKey: Uint8Array, slot: string, { under, box }: WrappedKey): Uint8Array => {
  const found = fingerprint(clusterKey)
  if (found !== under) throw new WrongClusterKey({ expected: under, found })
  return unseal(clusterKey, slotText(slot), box, `slot ${slot}`)
}

// None of the parts can hold a line feed, so no two places have the same text.
const slotText = (slot: string): Uint8Array => Buffer.from(`meridian key shelf 1\n${slot}`)
const placeText = ({ subject, generation, purpose }: KeyPlace, slot: string): Uint8Array =>
  Buffer.from(`meridian sealed key 1\n${subject}\n${generation}\n${purpose}\n${slot}`)

const seal = (key: Uint8Array, associated: Uint8Array, text: Uint8Array): Uint8Array => {
  const nonce = randomBytes(NONCE_BYTES)
  return new Uint8Array(Buffer.concat([nonce, xchacha20poly1305(key, nonce, associated).encrypt(text)]))
}

const unseal = (key: Uint8Array, associated: Uint8Array, box: Uint8Array, what: string): Uint8Array => {
  if (box.length < NONCE_BYTES + TAG_BYTES) throw new WronglySealed({ what })
  try {
    return xchacha20poly1305(key, box.subarray(0, NONCE_BYTES), associated).decrypt(box.subarray(NONCE_BYTES))
  } catch {
    throw new WronglySealed({ what })
  }
}
