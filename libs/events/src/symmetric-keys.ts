/**
 * The symmetric keys (ntp.keys semantics): sets of numbered keys, each set handed to clients as a file.
 *
 * A set is announced before it is trusted for sending, so that every peer has the file in time; from then on the set
 * before it is in grace, still accepted but no longer sent with, until its time is up. Set numbers are given out once,
 * in order; a number below the next one that is not live has been retired or revoked for good. A key id may come back in
 * a later set, but never while a live set has it.
 */
import {
  type CommandContext,
  type Decider,
  type Decision,
  Draft,
  effectiveNow,
  EventRejected,
  type EventOf,
  fromIso,
  mayFollowTerm,
  refuse,
  refuseTerm,
  type Refused,
  toIso
} from "./event.ts"
import {
  restoration,
  restored,
  SYMMETRIC_KEYS_SUBJECT,
  SymmetricKeysRestored,
  SymmetricLeaderTookOver,
  SymmetricSetAnnounced,
  SymmetricSetBroughtForward,
  SymmetricSetRetired,
  SymmetricSetRevoked,
  SymmetricSetTrusted,
  type SymmetricKey,
  type SymmetricKeysEvent,
  type SymmetricKeysState,
  type SymmetricSet
} from "./symmetric-keys-state.ts"

/** The set to send with, if any is trusted. */
export const sendingSet = (state: SymmetricKeysState, now: number): SymmetricSet | undefined => {
  const at = effectiveNow(state, now)
  return state.live.findLast((it) => it.trustedFrom <= at && it.set >= state.floor)
}

/** The sets whose keys are accepted from others: the sending one, those announced, those in grace. */
export const acceptedSets = (state: SymmetricKeysState, now: number): ReadonlyArray<SymmetricSet> => {
  const at = effectiveNow(state, now)
  const sending = sendingSet(state, now)
  return state.live.filter((it) => it === sending || it.until === null || at < it.until)
}

/** Where a set stands. */
export const setStatus = (
  state: SymmetricKeysState,
  set: number,
  now: number
): "unknown" | "announced" | "trusted" | "grace" | "ended" => {
  if (set >= state.next || set < 1) return "unknown"
  const found = state.live.find((it) => it.set === set)
  if (found === undefined) return "ended"
  if (sendingSet(state, now) === found) return "trusted"
  return found.set >= state.floor && found.trustedFrom > effectiveNow(state, now) ? "announced" : "grace"
}

/** How sets follow each other; from the cluster's policy. */
export interface SymmetricKeysPlan {
  /** Between two sets by schedule; 0 for only on command. */
  readonly rotationMs: number
  /** From announcement to trust. */
  readonly announceMs: number
  /** From the successor's trust to retirement. */
  readonly graceMs: number
  /** From announcement to trust where a revocation leaves no set to send with. */
  readonly leadMs: number
}

/** A freshly minted set, its data keys already in the key store. */
export interface SuppliedSet {
  readonly set: number
  readonly keys: ReadonlyArray<SymmetricKey>
}

interface WithSupply {
  readonly term: number
  readonly plan: SymmetricKeysPlan
  /** Present when {@link setNeeded} says so. */
  readonly supply?: SuppliedSet
}

export type SymmetricKeysCommand =
  /** Says all that is known, for a log that has lost it. */
  | { readonly _tag: "Restore" }
  | { readonly _tag: "TakeOver"; readonly term: number; readonly leader: string }
  /** Does what time has made due; the first set of all is made by Rotate. */
  | ({ readonly _tag: "Tick" } & WithSupply)
  | ({ readonly _tag: "Rotate" } & WithSupply)
  | ({ readonly _tag: "Revoke"; readonly set: number; readonly reason: string } & WithSupply)

/** A command that a term and freshly minted keys belong to. */
type SymmetricKeysChange = Exclude<SymmetricKeysCommand, { readonly _tag: "TakeOver" } | { readonly _tag: "Restore" }>

