/**
 * A node of the cluster, one aggregate each: that it exists, what it runs, whether it may serve, and whether an operator
 * has drained it. Heartbeats would fill a log in the end, so their rate is bounded, and every thousandth event says all
 * that is known of the node: what came before it may be dropped. What changes is told at once.
 */
import * as Schema from "effect/Schema"
import {
  type AggregateState,
  type CommandContext,
  type Decider,
  type Decision,
  defineEvent,
  Draft,
  EventRejected,
  type EventOf,
  fromIso,
  isNodeName,
  Reason,
  refuse
} from "./event.ts"

/** The subject of a node's own events. */
export const memberSubject = (node: string): string => `members.${node}`

const Version = Schema.String.check(Schema.isPattern(/^[0-9A-Za-z.+-]{1,64}$/))
const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))
const Generation = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** A node started: at its first start ever, and again at each one after. */
const MemberRegistered = defineEvent("MemberRegistered", Schema.Struct({ version: Version, workers: Count }))

/** How a node is. */
export const MemberHealth = Schema.Struct({
  /** Workers that answer. */
  workers: Count,
  synchronised: Schema.Boolean,
  /** Highest NTS generation and symmetric set the node holds, 0 for none. */
  ntsGeneration: Generation,
  symmetricSet: Generation
})
export type MemberHealth = typeof MemberHealth.Type

export const MemberHeartbeat = defineEvent("MemberHeartbeat", Schema.Struct({ health: MemberHealth }))

/**
 * A heartbeat that says all that the fold holds of the node, so that the log can do without every event before it. How
 * many those were is its version less one.
 */
const MemberSummarised = defineEvent(
  "MemberSummarised",
  Schema.Struct({
    release: Version,
    /** As registered; `health` has those that answer. */
    workers: Count,
    health: MemberHealth,
    ready: Schema.Boolean,
    /** Why it is not ready, null when it is. */
    reason: Schema.NullOr(Reason),
    drained: Schema.Boolean
  })
)

/** The node may be sent traffic. */
const MemberReady = defineEvent("MemberReady", Schema.Struct({}))

/** The node asks not to be sent traffic: a key generation it lacks, a clock that is off. */
const MemberUnready = defineEvent("MemberUnready", Schema.Struct({ reason: Reason }))

/** An operator takes the node out; it stays out over restarts. */
const MemberDrained = defineEvent("MemberDrained", Schema.Struct({ reason: Reason }))
const MemberUndrained = defineEvent("MemberUndrained", Schema.Struct({}))

export const membersDefinitions = [
  MemberRegistered,
  MemberHeartbeat,
  MemberSummarised,
  MemberReady,
  MemberUnready,
  MemberDrained,
  MemberUndrained
] as const

export type MemberEvent = EventOf<(typeof membersDefinitions)[number]>

export interface MemberState extends AggregateState {
  readonly node: string
  /** Absent until it registers. */
  readonly release: string | null
  readonly workers: number
  readonly health: MemberHealth | null
  /** When it last said anything itself, milliseconds since 1970. */
  readonly heardAt: number
  readonly ready: boolean
  /** Why it is not ready; empty when it is. */
  readonly reason: string
  readonly drained: boolean
  /** Version of the last summary. Absent before the first, and in what an older release has folded. */
  readonly summarised?: number
}

/** A node of which nothing is known. */
export const memberInitial = (node: string): MemberState => ({
  version: 0,
  latest: 0,
  node,
  release: null,
  workers: 0,
  health: null,
  heardAt: 0,
  ready: false,
  reason: "not started",
  drained: false
})

/** Least time between two heartbeats that say the same, milliseconds. */
export const HEARTBEAT_FLOOR_MS = 10_000

/** Least time between two heartbeats whatever they say, milliseconds. */
const HEARTBEAT_CHANGE_FLOOR_MS = 1_000

/** Events of a node after which a heartbeat is a summary. */
export const EVENTS_PER_SUMMARY = 1_000

/** Whether the fold needs nothing of the node's events before this one. */
export const isSummary = (event: { readonly type: string }): boolean => event.type === MemberSummarised.type

/** Whether the node has been heard within `silenceMs`. */
export const isLive = (state: MemberState, now: number, silenceMs: number): boolean =>
  state.release !== null && now - state.heardAt <= silenceMs

/** Whether traffic may be sent to the node. */
export const isServing = (state: MemberState): boolean => state.ready && !state.drained

