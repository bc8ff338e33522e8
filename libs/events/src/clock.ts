/**
 * A node's clock, one aggregate each: what it follows and why. Every event carries the measurements it was decided on,
 * so that a served timestamp can be traced to them. These are the events that age out of the log.
 *
 * Offsets, delays, dispersions and jitters are in seconds (RFC 5905 §6); a source is named by its address or refclock id.
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
  Instant,
  isNodeName,
  Reason,
  refuse
} from "./event.ts"

/** The subject of a node's clock. */
export const clockSubject = (node: string): string => `clock.${node}`

const Source = Schema.String.check(Schema.isBetweenLength(1, 128))
const Reach = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))

/** What was known of one source: theta, delta, epsilon, psi of RFC 5905 §8, and the reach register. */
export const Measurement = Schema.Struct({
  source: Source,
  stratum: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 16 })),
  reach: Reach,
  offset: Schema.Finite,
  delay: Schema.Finite,
  dispersion: Schema.Finite,
  jitter: Schema.Finite
})
export type Measurement = typeof Measurement.Type

const Measurements = Schema.Array(Measurement).check(Schema.isMaxLength(64))

/** A system peer was chosen (RFC 5905 §11.2.3), from among `measurements`. Ends holdover. */
export const SystemPeerChosen = defineEvent(
  "SystemPeerChosen",
  Schema.Struct({ peer: Source, previous: Schema.NullOr(Source), reason: Reason, measurements: Measurements })
)

/** A source came into reach or fell out of it. */
export const SourceReachabilityChanged = defineEvent(
  "SourceReachabilityChanged",
  Schema.Struct({ source: Source, reachable: Schema.Boolean, reach: Reach })
)

/**
 * A peer that no line names was taken (symmetric passive mode, RFC 5905 §3.1), or let go. Who came under which key has a
 * say in the node's time from then on.
 */
export const PassivePeerChanged = defineEvent(
  "PassivePeerChanged",
  Schema.Struct({
    source: Source,
    key: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 })),
    taken: Schema.Boolean,
    reason: Reason
  })
)

/** The clock was stepped by `offset` seconds. */
export const ClockStepped = defineEvent(
  "ClockStepped",
  Schema.Struct({ offset: Schema.Finite, reason: Reason, measurements: Measurements })
)

/** A leap second is announced for the end of the day before `at`, or no longer. */
export const LeapArmed = defineEvent(
  "LeapArmed",
  Schema.Struct({
    leap: Schema.Literals(["none", "insert", "delete"]),
    at: Schema.NullOr(Instant),
    source: Source
  })
)

/** No source is fit any more; the clock runs on by itself from this error bound. */
export const HoldoverEntered = defineEvent(
  "HoldoverEntered",
  Schema.Struct({
    lastPeer: Schema.NullOr(Source),
    rootDispersion: Schema.Finite,
    reason: Reason,
    measurements: Measurements
  })
)

/** What operators may do to a running node by ntpq, chronyc, `meridian reload` or a signal. */
const OPERATOR_ACTS = [
  "configure",
  "reload",
  "reload-sources",
  "online",
  "offline",
  "burst",
  "refresh",
  "rekey"
] as const

/** Lines of one act that an event names; of more it says how many. */
const MOST_CHANGES = 32
const LONGEST_CHANGE = 256
const Change = Schema.String.check(Schema.isBetweenLength(1, LONGEST_CHANGE))

/**
 * An operator, who is the event's author, did something to the node: what it follows, and whom it serves, may be otherwise from then on.
 * `changes`: lines that came and went, or addresses.
 */
const OperatorActed = defineEvent(
  "OperatorActed",
  Schema.Struct({
    act: Schema.Literals(OPERATOR_ACTS),
    changes: Schema.Array(Change).check(Schema.isMaxLength(MOST_CHANGES)),
    unnamed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
  })
)

export const clockDefinitions = [
  SystemPeerChosen,
  SourceReachabilityChanged,
  PassivePeerChanged,
  ClockStepped,
  LeapArmed,
  HoldoverEntered,
  OperatorActed
] as const

export type ClockEvent = EventOf<(typeof clockDefinitions)[number]>

/** Sources whose reachability is remembered. */
export const SOURCES_KEPT = 128

type Said<D> = EventOf<D> extends { readonly data: infer Data } ? Data : never

/** Acts of operators that are remembered. */
const ACTS_KEPT = 4

/** An act, when, and whose; `author` is empty where nobody is named. */
interface RememberedAct extends Said<typeof OperatorActed> {
  readonly event: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly author: string
}

export interface ClockState extends AggregateState {
  readonly node: string
  readonly peer: string | null
  /** Id of the event that chose the peer or entered holdover. */
  readonly decidedBy: string | null
  /** The reason which that event gives. */
  readonly reason: string | null
  readonly holdover: boolean
  readonly leap: "none" | "insert" | "delete"
  /** Sources in reach, in order of their coming. */
  readonly reachable: ReadonlyArray<string>
  readonly steps: number
  /** Seconds, of the last step. */
  readonly lastStep: number
  /** The last ones. Absent before the first, and in what an older release has folded. */
  readonly acts?: ReadonlyArray<RememberedAct>
}

