/**
 * The key store: the small, mutable place outside the log whose destruction destroys keys. The log is kept for ever and
 * holds each key sealed under a data key of its own; the data key lies here in a slot, wrapped under the cluster key.
 * Shredding the slot leaves nothing that the log, the key store's files and the cluster key together could open.
 *
 * A slot is written once and never used again. The one change it knows is to be wrapped anew when the cluster key changes.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { isSlotName } from "@meridian/events"
import { messageOf } from "./event-log.ts"

/** A data key as it lies in the key store. */
export interface WrappedKey {
  /** Fingerprint of the cluster key it is wrapped under, 16 hexadecimal digits. */
  readonly under: string
  /** Nonce, ciphertext and tag. */
  readonly box: Uint8Array
}

const MAX_BOX_BYTES = 256

/** The slot holds another key. Slots are never used twice: choose a fresh name. */
export class SlotTaken extends Data.TaggedError("SlotTaken")<{ readonly slot: string }> {
  override get message(): string {
    return `slot ${this.slot} holds another key: choose a fresh name`
  }
}

export class KeyStoreUnavailable extends Data.TaggedError("KeyStoreUnavailable")<{
  readonly detail: string
  /** What is stored cannot be read as a key store any more: it is to be put aside, and the key store begun anew. */
  readonly damaged?: boolean
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the key store is unavailable: ${this.detail}`
  }
}

export class KeyStore extends Context.Service<
  KeyStore,
  {
    /** Lays a key in an empty slot. The same key again is no error. */
    readonly put: (slot: string, key: WrappedKey) => Effect.Effect<void, SlotTaken | KeyStoreUnavailable>
    /** Undefined where the slot is empty or shredded. */
    readonly get: (slot: string) => Effect.Effect<WrappedKey | undefined, KeyStoreUnavailable>
    /** Replaces a key that is wrapped under `from`, and destroys what it replaces. False where it no longer is. */
    readonly rewrap: (slot: string, from: string, key: WrappedKey) => Effect.Effect<boolean, KeyStoreUnavailable>
    /** Destroys the key. Succeeds on an empty slot, so that it can be repeated. */
    readonly shred: (slot: string) => Effect.Effect<void, KeyStoreUnavailable>
    /** The slots that hold keys, and under which cluster key. */
    readonly list: Effect.Effect<ReadonlyArray<{ readonly slot: string; readonly under: string }>, KeyStoreUnavailable>
    /** What an operator should know about how thoroughly this key store forgets. */
    readonly warnings: ReadonlyArray<string>
  }
>()("@meridian/event-log/KeyStore") {}

/** What an adapter provides; its promises reject with SlotTaken or anything else, which counts as unavailable. */
export interface SlotStore {
  readonly warnings: ReadonlyArray<string>
  readonly put: (slot: string, key: WrappedKey) => Promise<void>
  readonly get: (slot: string) => Promise<WrappedKey | undefined>
  readonly rewrap: (slot: string, from: string, key: WrappedKey) => Promise<boolean>
  readonly shred: (slot: string) => Promise<void>
  readonly list: () => Promise<ReadonlyArray<{ readonly slot: string; readonly under: string }>>
}

const FINGERPRINT = /^[0-9a-f]{16}$/

const unavailable = (cause: unknown): KeyStoreUnavailable =>
  cause instanceof KeyStoreUnavailable ? cause : new KeyStoreUnavailable({ detail: messageOf(cause), cause })

/** The port over an adapter. Names and sizes are checked here. */
export const overSlots = (store: SlotStore): KeyStore["Service"] => {
  const attempt = <A>(slot: string, run: () => Promise<A>): Effect.Effect<A, KeyStoreUnavailable> =>
    isSlotName(slot)
      ? Effect.tryPromise({ try: run, catch: unavailable })
      : Effect.fail(new KeyStoreUnavailable({ detail: "a slot is named like nts.12.k3v9x2" }))
  const fits = ({ under, box }: WrappedKey): boolean =>
    FINGERPRINT.test(under) && box.length > 0 && box.length <= MAX_BOX_BYTES
  const misfit = new KeyStoreUnavailable({
    detail: `a key has a fingerprint and a box of at most ${MAX_BOX_BYTES} bytes`
  })
  return {
    put: (slot, key) =>
      isSlotName(slot) && fits(key)
        ? Effect.tryPromise({
            try: () => store.put(slot, key),
            catch: (error) => (error instanceof SlotTaken ? error : unavailable(error))
          })
        : Effect.fail(misfit),
    get: (slot) => attempt(slot, () => store.get(slot)),
    rewrap: (slot, from, key) => (fits(key) ? attempt(slot, () => store.rewrap(slot, from, key)) : Effect.fail(misfit)),
    shred: (slot) => attempt(slot, () => store.shred(slot)),
    list: Effect.tryPromise({ try: () => store.list(), catch: unavailable }),
    warnings: store.warnings
  }
}

/** Whether two keys are the same, byte for byte. Neither is secret: both are wrapped. */
export const sameKey = (a: WrappedKey, b: WrappedKey): boolean =>
  a.under === b.under && Buffer.compare(a.box, b.box) === 0

/** A key store that ends with the process. */
export const memoryKeyStore = (): SlotStore => {
  const slots = new Map<string, WrappedKey>()
  return {
    warnings: ["the key store is in memory: keys end with this process"],
    put: async (slot, key) => {
      const there = slots.get(slot)
      if (there !== undefined && !sameKey(there, key)) throw new SlotTaken({ slot })
      slots.set(slot, { under: key.under, box: new Uint8Array(key.box) })
    },
    get: async (slot) => slots.get(slot),
    rewrap: async (slot, from, key) => {
      const there = slots.get(slot)
      if (there?.under !== from) return false
      there.box.fill(0)
      slots.set(slot, { under: key.under, box: new Uint8Array(key.box) })
      return true
    },
    shred: async (slot) => {
      slots.get(slot)?.box.fill(0)
      slots.delete(slot)
    },
    list: async () => [...slots].map(([slot, { under }]) => ({ slot, under }))
  }
}
