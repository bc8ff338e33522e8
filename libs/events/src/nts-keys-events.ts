/** The events of the NTS master keys; what they mean and when they may happen is in nts-keys.ts. */
import * as Schema from "effect/Schema"
import { defineEvent, type EventOf, Instant, NodeName, Ordinal, Reason } from "./event.ts"
import { SealedKey } from "./sealed-key.ts"

export const NTS_KEYS_SUBJECT = "keys.nts"

/**
 * Generations of the master key that can be live at a time: what a key ring holds (MAXIMUM_GENERATIONS of libs/auth, which a
 * test holds this to) and what one commit announces. No policy may ask for more.
 */
export const MOST_LIVE_GENERATIONS = 64

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

const Whole = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
const EventId = Schema.String.check(Schema.isPattern(/^[0-9A-Za-z_.:-]{1,128}$/))

/** All that was known of the keys, for a log that has lost what was said of them before. */
export const NtsKeysRestored = defineEvent(
  "NtsKeysRestored",
  Schema.Struct({
    term: Whole,
    leader: Schema.NullOr(NodeName),
    next: Ordinal,
    floor: Ordinal,
    activated: Whole,
    live: Schema.Array(
      Schema.Struct({
        generation: Ordinal,
        aead: MasterKeyAead,
        notBefore: Instant,
        activation: Instant,
        retirement: Instant,
        sealed: SealedKey,
        publishedBy: EventId
      })
    ).check(Schema.isMaxLength(MOST_LIVE_GENERATIONS)),
    tombstones: Schema.Array(
      Schema.Struct({
        generation: Ordinal,
        end: Schema.Literals(["retired", "revoked"]),
        at: Instant,
        reason: Reason,
        endedBy: EventId
      })
    ).check(Schema.isMaxLength(32))
  })
)

export const ntsKeysDefinitions = [
  NtsLeaderTookOver,
  NtsGenerationPublished,
  NtsGenerationBroughtForward,
  NtsGenerationActivated,
  NtsGenerationRetired,
  NtsGenerationRevoked,
  NtsKeysRestored
] as const

export type NtsKeysEvent = EventOf<(typeof ntsKeysDefinitions)[number]>
