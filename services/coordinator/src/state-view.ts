/** What GET /state says: the fold in the words of operators, without key material. Pure. */
import type { ClockView, ClusterState, GenerationView, MemberView, SetView } from "@meridian/ipc"
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import { toIso, isLive, isServing, generationStatus, setStatus } from "@meridian/events"
import type { ClusterFold } from "./cluster-fold.ts"

/** `now`: milliseconds since 1970. */
export const stateView = (
  node: string,
  fold: ClusterFold,
  report: CoordinatorReport,
  now: number,
  said: Pick<ClusterState, "putAside" | "clockDoubt" | "nameDoubt" | "lastLeader" | "leaseHolder">
): ClusterState => {
  const { adapter, foldedSeq, lastSeq, quarantined, leader, leading, term, ready, reason, drained } = report
  const { current, changingTo } = fold.clusterKey
  return {
    node,
    leader,
    leading,
    term,
    log: { adapter, foldedSeq, lastSeq, quarantined },
    ...said,
    ready,
    reason,
    drained,
    members: memberViews(fold, now),
    ntsKeys: generationViews(fold, now),
    symmetricSets: setViews(fold, now),
    clusterKey: { current, changingTo },
    policy: fold.policy.settings,
    clocks: clockViews(fold)
  }
}

const byNode = <A extends { readonly node: string }>(states: Iterable<A>): ReadonlyArray<A> =>
  [...states].toSorted((a, b) => (a.node < b.node ? -1 : 1))

const memberViews = (fold: ClusterFold, now: number): ReadonlyArray<MemberView> =>
  byNode(fold.members.values()).map((it) => {
    const live = isLive(it, now, fold.policy.settings.memberSilenceMs)
    const { node, release, workers, health, heardAt, ready, reason, drained } = it
    return {
      node,
      version: release,
      workers,
      health,
      heard: toIso(heardAt),
      live,
      ready,
      reason,
      drained,
      serving: live && isServing(it)
    }
  })

/** Live generations and the last ones that have ended, ascending. */
export const generationViews = ({ nts }: ClusterFold, now: number): ReadonlyArray<GenerationView> => {
  const live = nts.live.map((it): GenerationView => {
    const status = generationStatus(nts, it.generation, now)
    return {
      generation: it.generation,
      aead: it.aead,
      status: status === "pending" || status === "active" ? status : "past",
      notBefore: toIso(it.notBefore),
      activation: toIso(it.activation),
      retirement: toIso(it.retirement),
      event: it.publishedBy
    }
  })
  const ended = nts.tombstones.map(({ generation, end, at, endedBy }): GenerationView => ({
    generation,
    aead: null,
    status: end,
    notBefore: null,
    activation: null,
    retirement: toIso(at),
    event: endedBy
  }))
  return [...ended, ...live].toSorted((a, b) => a.generation - b.generation)
}

export const setViews = ({ symmetric }: ClusterFold, now: number): ReadonlyArray<SetView> =>
  symmetric.live.map(({ set, keys, announced, trustedFrom, until, announcedBy }) => ({
    set,
    status: setStatus(symmetric, set, now),
    keys: keys.map(({ keyId, type }) => ({ id: keyId, type })),
    announced: toIso(announced),
    trustedFrom: toIso(trustedFrom),
    until: until === null ? null : toIso(until),
    event: announcedBy
  }))

export const clockViews = (fold: ClusterFold): ReadonlyArray<ClockView> =>
  byNode(fold.clocks.values()).map(
    ({ node, peer, holdover, leap, reachable, steps, decidedBy, reason, acts = [] }) => ({
      node,
      peer,
      holdover,
      leap,
      reachable,
      steps,
      event: decidedBy,
      reason,
      acts: acts.map(({ at, ...act }) => ({ time: toIso(at), ...act }))
    })
  )
