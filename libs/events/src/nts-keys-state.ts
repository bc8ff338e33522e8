/** What is known of the NTS master keys, and how a log that has lost it is told it anew. */
import { type AggregateState, type EventOf, fromIso, toIso } from "./event.ts"
import type { MasterKeyAead, NtsKeysRestored } from "./nts-keys-events.ts"
import type { SealedKey } from "./sealed-key.ts"

/** A generation that is neither retired nor revoked. Times in milliseconds since 1970. */
export interface NtsGeneration {
  readonly generation: number
  readonly aead: typeof MasterKeyAead.Type
  readonly notBefore: number
  readonly activation: number
  readonly retirement: number
  readonly sealed: SealedKey
  /** Id of the event that published it. */
  readonly publishedBy: string
}

/** What became of a generation that is live no more. */
export interface NtsTombstone {
  readonly generation: number
  readonly end: "retired" | "revoked"
  readonly at: number
  readonly reason: string
  /** Id of the event that ended it. */
  readonly endedBy: string
}

/** Tombstones kept in the state for lists; older ones are in the log. */
export const TOMBSTONES_KEPT = 32

export interface NtsKeysState extends AggregateState {
  /** Lease revision of the last leader, 0 before the first. */
  readonly term: number
  readonly leader: string | null
  /** The number the next generation will have. */
  readonly next: number
  /** Lowest number that may be active. */
  readonly floor: number
  /** Last generation recorded as active, 0 for none. */
  readonly activated: number
  /** Ascending by number and by activation. */
  readonly live: ReadonlyArray<NtsGeneration>
  readonly tombstones: ReadonlyArray<NtsTombstone>
}

export const ntsKeysInitial: NtsKeysState = {
  version: 0,
  latest: 0,
  term: 0,
  leader: null,
  next: 1,
  floor: 1,
  activated: 0,
  live: [],
  tombstones: []
}

type RestoredData = EventOf<typeof NtsKeysRestored>["data"]

/** The state as an event says it. */
export const restoration = ({
  term,
  leader,
  next,
  floor,
  activated,
  live,
  tombstones
}: NtsKeysState): RestoredData => ({
  term,
  leader,
  next,
  floor,
  activated,
  live: live.map((it) => ({
    ...it,
    notBefore: toIso(it.notBefore),
    activation: toIso(it.activation),
    retirement: toIso(it.retirement)
  })),
  tombstones: tombstones.map((it) => ({ ...it, at: toIso(it.at) }))
})

/** The state that such an event leaves. What is known to have ended does not come back, whatever the event says. */
export const restored = (
  state: NtsKeysState,
  base: NtsKeysState,
  { version, data }: Pick<EventOf<typeof NtsKeysRestored>, "version" | "data">
): NtsKeysState => {
  const ended = new Set(state.tombstones.map(({ generation }) => generation))
  const live = data.live
    .filter(({ generation }) => !ended.has(generation))
    .map((it) => ({
      ...it,
      notBefore: fromIso(it.notBefore),
      activation: fromIso(it.activation),
      retirement: fromIso(it.retirement)
    }))
  return {
    ...base,
    ...data,
    live,
    tombstones: data.tombstones.map((it) => ({ ...it, at: fromIso(it.at) })),
    restored: version
  }
}
