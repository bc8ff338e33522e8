/**
 * What this node knows of the cluster: the fold of every aggregate, and its snapshot. Pure: events in, states out.
 *
 * An event that a rule rejects is left out of its aggregate's state, but its version is used up: the next one is decided
 * after it. So is that of what was put aside when it was read, for as long as nothing stands there that is believed: a log that
 * was purged gives such versions away again.
 */
import type {
  AnyEvent,
  ClockEvent,
  ClockState,
  ClusterKeyCommand,
  ClusterKeyEvent,
  ClusterKeyState,
  AggregateState,
  Decider,
  Envelope,
  MemberEvent,
  MemberState,
  NtsKeysState,
  NtsKeysCommand,
  NtsKeysEvent,
  PolicyCommand,
  PolicyEvent,
  PolicyState,
  SymmetricKeysCommand,
  SymmetricKeysEvent,
  SymmetricKeysState
} from "@meridian/events"
import {
  clock,
  clockInitial,
  clockSubject,
  clusterKey,
  clusterKeyInitial,
  CLUSTER_KEY_SUBJECT,
  EventRejected,
  member,
  memberInitial,
  memberSubject,
  ntsKeys,
  ntsKeysInitial,
  NTS_KEYS_SUBJECT,
  policy,
  policyInitial,
  POLICY_SUBJECT,
  SYMMETRIC_KEYS_SUBJECT,
  symmetricKeys,
  symmetricKeysInitial
} from "@meridian/events"

/** One aggregate as the fold holds it. */
export interface Aggregate<State extends AggregateState, Command, Event extends Envelope> {
  readonly subject: string
  readonly decider: Decider<State, Command, Event>
  readonly get: (fold: ClusterFold) => State
  readonly set: (fold: ClusterFold, state: State) => void
}

export const ntsAggregate: Aggregate<NtsKeysState, NtsKeysCommand, NtsKeysEvent> = {
  subject: NTS_KEYS_SUBJECT,
  decider: ntsKeys,
  get: (fold) => fold.nts,
  set: (fold, state) => void (fold.nts = state)
}

export const symmetricAggregate: Aggregate<SymmetricKeysState, SymmetricKeysCommand, SymmetricKeysEvent> = {
  subject: SYMMETRIC_KEYS_SUBJECT,
  decider: symmetricKeys,
  get: (fold) => fold.symmetric,
  set: (fold, state) => void (fold.symmetric = state)
}

export const clusterKeyAggregate: Aggregate<ClusterKeyState, ClusterKeyCommand, ClusterKeyEvent> = {
  subject: CLUSTER_KEY_SUBJECT,
  decider: clusterKey,
  get: (fold) => fold.clusterKey,
  set: (fold, state) => void (fold.clusterKey = state)
}

export const policyAggregate: Aggregate<PolicyState, PolicyCommand, PolicyEvent> = {
  subject: POLICY_SUBJECT,
  decider: policy,
  get: (fold) => fold.policy,
  set: (fold, state) => void (fold.policy = state)
}

/** What is kept in the log for ever. */
export const keptAggregates = [ntsAggregate, symmetricAggregate, clusterKeyAggregate, policyAggregate] as const

export const memberAggregate = (
  node: string
): Aggregate<MemberState, Parameters<typeof member.decide>[1], MemberEvent> => ({
  subject: memberSubject(node),
  decider: member,
  get: (fold) => fold.member(node),
  set: (fold, state) => void fold.members.set(node, state)
})

export const clockAggregate = (
  node: string
): Aggregate<ClockState, Parameters<typeof clock.decide>[1], ClockEvent> => ({
  subject: clockSubject(node),
  decider: clock,
  get: (fold) => fold.clock(node),
  set: (fold, state) => void fold.clocks.set(node, state)
})

/** Version of the snapshot's shape. */
export const SNAPSHOT_FORMAT = 1

interface SnapshotShape {
  readonly nts: NtsKeysState
  readonly symmetric: SymmetricKeysState
  readonly clusterKey: ClusterKeyState
  readonly policy: PolicyState
  readonly members: ReadonlyArray<MemberState>
  readonly clocks: ReadonlyArray<ClockState>
  /** Absent where there are none. */
  readonly usedUp?: ReadonlyArray<readonly [subject: string, after: number]>
}

// What a fold does with an aggregate, whatever its events: the subject has picked the right one.
type AnyAggregate = Aggregate<AggregateState, never, Envelope>

