/** The events of the NTS master keys; what they mean and when they may happen is in nts-keys.ts. */
import * as Schema from "effect/Schema"
import { defineEvent, type EventOf, Instant, NodeName, Ordinal, Reason } from "./event.ts"
import { SealedKey } from "./sealed-key.ts"

export const NTS_KEYS_SUBJECT = "keys.nts"

/** AEAD algorithms a master key may be for: AES-SIV-CMAC-256/384/512 and AES-128-GCM-SIV (IANA AEAD registry). */
export const MasterKeyAead = Schema.Literals([15, 16, 17, 30])

/** A node holds the lease. Events of a lower term are no longer possible. */
export const NtsLeaderTookOver = defineEvent("NtsLeaderTookOver", Schema.Struct({ term: Ordinal, leader: NodeName }))

/** A generation exists. Every node that folds this can open its cookies from `notBefore` and uses it from `activation`. */
export const NtsGenerationPublished = defineEvent(
  "NtsGenerationPublished",
  Schema.Struct({
    generation: Ordinal,
    aead: MasterKeyAead,
    notBefore: Instant,
    activation: Instant,
    retirement: Instant,
    /** The generation before it opens cookies at least until then, however late this one was published. */
    predecessorUntil: Instant,
    sealed: SealedKey
  })
)

/** A published generation becomes active earlier than first said. */
export const NtsGenerationBroughtForward = defineEvent(
  "NtsGenerationBroughtForward",
  Schema.Struct({
    generation: Ordinal,
    activation: Instant,
    retirement: Instant,
    reason: Schema.Literals(["rotate", "revoke"])
  })
)

/** The leader saw a generation become active. For the record and against clocks that go back; nodes do not wait for it. */
export const NtsGenerationActivated = defineEvent("NtsGenerationActivated", Schema.Struct({ generation: Ordinal }))

/** The generation opens no more cookies: its time ran out, or more were kept than the policy allows. */
export const NtsGenerationRetired = defineEvent(
  "NtsGenerationRetired",
  Schema.Struct({ generation: Ordinal, reason: Schema.Literals(["expired", "limit"]) })
)

/** The generation is compromised and refused everywhere at once. */
export const NtsGenerationRevoked = defineEvent(
  "NtsGenerationRevoked",
  Schema.Struct({ generation: Ordinal, reason: Reason })
)

export const ntsKeysDefinitions = [
  NtsLeaderTookOver,
  NtsGenerationPublished,
  NtsGenerationBroughtForward,
  NtsGenerationActivated,
  NtsGenerationRetired,
  NtsGenerationRevoked
] as const

export type NtsKeysEvent = EventOf<(typeof ntsKeysDefinitions)[number]>
