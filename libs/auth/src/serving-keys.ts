/**
 * The keys a serving process works with, as its supervisor hands them down: a snapshot of what the event log and the key
 * files say, complete each time. A message, not a format: it lives between two processes of one version and is never stored.
 */
import { type Generation, KeyRing } from "./nts/key-ring.ts"
import { type KeyRange, KeyTable, SymmetricKey } from "./symmetric/key-table.ts"
import { type MacAlgorithmName, macAlgorithms } from "./symmetric/mac-algorithms.ts"

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

/**
 * The keys as servers and clients work with them.
 * @throws InvalidKey, InvalidKeyRing, which name the key and hold nothing of it
 */
export const readServingKeys = ({ generations, symmetric, trusted, sendCryptoNak }: ServingKeys): ParsedKeys => ({
  ring: KeyRing.of(generations),
  table: KeyTable.of(
    symmetric.map(({ id, algorithm, secret }) => new SymmetricKey(id, macAlgorithms[algorithm], secret))
  ).withTrusted(trusted),
  sendCryptoNak
})
