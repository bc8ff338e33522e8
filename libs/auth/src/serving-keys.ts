/**
 * The keys a serving process works with, as its supervisor hands them down: a snapshot of what the event log and the key
 * files say, complete each time. A message, not a format: it lives between two processes of one version and is never stored.
 */
import { type Generation, KeyRing } from "./key-ring.ts"
import { type KeyRange, KeyTable, SymmetricKey } from "./key-table.ts"
import { macAlgorithms, type MacAlgorithmName, macAlgorithmNames } from "./mac-algorithms.ts"

export interface ServingKeys {
  readonly type: "keys"
  /** NTS cookie master keys; empty where NTS is not served. */
  readonly generations: readonly Generation[]
  readonly symmetric: readonly {
    readonly id: number
    readonly algorithm: MacAlgorithmName
    readonly secret: Uint8Array
  }[]
  readonly trusted: readonly KeyRange[]
  readonly sendCryptoNak: boolean
}

export const noKeys: ServingKeys = { type: "keys", generations: [], symmetric: [], trusted: [], sendCryptoNak: false }

/** What key exchange works with: a process that speaks TLS with anybody holds no symmetric key. */
export const masterKeysOf = ({ generations }: ServingKeys): ServingKeys => ({ ...noKeys, generations })

/** What the clock's process works with: as a client it has keys in common with servers, and no use for master keys. */
export const symmetricKeysOf = (keys: ServingKeys): ServingKeys => ({ ...keys, generations: [] })

export interface ParsedKeys {
  readonly ring: KeyRing
  readonly table: KeyTable
  readonly sendCryptoNak: boolean
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

const isGeneration = (value: unknown): value is Generation =>
  isRecord(value) &&
  value["key"] instanceof Uint8Array &&
  typeof value["id"] === "number" &&
  typeof value["activation"] === "number" &&
  typeof value["retirement"] === "number" &&
  typeof value["revoked"] === "boolean"

const isSymmetric = (value: unknown): value is ServingKeys["symmetric"][number] =>
  isRecord(value) &&
  value["secret"] instanceof Uint8Array &&
  typeof value["id"] === "number" &&
  (macAlgorithmNames as readonly unknown[]).includes(value["algorithm"])

const isRange = (value: unknown): value is KeyRange =>
  isRecord(value) && typeof value["first"] === "number" && typeof value["last"] === "number"

/** Reads such a message; undefined when it is none, or holds keys that cannot be. */
export const parseServingKeys = (message: unknown): ParsedKeys | undefined => {
  if (!isRecord(message) || message["type"] !== "keys") return undefined
  const { generations, symmetric, trusted, sendCryptoNak } = message
  if (!Array.isArray(generations) || !generations.every(isGeneration)) return undefined
  if (!Array.isArray(symmetric) || !symmetric.every(isSymmetric)) return undefined
  if (!Array.isArray(trusted) || !trusted.every(isRange)) return undefined
  try {
    const keys = symmetric.map(({ id, algorithm, secret }) => new SymmetricKey(id, macAlgorithms[algorithm], secret))
    return {
      ring: KeyRing.of(generations),
      table: KeyTable.of(keys).withTrusted(trusted),
      sendCryptoNak: sendCryptoNak === true
    }
  } catch {
    return undefined
  }
}