type SetDraft = Draft<SymmetricKeysState, SymmetricKeysEvent>

/**
 * The events that carry the command out. Refused: `fenced`, `not-leader`, `key-missing`, `key-id-in-use`, `under-way` (a
 * set is already announced), `unknown-set`, `already-ended`.
 */
const decide = (
  state: SymmetricKeysState,
  command: SymmetricKeysCommand,
  context: CommandContext
): Decision<SymmetricKeysEvent> => {
  const draft: SetDraft = new Draft(evolve, state, SYMMETRIC_KEYS_SUBJECT, context)
  if (command._tag === "Restore") {
    draft.emit(SymmetricKeysRestored, restoration(state))
    return draft.accept()
  }
  const fenced = refuseTerm(state, command)
  if (fenced !== undefined) return fenced
  if (command._tag === "TakeOver") {
    if (command.term > state.term) draft.emit(SymmetricLeaderTookOver, { term: command.term, leader: command.leader })
    return draft.accept()
  }
  const refused = changeSets(draft, command)
  if (refused !== undefined) return refused
  const sending = sendingSet(draft.state, draft.at)
  if (sending !== undefined && sending.set > draft.state.trusted) draft.emit(SymmetricSetTrusted, { set: sending.set })
  for (const { set, until } of draft.state.live)
    if (set !== sending?.set && until !== null && draft.at >= until) draft.emit(SymmetricSetRetired, { set })
  return draft.accept()
}

/** The number of the set that must be minted and supplied with a command, or none. */
export const setNeeded = (
  state: SymmetricKeysState,
  command: SymmetricKeysChange,
  context: CommandContext
): number | undefined => {
  const { supply: _, ...bare } = command
  const decision = decide(state, bare as typeof command, context)
  return decision._tag === "Refused" && decision.rule === "key-missing" ? state.next : undefined
}

const changeSets = (draft: SetDraft, command: SymmetricKeysChange): Refused | undefined => {
  const { plan } = command
  const waiting = draft.state.live.find((it) => it.set >= draft.state.floor && it.trustedFrom > draft.at)
  switch (command._tag) {
    case "Tick": {
      const last = draft.state.live.at(-1)
      if (plan.rotationMs === 0 || last === undefined || waiting !== undefined) return undefined
      const due = last.trustedFrom + plan.rotationMs
      if (draft.at < due - plan.announceMs) return undefined
      return announce(draft, command, Math.max(due, draft.at + plan.announceMs))
    }
    case "Rotate":
      if (waiting !== undefined)
        return refuse("under-way", `set ${waiting.set} is trusted from ${toIso(waiting.trustedFrom)}: wait for it`)
      return announce(draft, command, draft.at + (draft.state.next === 1 ? 0 : plan.announceMs))
    case "Revoke": {
      const status = setStatus(draft.state, command.set, draft.at)
      if (status === "unknown")
        return refuse("unknown-set", `there is no set ${command.set}; the last is ${draft.state.next - 1}`)
      if (status === "ended") return refuse("already-ended", `set ${command.set} has been retired or revoked before`)
      draft.emit(SymmetricSetRevoked, { set: command.set, reason: command.reason })
      if (status !== "trusted") return undefined
      if (waiting === undefined) return announce(draft, command, draft.at + plan.leadMs)
      draft.emit(SymmetricSetBroughtForward, { set: waiting.set, trustedFrom: toIso(draft.at) })
      return undefined
    }
  }
}

const announce = (draft: SetDraft, { plan, supply }: WithSupply, trustedFrom: number): Refused | undefined => {
  const set = draft.state.next
  if (supply?.set !== set)
    return refuse("key-missing", `the keys of set ${set} are needed with this command: mint them and retry`)
  const clash = keyIdClash(draft.state, supply.keys)
  if (clash !== undefined)
    return refuse("key-id-in-use", `key id ${clash} is in use: choose ids that no live set has, each once`)
  draft.emit(SymmetricSetAnnounced, {
    set,
    keys: supply.keys,
    trustedFrom: toIso(trustedFrom),
    predecessorUntil: toIso(trustedFrom + plan.graceMs)
  })
  return undefined
}

