/**
 * What the cluster's nodes share as configuration: how keys rotate, how long clock events are kept, when a silent node
 * counts as gone. A change is checked as a whole, so that no two settings ever contradict each other.
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
  Milliseconds,
  refuse
} from "./event.ts"
import { MasterKeyAead, MOST_LIVE_GENERATIONS } from "./nts-keys-events.ts"

export const POLICY_SUBJECT = "policy"

/** The active one, and one that a rotation on command announces before the next retires. */
const BESIDE_ACCEPTED = 2

const Generations = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: MOST_LIVE_GENERATIONS }))

const fields = {
  ntsAead: MasterKeyAead,
  ntsRotationMs: Milliseconds,
  /** Generations that still open cookies after their time, and those published ahead. */
  ntsAcceptPast: Generations,
  ntsAcceptFuture: Generations,
  /** From a rotation on command to its activation. */
  ntsLeadMs: Milliseconds,
  /** 0: symmetric keys rotate only on command. */
  symmetricRotationMs: Milliseconds,
  symmetricAnnounceMs: Milliseconds,
  symmetricGraceMs: Milliseconds,
  /** Clock events older than this, or above this many or this many bytes of one node, are dropped from the log. */
  clockRetentionMs: Milliseconds,
  clockRetentionCount: Schema.Int.check(Schema.isBetween({ minimum: 100, maximum: 100_000_000 })),
  clockRetentionBytes: Schema.Int.check(Schema.isBetween({ minimum: 65_536, maximum: 1_099_511_627_776 })),
  /** A node not heard for this long is not waited for. */
  memberSilenceMs: Milliseconds
}

export const PolicySettings = Schema.Struct(fields)
export type PolicySettings = typeof PolicySettings.Type

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** What holds until a policy event says otherwise. */
export const defaultPolicy: PolicySettings = {
  ntsAead: 15,
  ntsRotationMs: DAY,
  ntsAcceptPast: 10,
  ntsAcceptFuture: 1,
  ntsLeadMs: 10_000,
  symmetricRotationMs: 0,
  symmetricAnnounceMs: 7 * DAY,
  symmetricGraceMs: 30 * DAY,
  clockRetentionMs: 90 * DAY,
  clockRetentionCount: 1_000_000,
  clockRetentionBytes: 256 * 1024 * 1024,
  memberSilenceMs: 180_000
}

/** Only what changes is in the event. */
const PolicyChanged = defineEvent(
  "PolicyChanged",
  Schema.Struct({
    changes: Schema.Struct({
      ntsAead: Schema.optionalKey(fields.ntsAead),
      ntsRotationMs: Schema.optionalKey(fields.ntsRotationMs),
      ntsAcceptPast: Schema.optionalKey(fields.ntsAcceptPast),
      ntsAcceptFuture: Schema.optionalKey(fields.ntsAcceptFuture),
      ntsLeadMs: Schema.optionalKey(fields.ntsLeadMs),
      symmetricRotationMs: Schema.optionalKey(fields.symmetricRotationMs),
      symmetricAnnounceMs: Schema.optionalKey(fields.symmetricAnnounceMs),
      symmetricGraceMs: Schema.optionalKey(fields.symmetricGraceMs),
      clockRetentionMs: Schema.optionalKey(fields.clockRetentionMs),
      clockRetentionCount: Schema.optionalKey(fields.clockRetentionCount),
      clockRetentionBytes: Schema.optionalKey(fields.clockRetentionBytes),
      memberSilenceMs: Schema.optionalKey(fields.memberSilenceMs)
    })
  }),
  // Version 2 has clockRetentionBytes; nothing else is different.
  [(data) => data]
)

/** All settings, for a log that has lost what was said of them before. */
const PolicyRestored = defineEvent("PolicyRestored", Schema.Struct({ settings: PolicySettings }))

export const policyDefinitions = [PolicyChanged, PolicyRestored] as const

export type PolicyEvent = EventOf<(typeof policyDefinitions)[number]>
export type PolicyChanges = EventOf<typeof PolicyChanged>["data"]["changes"]

export interface PolicyState extends AggregateState {
  readonly settings: PolicySettings
}

export const policyInitial: PolicyState = { version: 0, latest: 0, settings: defaultPolicy }

export type PolicyCommand =
  | { readonly _tag: "Change"; readonly changes: PolicyChanges }
  /** Says all that is known, for a log that has lost it. */
  | { readonly _tag: "Restore" }

const isSettings = Schema.is(PolicySettings)

/** Why the settings contradict each other, or undefined. */
export const contradiction = (settings: PolicySettings): string | undefined => {
  if (!isSettings(settings)) return "a setting is out of its range"
  if (settings.ntsRotationMs < 1_000) return "ntsRotationMs must be at least 1000"
  if (settings.ntsLeadMs * 2 > settings.ntsRotationMs) return "ntsLeadMs must be at most half of ntsRotationMs"
  if (settings.symmetricRotationMs !== 0 && settings.symmetricAnnounceMs > settings.symmetricRotationMs)
    return "symmetricAnnounceMs must not be above symmetricRotationMs"
  if (settings.memberSilenceMs < 20_000) return "memberSilenceMs must be at least 20000, two heartbeats"
  return undefined
}

/** Not asked of events that are there: an older release accepted them, and what is served is bounded by itself. */
const tooMany = ({ ntsAcceptPast, ntsAcceptFuture }: PolicySettings): string | undefined =>
  ntsAcceptPast + ntsAcceptFuture + BESIDE_ACCEPTED > MOST_LIVE_GENERATIONS
    ? `ntsAcceptPast and ntsAcceptFuture must be at most ${MOST_LIVE_GENERATIONS - BESIDE_ACCEPTED} together: a key ring holds ${MOST_LIVE_GENERATIONS} generations`
    : undefined

/** Refused: `contradiction`. Settings that already hold give no event. */
const decide = (state: PolicyState, command: PolicyCommand, context: CommandContext): Decision<PolicyEvent> => {
  const draft: Draft<PolicyState, PolicyEvent> = new Draft(evolve, state, POLICY_SUBJECT, context)
  if (command._tag === "Restore") {
    draft.emit(PolicyRestored, { settings: { ...defaultPolicy, ...state.settings } })
    return draft.accept()
  }
  const differing = Object.entries(command.changes).filter(
    ([name, value]) => value !== state.settings[name as keyof PolicySettings]
  )
  const changes = Object.fromEntries(differing) as PolicyChanges
  const wished = { ...defaultPolicy, ...state.settings, ...changes }
  const why = contradiction(wished) ?? tooMany(wished)
  if (why !== undefined) return refuse("contradiction", why)
  if (differing.length > 0) draft.emit(PolicyChanged, { changes })
  return draft.accept()
}

/** Folds one event. Rejected: settings that contradict each other. */
const evolve = (state: PolicyState, event: PolicyEvent): PolicyState | EventRejected => {
  if (event.version <= state.version) return state
  // A state that an older release has folded lacks the settings of this one.
  const said = event.type === "PolicyRestored" ? event.data.settings : event.data.changes
  const settings = { ...defaultPolicy, ...state.settings, ...said }
  const why = contradiction(settings)
  if (why !== undefined) return new EventRejected(why)
  const base = { ...state, version: event.version, latest: Math.max(state.latest, fromIso(event.time)), settings }
  return event.type === "PolicyRestored" ? { ...base, restored: event.version } : base
}

export const policy = { decide, evolve } satisfies Decider<PolicyState, PolicyCommand, PolicyEvent>
