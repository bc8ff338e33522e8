/** What may be asked of the NTS master keys, and what it takes; nts-keys.ts says what follows. */
import type { MasterKeyAead } from "./nts-keys-events.ts"
import type { SealedKey } from "./sealed-key.ts"

/** How generations follow each other; from the cluster's policy. */
export interface NtsKeysPlan {
  readonly aead: typeof MasterKeyAead.Type
  readonly rotationMs: number
  readonly acceptPast: number
  readonly acceptFuture: number
  /** From the decision to an activation that was not planned: time for the event to reach every node. */
  readonly leadMs: number
}

/** A freshly minted key, its data key already in the key store. */
export interface SuppliedKey {
  readonly generation: number
  readonly sealed: SealedKey
}

/** A generation that was active under a log that is no more, its key among the supplied ones. */
export interface EarlierGeneration {
  readonly generation: number
  /** Milliseconds since 1970. */
  readonly activation: number
}

export type NtsKeysCommand =
  /** Says all that is known, for a log that has lost it. */
  | { readonly _tag: "Restore" }
  | { readonly _tag: "TakeOver"; readonly term: number; readonly leader: string }
  /** Does what time has made due. In a log without any generation it first goes on from `earlier`. */
  | {
      readonly _tag: "Tick"
      readonly term: number
      readonly plan: NtsKeysPlan
      readonly supply: Supply
      readonly earlier?: ReadonlyArray<EarlierGeneration>
    }
  /** `laggards` are live nodes that do not hold the generation to be activated. */
  | {
      readonly _tag: "Rotate"
      readonly term: number
      readonly plan: NtsKeysPlan
      readonly supply: Supply
      readonly laggards: ReadonlyArray<string>
    }
  | {
      readonly _tag: "Revoke"
      readonly term: number
      readonly plan: NtsKeysPlan
      readonly supply: Supply
      readonly generation: number
      readonly reason: string
    }

/** A command that a term and freshly minted keys belong to. */
export type NtsKeysChange = Exclude<NtsKeysCommand, { readonly _tag: "TakeOver" } | { readonly _tag: "Restore" }>

export type Supply = ReadonlyArray<SuppliedKey>
