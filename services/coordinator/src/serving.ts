/**
 * From the fold to what the node serves with. Pure: states and opened keys in, the supervisor's message out.
 *
 * Times in the message are those of the log, with one exception: a generation that this node has seen become active is
 * handed down as active since ever, so that a worker whose clock is stepped back goes on with it and does not seal with its
 * predecessor again.
 */
import { MASTER_KEY_BYTES, MAXIMUM_GENERATIONS } from "@meridian/auth/key-ring"
import { macAlgorithm } from "@meridian/auth/mac-algorithms"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { ntsKeyPlace, symmetricKeyPlace } from "@meridian/event-log"
import type { ClusterKeyState, NtsGeneration, SymmetricKey, SymmetricSet } from "@meridian/events"
import {
  effectiveNow,
  isLive,
  NTS_KEYS_SUBJECT,
  acceptedGenerations,
  pendingGenerations,
  acceptedSets
} from "@meridian/events"
import type { ClusterFold } from "./cluster-fold.ts"
import { keyName, type LiveKey } from "./key-manager.ts"

const ntsKey = ({ generation, sealed }: NtsGeneration): LiveKey => ({ place: ntsKeyPlace(generation), sealed })

export const symmetricKey = ({ set }: SymmetricSet, { keyId, type, sealed }: SymmetricKey): LiveKey => ({
  place: symmetricKeyPlace(set, keyId, type),
  sealed
})

/** Generations and sets to serve with at a moment (milliseconds since 1970): accepted now, or later by the clock alone. */
export interface Wanted {
  readonly generations: ReadonlyArray<NtsGeneration>
  readonly sets: ReadonlyArray<SymmetricSet>
}

export const wantedKeys = (fold: ClusterFold, now: number): Wanted => {
  const { nts, symmetric } = fold
  const usable = new Set([...acceptedGenerations(nts, now), ...pendingGenerations(nts, now)])
  // The newest, should an older release's policy have asked for more than a ring holds.
  const generations = nts.live.filter((it) => usable.has(it)).slice(-MAXIMUM_GENERATIONS)
  return { generations, sets: acceptedSets(symmetric, now) }
}

/** The next moment at which time alone may change what is wanted, milliseconds since 1970; Infinity where there is none. */
export const nextTurn = ({ nts, symmetric }: ClusterFold, now: number): number => {
  const moments = [
    ...nts.live.flatMap(({ notBefore, activation, retirement }) => [notBefore, activation, retirement]),
    ...symmetric.live.flatMap(({ trustedFrom, until }) => [trustedFrom, until ?? Infinity])
  ]
  return Math.min(Infinity, ...moments.filter((at) => at > now))
}

/** The keys behind what is wanted. */
export const liveKeys = ({ generations, sets }: Wanted): ReadonlyArray<LiveKey> => [
  ...generations.map(ntsKey),
  ...sets.flatMap((set) => set.keys.map((key) => symmetricKey(set, key)))
]

/** Whether another live node says that it holds a key as new as this one. `now`: milliseconds since 1970. */
export const isHeldElsewhere = (fold: ClusterFold, { place }: LiveKey, node: string, now: number): boolean =>
  [...fold.members.values()].some((it) => {
    const { ntsGeneration = 0, symmetricSet = 0 } = it.health ?? {}
    const held = place.subject === NTS_KEYS_SUBJECT ? ntsGeneration : symmetricSet
    return it.node !== node && held >= place.generation && isLive(it, now, fold.policy.settings.memberSilenceMs)
  })

/** Whether a fingerprint is that of a key that the cluster has, or changes to. */
export const isClusters =
  ({ current, changingTo }: ClusterKeyState) =>
  (print: string): boolean =>
    print === current || print === changingTo

/** Slots of everything that has neither retired nor been revoked, wanted at the moment or not. */
export const liveSlots = ({ nts, symmetric }: ClusterFold): ReadonlySet<string> =>
  new Set([
    ...nts.live.map(({ sealed }) => sealed.slot),
    ...symmetric.live.flatMap(({ keys }) => keys.map(({ sealed }) => sealed.slot))
  ])

/** The message for the supervisor, of those keys that are opened (by {@link keyName}). `now`: milliseconds since 1970. */
export const servingKeys = (
  fold: ClusterFold,
  { generations, sets }: Wanted,
  opened: ReadonlyMap<string, Uint8Array>,
  now: number
): ServingKeys => {
  const at = effectiveNow(fold.nts, now)
  const symmetric = sets.flatMap((set) =>
    set.keys.flatMap((live): ServingKeys["symmetric"] => {
      const { keyId, type } = live
      const secret = opened.get(keyName(symmetricKey(set, live).place))
      const algorithm = macAlgorithm(type)
      return secret === undefined || algorithm === undefined ? [] : [{ id: keyId, algorithm: algorithm.name, secret }]
    })
  )
  return {
    type: "keys",
    generations: generations.flatMap((live) => {
      const { generation, activation, retirement } = live
      const key = opened.get(keyName(ntsKey(live).place))
      if (key?.length !== MASTER_KEY_BYTES) return []
      const since = activation <= at ? 0 : activation / 1_000
      return [{ id: generation, key, activation: since, retirement: retirement / 1_000, revoked: false }]
    }),
    symmetric,
    trusted: symmetric.map(({ id }) => ({ first: id, last: id })),
    sendCryptoNak: false
  }
}

/** Tells one message from another without holding keys: ids and times. */
export const signatureOf = ({ generations, symmetric }: ServingKeys): string =>
  JSON.stringify([
    generations.map(({ id, activation, retirement }) => [id, activation, retirement]),
    symmetric.map(({ id, algorithm }) => [id, algorithm])
  ])