/** The first key id that is there twice, among the keys or between them and the live sets. */
const keyIdClash = (state: SymmetricKeysState, keys: ReadonlyArray<SymmetricKey>): number | undefined => {
  const taken = new Set(state.live.flatMap((it) => it.keys.map(({ keyId }) => keyId)))
  return keys.find(({ keyId }) => taken.has(keyId) || !taken.add(keyId))?.keyId
}

/** Folds one event. Rejected: numbers out of order, key ids in use, anything about a set that has ended. */
const evolve = (state: SymmetricKeysState, event: SymmetricKeysEvent): SymmetricKeysState | EventRejected => {
  if (event.version <= state.version) return state
  const base = { ...state, version: event.version, latest: Math.max(state.latest, fromIso(event.time)) }
  if (event.type === "SymmetricLeaderTookOver")
    return mayFollowTerm(event.data.term, state.term)
      ? { ...base, term: event.data.term, leader: event.data.leader }
      : new EventRejected(`term ${event.data.term} cannot follow ${state.term}`)
  if (event.type === "SymmetricKeysRestored") return restored(state, base, event)
  if (event.type === "SymmetricSetAnnounced") return announced(state, base, event)
  const { set } = event.data
  const index = state.live.findIndex((it) => it.set === set)
  const found = state.live[index]
  if (found === undefined) return new EventRejected(`set ${set} is not live`)
  const sending = sendingSet(state, base.latest)
  const without = state.live.filter((it) => it !== found)
  switch (event.type) {
    case "SymmetricSetBroughtForward": {
      const trustedFrom = fromIso(event.data.trustedFrom)
      if (
        set < state.floor ||
        trustedFrom > found.trustedFrom ||
        trustedFrom < (state.live[index - 1]?.trustedFrom ?? 0)
      )
        return new EventRejected(`set ${set} cannot be trusted from ${event.data.trustedFrom}`)
      return { ...base, live: state.live.with(index, { ...found, trustedFrom }) }
    }
    case "SymmetricSetTrusted":
      return set < state.floor || found.trustedFrom > base.latest
        ? new EventRejected(`set ${set} cannot be trusted now`)
        : { ...base, floor: set, trusted: set }
    case "SymmetricSetRetired":
      return sending === found
        ? new EventRejected(`set ${set} is being sent with and cannot retire`)
        : { ...base, live: without }
    case "SymmetricSetRevoked":
      return { ...base, live: without, floor: sending === found ? set + 1 : state.floor }
  }
}

const announced = (
  state: SymmetricKeysState,
  base: SymmetricKeysState,
  event: EventOf<typeof SymmetricSetAnnounced>
): SymmetricKeysState | EventRejected => {
  const { set, keys } = event.data
  const trustedFrom = fromIso(event.data.trustedFrom)
  const last = state.live.at(-1)
  if (set !== state.next) return new EventRejected(`set ${set} announced where ${state.next} was expected`)
  if (trustedFrom < (last?.trustedFrom ?? 0)) return new EventRejected(`set ${set} is trusted before the one before it`)
  const clash = keyIdClash(state, keys)
  if (clash !== undefined) return new EventRejected(`set ${set} reuses key id ${clash}`)
  const until = fromIso(event.data.predecessorUntil)
  const live = state.live.map((it) => (it.until === null ? { ...it, until } : it))
  return {
    ...base,
    next: set + 1,
    live: [...live, { set, keys, announced: base.latest, trustedFrom, until: null, announcedBy: event.id }]
  }
}

export const symmetricKeys = { decide, evolve } satisfies Decider<
  SymmetricKeysState,
  SymmetricKeysCommand,
  SymmetricKeysEvent
>