export type MemberCommand =
  | { readonly _tag: "Register"; readonly version: string; readonly workers: number }
  | { readonly _tag: "Heartbeat"; readonly health: MemberHealth }
  /** Says all that is known of the node, for a log that has lost it. */
  | { readonly _tag: "Summarise"; readonly health: MemberHealth }
  | { readonly _tag: "SetReady" }
  | { readonly _tag: "SetUnready"; readonly reason: string }
  | { readonly _tag: "Drain"; readonly reason: string }
  | { readonly _tag: "Undrain" }

/**
 * Refused: `bad-name`, `unknown-member` (it has never registered). A heartbeat that comes too soon, and a command for
 * what already is, are accepted with no events.
 */
const decide = (state: MemberState, command: MemberCommand, context: CommandContext): Decision<MemberEvent> => {
  if (!isNodeName(state.node)) return refuse("bad-name", "a node's name is a-z, 0-9 and inner hyphens, at most 63")
  if (state.release === null && command._tag !== "Register")
    return refuse("unknown-member", `node ${state.node} has never registered: check the name`)
  const draft: Draft<MemberState, MemberEvent> = new Draft(evolve, state, memberSubject(state.node), context)
  switch (command._tag) {
    case "Register":
      draft.emit(MemberRegistered, { version: command.version, workers: command.workers })
      break
    case "Heartbeat": {
      const floor = sameHealth(state.health, command.health) ? HEARTBEAT_FLOOR_MS : HEARTBEAT_CHANGE_FLOOR_MS
      if (state.health !== null && draft.at - state.heardAt < floor) break
      if (state.release === null || state.version - (state.summarised ?? 0) < EVENTS_PER_SUMMARY)
        draft.emit(MemberHeartbeat, { health: command.health })
      else summarise(draft, state.release, command.health)
      break
    }
    case "Summarise":
      if (state.release !== null) summarise(draft, state.release, command.health)
      break
    case "SetReady":
      if (!state.ready) draft.emit(MemberReady, {})
      break
    case "SetUnready":
      if (state.ready || state.reason !== command.reason) draft.emit(MemberUnready, { reason: command.reason })
      break
    case "Drain":
      if (!state.drained) draft.emit(MemberDrained, { reason: command.reason })
      break
    case "Undrain":
      if (state.drained) draft.emit(MemberUndrained, {})
      break
  }
  return draft.accept()
}

const summarise = (draft: Draft<MemberState, MemberEvent>, release: string, health: MemberHealth): void => {
  const { workers, ready, reason, drained } = draft.state
  draft.emit(MemberSummarised, { release, workers, health, ready, reason: ready ? null : reason, drained })
}

const sameHealth = (a: MemberHealth | null, b: MemberHealth): boolean =>
  a !== null &&
  a.workers === b.workers &&
  a.synchronised === b.synchronised &&
  a.ntsGeneration === b.ntsGeneration &&
  a.symmetricSet === b.symmetricSet

/** Folds one event. Rejected: another node's, and any before the first registration or summary. */
const evolve = (state: MemberState, event: MemberEvent): MemberState | EventRejected => {
  if (event.version <= state.version) return state
  if (event.subject !== memberSubject(state.node)) return new EventRejected(`the event is of ${event.subject}`)
  if (state.release === null && event.type !== "MemberRegistered" && event.type !== "MemberSummarised")
    return new EventRejected(`node ${state.node} has not registered`)
  const latest = Math.max(state.latest, fromIso(event.time))
  const base = { ...state, version: event.version, latest }
  switch (event.type) {
    case "MemberRegistered":
      return {
        ...base,
        heardAt: latest,
        release: event.data.version,
        workers: event.data.workers,
        health: null,
        ready: false,
        reason: "starting"
      }
    case "MemberHeartbeat":
      return { ...base, heardAt: latest, health: event.data.health }
    case "MemberSummarised": {
      const { reason, ...said } = event.data
      return { ...base, ...said, heardAt: latest, reason: reason ?? "", summarised: event.version }
    }
    case "MemberReady":
      return { ...base, heardAt: latest, ready: true, reason: "" }
    case "MemberUnready":
      return { ...base, heardAt: latest, ready: false, reason: event.data.reason }
    case "MemberDrained":
      return { ...base, drained: true }
    case "MemberUndrained":
      return { ...base, drained: false }
  }
}

export const member = { decide, evolve } satisfies Decider<MemberState, MemberCommand, MemberEvent>
