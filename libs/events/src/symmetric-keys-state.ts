/** The symmetric keys' events, what is known of them, and how a log that has lost it is told it anew. */
import * as Schema from "effect/Schema"
import {
  type AggregateState,
  defineEvent,
  type EventOf,
  fromIso,
  Instant,
  NodeName,
  Ordinal,
  Reason,
  toIso
} from "./event.ts"
import { SealedKey } from "./sealed-key.ts"

export const SYMMETRIC_KEYS_SUBJECT = "keys.symmetric"

/** One line of ntp.keys: key id, type as the file names it (MD5, SHA1, AES128CMAC …), and the key, sealed. */
export const SymmetricKey = Schema.Struct({
  keyId: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 })),
  type: Schema.String.check(Schema.isPattern(/^[A-Z][A-Z0-9-]{1,19}$/)),
  sealed: SealedKey
})
export type SymmetricKey = typeof SymmetricKey.Type

const Keys = Schema.Array(SymmetricKey).check(Schema.isBetweenLength(1, 32))

/** A node holds the lease. Events of a lower term are no longer possible. */
export const SymmetricLeaderTookOver = defineEvent(
  "SymmetricLeaderTookOver",
  Schema.Struct({ term: Ordinal, leader: NodeName })
)

/** A set exists and is accepted from now on. The set before it is accepted until `predecessorUntil`. */
export const SymmetricSetAnnounced = defineEvent(
  "SymmetricSetAnnounced",
  Schema.Struct({ set: Ordinal, keys: Keys, trustedFrom: Instant, predecessorUntil: Instant })
)

/** An announced set is trusted at once because the one before it was revoked. */
export const SymmetricSetBroughtForward = defineEvent(
  "SymmetricSetBroughtForward",
  Schema.Struct({ set: Ordinal, trustedFrom: Instant })
)

/** The leader saw a set become trusted for sending; the one before it is in grace. Nodes do not wait for it. */
export const SymmetricSetTrusted = defineEvent("SymmetricSetTrusted", Schema.Struct({ set: Ordinal }))

/** The set's grace is over. */
export const SymmetricSetRetired = defineEvent("SymmetricSetRetired", Schema.Struct({ set: Ordinal }))

/** The set is compromised and refused everywhere at once. */
export const SymmetricSetRevoked = defineEvent("SymmetricSetRevoked", Schema.Struct({ set: Ordinal, reason: Reason }))

const Whole = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** All that was known of the sets, for a log that has lost what was said of them before. */
export const SymmetricKeysRestored = defineEvent(
  "SymmetricKeysRestored",
  Schema.Struct({
    term: Whole,
    leader: Schema.NullOr(NodeName),
    next: Ordinal,
    floor: Ordinal,
    trusted: Whole,
    live: Schema.Array(
      Schema.Struct({
        set: Ordinal,
        keys: Keys,
        announced: Instant,
        trustedFrom: Instant,
        until: Schema.NullOr(Instant),
        announcedBy: Schema.String.check(Schema.isPattern(/^[0-9A-Za-z_.:-]{1,128}$/))
      })
    ).check(Schema.isMaxLength(64))
  })
)

export const symmetricKeysDefinitions = [
  SymmetricLeaderTookOver,
  SymmetricSetAnnounced,
  SymmetricSetBroughtForward,
  SymmetricSetTrusted,
  SymmetricSetRetired,
  SymmetricSetRevoked,
  SymmetricKeysRestored
] as const

export type SymmetricKeysEvent = EventOf<(typeof symmetricKeysDefinitions)[number]>

/** A set that is neither retired nor revoked. Times in milliseconds since 1970. */
export interface SymmetricSet {
  readonly set: number
  readonly keys: ReadonlyArray<SymmetricKey>
  readonly announced: number
  readonly trustedFrom: number
  /** End of grace, known once a later set is announced. */
  readonly until: number | null
  readonly announcedBy: string
}

export interface SymmetricKeysState extends AggregateState {
  readonly term: number
  readonly leader: string | null
  /** The number the next set will have. */
  readonly next: number
  /** Lowest set that may be sent with. */
  readonly floor: number
  /** Last set recorded as trusted, 0 for none. */
  readonly trusted: number
  /** Ascending by number and by trustedFrom. */
  readonly live: ReadonlyArray<SymmetricSet>
}

export const symmetricKeysInitial: SymmetricKeysState = {
  version: 0,
  latest: 0,
  term: 0,
  leader: null,
  next: 1,
  floor: 1,
  trusted: 0,
  live: []
}

/** The state as an event says it. */
export const restoration = (state: SymmetricKeysState): EventOf<typeof SymmetricKeysRestored>["data"] => {
  const { term, leader, next, floor, trusted } = state
  const live = state.live.map((it) => ({
    ...it,
    announced: toIso(it.announced),
    trustedFrom: toIso(it.trustedFrom),
    until: it.until === null ? null : toIso(it.until)
  }))
  return { term, leader, next, floor, trusted, live }
}

/** The state that such an event leaves. */
export const restored = (
  state: SymmetricKeysState,
  base: SymmetricKeysState,
  { version, data }: EventOf<typeof SymmetricKeysRestored>
): SymmetricKeysState => {
  const live = data.live.map((it) => ({
    ...it,
    announced: fromIso(it.announced),
    trustedFrom: fromIso(it.trustedFrom),
    until: it.until === null ? null : fromIso(it.until)
  }))
  return { ...base, ...data, live, restored: version }
}
