/** The table of symmetric keys that is in use: immutable, replaced as a whole when its file or an event says so. */
import type { MacAlgorithm } from "./mac-algorithms.ts"

/** Key ids of ntp.keys(5); larger ones are Autokey's. */
export const MAXIMUM_KEY_ID = 65_535

/** The longest key, bytes. */
export const MAXIMUM_KEY_BYTES = 32

/** A key id that cannot be, or a key of a length that cannot be. Never holds the key. */
export class InvalidKey extends Error {
  readonly _tag = "InvalidKey"
}

/** One key. Its bytes do not show when it is printed or turned into JSON. */
export class SymmetricKey {
  /** 1 … {@link MAXIMUM_KEY_ID} */
  readonly id: number
  readonly algorithm: MacAlgorithm
  readonly #secret: Uint8Array

  /** Keeps a copy of the secret. Throws {@link InvalidKey}. */
  constructor(id: number, algorithm: MacAlgorithm, secret: Uint8Array) {
    if (!isKeyId(id)) throw new InvalidKey(`expected a key id from 1 to ${MAXIMUM_KEY_ID}, found ${id}`)
    const expected = algorithm.keyBytes
    if (expected !== undefined && secret.length !== expected)
      throw new InvalidKey(`key ${id}: expected ${expected} bytes for ${algorithm.name}, found ${secret.length}`)
    if (secret.length === 0 || secret.length > MAXIMUM_KEY_BYTES)
      throw new InvalidKey(`key ${id}: expected 1 to ${MAXIMUM_KEY_BYTES} bytes, found ${secret.length}`)
    this.id = id
    this.algorithm = algorithm
    this.#secret = secret.slice()
  }

  /** The key's bytes; not to be changed. */
  get secret(): Uint8Array {
    return this.#secret
  }
}

/** Key ids from `first` to `last`, both included: one entry of trustedkey. */
export interface KeyRange {
  readonly first: number
  readonly last: number
}

export const isKeyId = (id: number): boolean => Number.isInteger(id) && id >= 1 && id <= MAXIMUM_KEY_ID

export class KeyTable {
  static readonly empty = new KeyTable(new Map(), [])

  private readonly byId: ReadonlyMap<number, SymmetricKey>
  private readonly trustedIds: ReadonlySet<number>

  private constructor(byId: ReadonlyMap<number, SymmetricKey>, trusted: readonly KeyRange[]) {
    this.byId = byId
    this.trustedIds = new Set(
      [...byId.keys()].filter((id) => trusted.some(({ first, last }) => first <= id && id <= last))
    )
  }

  /** A table of these keys, none trusted; of two with one id the later counts. */
  static of(keys: Iterable<SymmetricKey>): KeyTable {
    return new KeyTable(new Map(Array.from(keys, (key) => [key.id, key])), [])
  }

  get size(): number {
    return this.byId.size
  }

  /** The keys, lowest id first. */
  get keys(): readonly SymmetricKey[] {
    return [...this.byId.values()].sort((a, b) => a.id - b.id)
  }

  get(id: number): SymmetricKey | undefined {
    return this.byId.get(id)
  }

  /** Whether the key is in the table and a trustedkey names it. */
  isTrusted(id: number): boolean {
    return this.trustedIds.has(id)
  }

  /** The same keys with these trusted instead. */
  withTrusted(trusted: readonly KeyRange[]): KeyTable {
    return new KeyTable(this.byId, trusted)
  }
}
