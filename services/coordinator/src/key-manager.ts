/**
 * Keys in this process: minting them into the key store, opening them with the cluster key, and letting go of them. Opened keys
 * stay in memory for as long as their generation or set is live; what the node keeps of the key store is shredded with them.
 *
 * In a cluster the key store is out on NATS; each node then has a key store of its own beside it, with a copy of every live slot,
 * still wrapped, so that it can start while NATS is gone, and so that the leader can lay them in again.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import type { Inspect, KeyStore, KeyStoreUnavailable, SlotTaken, WrappedKey, KeyPlace } from "@meridian/event-log"
import { inspectSeals, openKey, rewrapKey, sealKey, WronglySealed } from "@meridian/event-log"
import type { SealedKey } from "@meridian/events"
import type { ClusterKeys } from "./cluster-keys.ts"
import { sentence } from "./notices.ts"

type Store = KeyStore["Service"]

/** A live key that this node cannot open. */
export class KeyUnopened extends Data.TaggedError("KeyUnopened")<{
  readonly place: KeyPlace
  readonly detail: string
  /** Its slot is empty in every key store that this node can see. */
  readonly isAbsent?: boolean
}> {
  override get message(): string {
    return `the key of ${this.place.subject} ${this.place.generation} cannot be opened: ${this.detail}`
  }
}

/**
 * Why nobody can ever open a key. `sealing`: its box in the log does not fit its data key, and no cookie was sealed with it.
 * `lost`: its data key is gone from the only key store there is, that of a node on its own.
 */
type Condemnation = "sealing" | "lost"

/** A key that is put aside for good. */
export class KeyCondemned extends Data.TaggedError("KeyCondemned")<{
  readonly place: KeyPlace
  readonly why: Condemnation
}> {
  override get message(): string {
    const { subject, generation } = this.place
    return this.why === "sealing"
      ? `the key of ${subject} ${generation} is wrongly sealed in the log and put aside: no node can open it`
      : `the key of ${subject} ${generation} is gone from the key store of this node, which had the only copy, and put aside`
  }
}

/** A key that the log says is live. */
export interface LiveKey {
  readonly place: KeyPlace
  readonly sealed: SealedKey
}

/** One key of the log: its place, since two events may name the same slot. */
export const keyName = ({ subject, generation, purpose }: KeyPlace): string => `${subject} ${generation} ${purpose}`

const RANDOM_SLOT_BYTES = 8

export class KeyManager {
  readonly #keys: ClusterKeys
  /** The cluster's key store; absent while NATS is out of reach. */
  #store: Store | undefined
  /** This node's own copy, where the cluster's is elsewhere. */
  readonly #mirror: Store | undefined
  /** By {@link keyName}. */
  readonly #opened = new Map<string, { readonly sealed: SealedKey; readonly key: Uint8Array }>()
  readonly #condemned = new Map<string, { readonly sealed: SealedKey; readonly why: Condemnation }>()
  /** Keys whose slot was found empty, and since when, performance.now(). */
  readonly #absent = new Map<string, { readonly sealed: SealedKey; readonly since: number }>()
  /** What this process has minted and wrapped, until it is let go of. */
  readonly #minted = new Map<string, WrappedKey>()

  constructor(keys: ClusterKeys, keyStore: Store | undefined, mirror: Store | undefined) {
    this.#keys = keys
    this.#store = keyStore
    this.#mirror = mirror
  }

  useKeyStore(keyStore: Store): void {
    this.#store = keyStore
  }