/** A clock of which nothing is known. */
export const clockInitial = (node: string): ClockState => ({
  version: 0,
  latest: 0,
  node,
  peer: null,
  decidedBy: null,
  reason: null,
  holdover: false,
  leap: "none",
  reachable: [],
  steps: 0,
  lastStep: 0
})

/** What the clock's process decides. */
export type ClockDecision =
  | ({ readonly _tag: "ChoosePeer" } & Omit<Said<typeof SystemPeerChosen>, "previous">)
  | ({ readonly _tag: "SetReachability" } & Said<typeof SourceReachabilityChanged>)
  | ({ readonly _tag: "SetPassivePeer" } & Said<typeof PassivePeerChanged>)
  | ({ readonly _tag: "Step" } & Said<typeof ClockStepped>)
  | ({ readonly _tag: "ArmLeap" } & Said<typeof LeapArmed>)
  | ({ readonly _tag: "EnterHoldover" } & Omit<Said<typeof HoldoverEntered>, "lastPeer">)
/** What an operator did; of `changes`, as many and as long as they are, the event names the first. */
export type OperatorAct = { readonly _tag: "Act" } & Pick<Said<typeof OperatorActed>, "act" | "changes">
export type ClockCommand = ClockDecision | OperatorAct

/** Refused: `bad-name`, `too-many-sources`, `leap-without-date`. A command for what already is gives no event. */
const decide = (state: ClockState, command: ClockCommand, context: CommandContext): Decision<ClockEvent> => {
  if (!isNodeName(state.node)) return refuse("bad-name", "a node's name is a-z, 0-9 and inner hyphens, at most 63")
  const draft: Draft<ClockState, ClockEvent> = new Draft(evolve, state, clockSubject(state.node), context)
  switch (command._tag) {
    case "ChoosePeer": {
      const { _tag, ...data } = command
      if (state.peer !== command.peer || state.holdover) draft.emit(SystemPeerChosen, { ...data, previous: state.peer })
      break
    }
    case "SetReachability": {
      const { _tag, ...data } = command
      if (state.reachable.includes(command.source) === command.reachable) break
      if (command.reachable && state.reachable.length >= SOURCES_KEPT)
        return refuse("too-many-sources", `at most ${SOURCES_KEPT} sources can be in reach: configure fewer`)
      draft.emit(SourceReachabilityChanged, data)
      break
    }
    case "SetPassivePeer": {
      // A clock's process that starts anew knows of none, so what it says is never what already is.
      const { _tag, ...data } = command
      draft.emit(PassivePeerChanged, data)
      break
    }
    case "Step": {
      const { _tag, ...data } = command
      draft.emit(ClockStepped, data)
      break
    }
    case "Act": {
      const { act, changes } = command
      const named = changes.slice(0, MOST_CHANGES).map((change) => change.slice(0, LONGEST_CHANGE))
      draft.emit(OperatorActed, { act, changes: named, unnamed: changes.length - named.length })
      break
    }
    case "ArmLeap": {
      const { _tag, ...data } = command
      if ((command.leap === "none") !== (command.at === null))
        return refuse("leap-without-date", "a leap second has a date, and none has none")
      if (state.leap !== command.leap) draft.emit(LeapArmed, data)
      break
    }
    case "EnterHoldover": {
      const { _tag, ...data } = command
      if (!state.holdover) draft.emit(HoldoverEntered, { ...data, lastPeer: state.peer })
      break
    }
  }
  return draft.accept()
}

/** Folds one event. Rejected: another node's. */
const evolve = (state: ClockState, event: ClockEvent): ClockState | EventRejected => {
  if (event.version <= state.version) return state
  if (event.subject !== clockSubject(state.node)) return new EventRejected(`the event is of ${event.subject}`)
  const base = { ...state, version: event.version, latest: Math.max(state.latest, fromIso(event.time)) }
  switch (event.type) {
    case "SystemPeerChosen":
      return { ...base, peer: event.data.peer, decidedBy: event.id, reason: event.data.reason, holdover: false }
    case "SourceReachabilityChanged": {
      const { source, reachable } = event.data
      const others = state.reachable.filter((it) => it !== source)
      return { ...base, reachable: reachable ? [...others, source].slice(-SOURCES_KEPT) : others }
    }
    case "PassivePeerChanged":
      return base
    case "ClockStepped":
      return { ...base, steps: state.steps + 1, lastStep: event.data.offset }
    case "LeapArmed":
      return { ...base, leap: event.data.leap }
    case "HoldoverEntered":
      return { ...base, peer: null, decidedBy: event.id, reason: event.data.reason, holdover: true }
    case "OperatorActed": {
      const act = { ...event.data, event: event.id, at: base.latest, author: event.author ?? "" }
      return { ...base, acts: [...(state.acts ?? []), act].slice(-ACTS_KEPT) }
    }
  }
}

export const clock = { decide, evolve } satisfies Decider<ClockState, ClockCommand, ClockEvent>