export class ClusterFold {
  nts: NtsKeysState = ntsKeysInitial
  symmetric: SymmetricKeysState = symmetricKeysInitial
  clusterKey: ClusterKeyState = clusterKeyInitial
  policy: PolicyState = policyInitial
  readonly members = new Map<string, MemberState>()
  readonly clocks = new Map<string, ClockState>()
  readonly #aggregates = new Map<string, AnyAggregate>()
  /** Subjects whose last versions are used up by what was put aside: the version of the last event before those. */
  readonly #usedUpAfter = new Map<string, number>()

  member(node: string): MemberState {
    return this.members.get(node) ?? memberInitial(node)
  }

  clock(node: string): ClockState {
    return this.clocks.get(node) ?? clockInitial(node)
  }

  /** Folds one event; one that was folded before changes nothing. Returns why it was left out, if it was. */
  fold(event: AnyEvent): string | undefined {
    const aggregate = this.#aggregate(event.subject)
    if (aggregate === undefined) return `no such subject: ${event.subject}`
    const known = aggregate.get(this)
    const after = this.#usedUpAfter.get(event.subject) ?? known.version
    if (event.version <= after) return undefined
    this.#usedUpAfter.delete(event.subject)
    const state = event.version > known.version ? known : { ...known, version: after }
    const next = aggregate.decider.evolve(state, event)
    if (!(next instanceof EventRejected)) {
      aggregate.set(this, next)
      return undefined
    }
    aggregate.set(this, { ...state, version: event.version })
    return next.reason
  }

  /** How far a subject is folded, 0 for one that is not known. */
  versionOf(subject: string): number {
    return this.#aggregate(subject)?.get(this).version ?? 0
  }

  /** Versions up to here hold nothing that could be folded: what stood there was put aside when it was read. */
  skipTo(subject: string, version: number): void {
    const aggregate = this.#aggregate(subject)
    const state = aggregate?.get(this)
    if (state === undefined || state.version >= version) return
    if (!this.#usedUpAfter.has(subject)) this.#usedUpAfter.set(subject, state.version)
    aggregate?.set(this, { ...state, version })
  }

  /** The aggregates as text; the same events give the same text. */
  toText(): string {
    return JSON.stringify(this.#shape())
  }

  #shape(): SnapshotShape {
    const sorted = <A>(states: ReadonlyMap<string, A>): ReadonlyArray<A> =>
      [...states].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, state]) => state)
    const { nts, symmetric, clusterKey: key, policy: shared } = this
    return {
      nts,
      symmetric,
      clusterKey: key,
      policy: shared,
      members: sorted(this.members),
      clocks: sorted(this.clocks),
      ...(this.#usedUpAfter.size === 0
        ? {}
        : { usedUp: [...this.#usedUpAfter].toSorted(([a], [b]) => (a < b ? -1 : 1)) })
    }
  }

  /** A fold of its text, undefined where it is none. The snapshot's checksum vouches for the rest. */
  static fromText(text: string): ClusterFold | undefined {
    let shape: Partial<SnapshotShape>
    try {
      shape = JSON.parse(text) as Partial<SnapshotShape>
    } catch {
      return undefined
    }
    const { nts, symmetric, clusterKey: key, policy: shared, members, clocks, usedUp = [] } = shape
    if (nts === undefined || symmetric === undefined || key === undefined || shared === undefined) return undefined
    if (!Array.isArray(members) || !Array.isArray(clocks) || !Array.isArray(usedUp)) return undefined
    const fold = new ClusterFold()
    fold.nts = nts
    fold.symmetric = symmetric
    fold.clusterKey = key
    fold.policy = shared
    for (const state of members as SnapshotShape["members"]) fold.members.set(state.node, state)
    for (const state of clocks as SnapshotShape["clocks"]) fold.clocks.set(state.node, state)
    for (const [subject, after] of usedUp as NonNullable<SnapshotShape["usedUp"]>) fold.#usedUpAfter.set(subject, after)
    return fold
  }

  #aggregate(subject: string): AnyAggregate | undefined {
    let found = this.#aggregates.get(subject)
    if (found === undefined) {
      found = aggregateOf(subject)
      if (found !== undefined) this.#aggregates.set(subject, found)
    }
    return found
  }
}

const aggregateOf = (subject: string): AnyAggregate | undefined => {
  const erased = (aggregate: unknown): AnyAggregate => aggregate as AnyAggregate
  if (subject.startsWith("members.")) return erased(memberAggregate(subject.slice("members.".length)))
  if (subject.startsWith("clock.")) return erased(clockAggregate(subject.slice("clock.".length)))
  for (const aggregate of keptAggregates) if (aggregate.subject === subject) return erased(aggregate)
  return undefined
}