  /** Condemns an event whose key does not open, as far as this process minted it. */
  readonly inspect: Inspect = (event) => {
    for (const print of this.#keys.fingerprints) {
      const key = this.#keys.get(print) as Uint8Array
      const wrong = inspectSeals(key, (slot) => {
        const wrapped = this.#minted.get(slot)
        return wrapped?.under === print ? wrapped : undefined
      })(event)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  /**
   * Mints a key of so many bytes, or takes a given one, lays it in the key store and returns it sealed. `under`: fingerprint of a
   * key at hand.
   */
  mint(
    place: KeyPlace,
    bytes: number,
    under: string,
    family: "nts" | "symmetric",
    given?: Uint8Array
  ): Effect.Effect<SealedKey, KeyUnopened | KeyStoreUnavailable | SlotTaken> {
    return Effect.gen({ self: this }, function* () {
      const clusterKey = this.#keys.get(under)
      const keyStore = this.#store
      if (clusterKey === undefined)
        return yield* new KeyUnopened({ place, detail: `this node lacks cluster key ${under}` })
      if (keyStore === undefined) return yield* new KeyUnopened({ place, detail: "the key store is out of reach" })
      const slot = `${family}.${place.generation}.${randomBytes(RANDOM_SLOT_BYTES).toString("hex")}`
      const key = new Uint8Array(given ?? randomBytes(bytes))
      const { sealed, wrapped } = sealKey(clusterKey, place, slot, key)
      yield* keyStore.put(slot, wrapped)
      yield* this.#keepCopy(slot, wrapped)
      this.#opened.set(keyName(place), { sealed, key })
      this.#minted.set(slot, wrapped)
      return sealed
    })
  }

  /**
   * The key, from memory or from a key store. `inStep`: the log has been read to its end; until then an empty slot may be that of a
   * key which has ended since.
   */
  open({ place, sealed }: LiveKey, inStep: boolean): Effect.Effect<Uint8Array, KeyUnopened | KeyCondemned> {
    return Effect.gen({ self: this }, function* () {
      const name = keyName(place)
      const known = this.#opened.get(name)
      if (known !== undefined && isSame(known.sealed, sealed)) return known.key
      const condemned = this.condemnation({ place, sealed })
      if (condemned !== undefined) return yield* new KeyCondemned({ place, why: condemned })
      const wrapped = yield* this.#wrapped(sealed.slot).pipe(
        Effect.mapError((error) => new KeyUnopened({ place, detail: error.message }))
      )
      if (wrapped === undefined && inStep && this.#store !== undefined && this.#mirror === undefined)
        return yield* this.#condemn({ place, sealed }, "lost")
      if (wrapped === undefined) {
        const isAbsent = this.#store !== undefined
        if (isAbsent && inStep && this.absentFor({ place, sealed }) === undefined)
          this.#absent.set(name, { sealed, since: performance.now() })
        const detail = isAbsent ? "its slot in the key store is empty" : "the key store is out of reach"
        return yield* new KeyUnopened({ place, detail, isAbsent })
      }
      this.#absent.delete(name)
      const clusterKey = this.#keys.get(wrapped.under)
      if (clusterKey === undefined)
        return yield* new KeyUnopened({
          place,
          detail: `it is wrapped under cluster key ${wrapped.under}, this node has ${this.#keys.fingerprints.join(" and ")}`
        })
      const key = yield* Effect.try({
        try: () => openKey(clusterKey, place, sealed, wrapped),
        catch: (error) => this.#unopened({ place, sealed }, error, clusterKey, wrapped)
      })
      this.#opened.set(name, { sealed, key })
      return key
    })
  }

  /** Whether there is a key that nobody may be able to open. */
  get hasCondemned(): boolean {
    return this.#condemned.size > 0 || this.#absent.size > 0
  }

  /** How long the key's slot has been empty, milliseconds; undefined where it is not known to be. */
  absentFor({ place, sealed }: LiveKey): number | undefined {
    const absent = this.#absent.get(keyName(place))
    return absent !== undefined && isSame(absent.sealed, sealed) ? performance.now() - absent.since : undefined
  }

  /** Why nobody can open the key, where this node has tried to and found that out. */
  condemnation({ place, sealed }: LiveKey): Condemnation | undefined {
    const condemned = this.#condemned.get(keyName(place))
    return condemned !== undefined && isSame(condemned.sealed, sealed) ? condemned.why : undefined
  }

  #condemn({ place, sealed }: LiveKey, why: Condemnation): KeyCondemned {
    this.#condemned.set(keyName(place), { sealed, why })
    return new KeyCondemned({ place, why })
  }

  /** Where the data key opens, it is the box in the log that is wrong; else the slot is, here or in the key store. */
  #unopened(
    { place, sealed }: LiveKey,
    error: unknown,
    clusterKey: Uint8Array,
    wrapped: WrappedKey
  ): KeyUnopened | KeyCondemned {
    const slotIsGood = tryRewrap(clusterKey, clusterKey, sealed.slot, wrapped) !== undefined
    if (!(error instanceof WronglySealed) || !slotIsGood) return new KeyUnopened({ place, detail: sentence(error) })
    return this.#condemn({ place, sealed }, "sealing")
  }

  /** Forgets every opened key and shreds every copy of this node that is not among the live slots. */
  keepOnly(live: ReadonlySet<string>): Effect.Effect<void, KeyStoreUnavailable> {
    return Effect.gen({ self: this }, function* () {
      for (const [name, { sealed, key }] of this.#opened)
        if (!live.has(sealed.slot)) {
          key.fill(0)
          this.#opened.delete(name)
          this.#minted.delete(sealed.slot)
        }
      for (const known of [this.#condemned, this.#absent])
        for (const [name, { sealed }] of known) if (!live.has(sealed.slot)) known.delete(name)
      if (this.#mirror !== undefined) yield* shredOthers(this.#mirror, live)
    })
  }

  /** Leader: shreds every slot of the cluster's key store that is not live, and lays in again what the key store has lost. */
  tidyKeyStore(
    live: ReadonlySet<string>,
    isClusters: (print: string) => boolean
  ): Effect.Effect<void, KeyStoreUnavailable | SlotTaken> {
    return Effect.gen({ self: this }, function* () {
      if (this.#store === undefined) return
      yield* shredOthers(this.#store, live)
      yield* this.layIn(live, isClusters)
    })
  }

  /**
   * Lays in again what the cluster's key store has lost of the live slots and this node has a copy of, also where somebody has laid
   * something else in its place: whoever has a node's nkey may.
   * @param isClusters whether a fingerprint is that of a key of the cluster's, at hand here or not
   */
  layIn(
    live: ReadonlySet<string>,
    isClusters: (print: string) => boolean
  ): Effect.Effect<void, KeyStoreUnavailable | SlotTaken> {
    return Effect.gen({ self: this }, function* () {
      const keyStore = this.#store
      if (keyStore === undefined || this.#mirror === undefined) return
      for (const slot of live) {
        const there = yield* keyStore.get(slot)
        if (there !== undefined && this.#isSound(slot, there, isClusters)) continue
        const copy = yield* this.#mirror.get(slot)
        if (copy === undefined || !this.#opens(slot, copy)) continue
        if (there !== undefined) yield* keyStore.shred(slot)
        yield* keyStore.put(slot, copy)
      }
    })
  }

  /** Whether it may be what a node laid there: it opens, or is wrapped under a key of the cluster's that this node lacks. */
  #isSound(slot: string, wrapped: WrappedKey, isClusters: (print: string) => boolean): boolean {
    return this.#keys.has(wrapped.under) ? this.#opens(slot, wrapped) : isClusters(wrapped.under)
  }

  /**
   * Wraps anew, under `to`, every slot that another key at hand wraps: on the cluster's key store where `shared`, else on this
   * node's own. Returns how many slots are left under other keys.
   */
  rewrap(to: string, shared: boolean): Effect.Effect<number, KeyStoreUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const keyStore = shared ? this.#store : this.#mirror
      const target = this.#keys.get(to)
      if (keyStore === undefined) return 0
      let left = 0
      for (const { slot, under } of yield* keyStore.list) {
        if (under === to) continue
        const wrapped = yield* keyStore.get(slot)
        const from = this.#keys.get(under)
        const anew = wrapped && from && target ? tryRewrap(from, target, slot, wrapped) : undefined
        if (anew === undefined || !(yield* keyStore.rewrap(slot, under, anew))) left += 1
      }
      return left
    })
  }

  #wrapped(slot: string): Effect.Effect<WrappedKey | undefined, KeyStoreUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const copy = yield* this.#mirror?.get(slot) ?? Effect.succeed(undefined)
      if ((copy !== undefined && this.#opens(slot, copy)) || this.#store === undefined) return copy
      const wrapped = yield* this.#store.get(slot)
      if (wrapped === undefined) return undefined
      if (copy !== undefined) yield* this.#mirror?.shred(slot) ?? Effect.void
      yield* this.#keepCopy(slot, wrapped)
      return wrapped
    })
  }

  /** Whether a copy is whole, and wrapped under a key at hand. */
  #opens(slot: string, copy: WrappedKey): boolean {
    const key = this.#keys.get(copy.under)
    return key !== undefined && tryRewrap(key, key, slot, copy) !== undefined
  }

  #keepCopy(slot: string, wrapped: WrappedKey): Effect.Effect<void, KeyStoreUnavailable> {
    if (this.#mirror === undefined) return Effect.void
    // A copy that is there already was rewrapped; it will do.
    return this.#mirror.put(slot, wrapped).pipe(Effect.catchTag("SlotTaken", () => Effect.void))
  }
}

const isSame = (a: SealedKey, b: SealedKey): boolean => a.slot === b.slot && a.box === b.box

/** Shreds what is not live. */
const shredOthers = (keyStore: Store, live: ReadonlySet<string>): Effect.Effect<void, KeyStoreUnavailable> =>
  Effect.gen(function* () {
    for (const { slot } of yield* keyStore.list) if (!live.has(slot)) yield* keyStore.shred(slot)
  })

const tryRewrap = (from: Uint8Array, to: Uint8Array, slot: string, wrapped: WrappedKey): WrappedKey | undefined => {
  try {
    return rewrapKey(from, to, slot, wrapped)
  } catch {
    return undefined
  }
}
