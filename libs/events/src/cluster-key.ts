/**
 * The cluster key: which key the key store's data keys are wrapped under, and the change from one to the next. The key is
 * never here, only its fingerprint. A change is resumable: each slot of the key store says which key wraps it, so whoever
 * leads goes on with the slots that still name the old one, and the change ends when none does.
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
  refuse
} from "./event.ts"

export const CLUSTER_KEY_SUBJECT = "keys.cluster"

const FINGERPRINT = /^[0-9a-f]{16}$/

/** 16 hexadecimal digits that tell one cluster key from another and nothing about it. */
const Fingerprint = Schema.String.check(Schema.isPattern(FINGERPRINT))

const ClusterKeyIntroduced = defineEvent("ClusterKeyIntroduced", Schema.Struct({ key: Fingerprint }))

/** Base64 of nonce, ciphertext and tag. */
const Box = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9+/]{54,1366}={0,2}$/))

/**
 * Slots are being wrapped anew. Until the change is complete a node needs both keys. `log` is the former key's log key, sealed
 * for those who have the new one: with it they can tell who wrote what stands in the log from before.
 */
const ClusterKeyChangeStarted = defineEvent(
  "ClusterKeyChangeStarted",
  Schema.Struct({ from: Fingerprint, to: Fingerprint, log: Schema.optionalKey(Box) }),
  // Version 2 has `log`; nothing else is different.
  [(data) => data]
)

/** Every slot is wrapped under the new key; the old one opens nothing any more and may be destroyed. */
const ClusterKeyChanged = defineEvent("ClusterKeyChanged", Schema.Struct({ key: Fingerprint }))

/** From here on every event of keys, policy and members bears a MAC; one without is put aside. */
const LogSealed = defineEvent("LogSealed", Schema.Struct({}))

/** All that was known, for a log that has lost what was said of it before. */
const ClusterKeyRestored = defineEvent(
  "ClusterKeyRestored",
  Schema.Struct({
    current: Schema.NullOr(Fingerprint),
    changingTo: Schema.NullOr(Fingerprint),
    former: Schema.Array(Fingerprint).check(Schema.isMaxLength(1_024)),
    sealed: Schema.Boolean
  })
)

export const clusterKeyDefinitions = [
  ClusterKeyIntroduced,
  ClusterKeyChangeStarted,
  ClusterKeyChanged,
  LogSealed,
  ClusterKeyRestored
] as const

export type ClusterKeyEvent = EventOf<(typeof clusterKeyDefinitions)[number]>

export interface ClusterKeyState extends AggregateState {
  readonly current: string | null
  /** The key being changed to. */
  readonly changingTo: string | null
  /** Keys that were current once. They do not come back. */
  readonly former: ReadonlyArray<string>
  /** Whether every event must bear a MAC by now. Absent where it need not. */
  readonly sealed?: true
}

export const clusterKeyInitial: ClusterKeyState = { version: 0, latest: 0, current: null, changingTo: null, former: [] }

export type ClusterKeyCommand =
  | { readonly _tag: "Introduce"; readonly key: string }
  /** `log`: see {@link ClusterKeyChangeStarted}. */
  | { readonly _tag: "StartChange"; readonly to: string; readonly log?: string }
  /** `remaining` are the slots still wrapped under the old key. */
  | { readonly _tag: "FinishChange"; readonly remaining: number }
  | { readonly _tag: "Seal" }
  /** Says all that is known, for a log that has lost it. */
  | { readonly _tag: "Restore" }

/** Refused: `malformed`, `already-introduced`, `no-cluster-key`, `former-key`, `under-way`, `not-started`, `not-done`. */
const decide = (
  state: ClusterKeyState,
  command: ClusterKeyCommand,
  context: CommandContext
): Decision<ClusterKeyEvent> => {
  const draft: Draft<ClusterKeyState, ClusterKeyEvent> = new Draft(evolve, state, CLUSTER_KEY_SUBJECT, context)
  const wanted = command._tag === "Introduce" ? command.key : command._tag === "StartChange" ? command.to : undefined
  if (wanted !== undefined && !FINGERPRINT.test(wanted)) return refuse("malformed", "a fingerprint is 16 hex digits")
  switch (command._tag) {
    case "Introduce":
      if (state.current === command.key) break
      if (state.current !== null)
        return refuse("already-introduced", `the cluster's key is ${state.current}: give this node that key`)
      draft.emit(ClusterKeyIntroduced, { key: command.key })
      break
    case "StartChange":
      if (state.current === null) return refuse("no-cluster-key", "there is no cluster key to change: introduce one")
      if (state.changingTo === command.to) break
      if (state.changingTo !== null)
        return refuse("under-way", `the change to ${state.changingTo} is not complete: finish it first`)
      if (command.to === state.current || state.former.includes(command.to))
        return refuse("former-key", `key ${command.to} is or was the cluster's: make a new one`)
      draft.emit(ClusterKeyChangeStarted, {
        from: state.current,
        to: command.to,
        ...(command.log === undefined ? {} : { log: command.log })
      })
      break
    case "FinishChange":
      if (state.changingTo === null) return refuse("not-started", "no change of the cluster key is under way")
      if (command.remaining > 0)
        return refuse("not-done", `${command.remaining} slots are still wrapped under ${state.current}: wrap them anew`)
      draft.emit(ClusterKeyChanged, { key: state.changingTo })
      break
    case "Seal":
      if (state.sealed !== true) draft.emit(LogSealed, {})
      break
    case "Restore": {
      const { current, changingTo, former, sealed = false } = state
      draft.emit(ClusterKeyRestored, { current, changingTo, former, sealed })
      break
    }
  }
  return draft.accept()
}

/** Folds one event. Rejected: a change that does not start from the current key or was not started. */
const evolve = (state: ClusterKeyState, event: ClusterKeyEvent): ClusterKeyState | EventRejected => {
  if (event.version <= state.version) return state
  const base = { ...state, version: event.version, latest: Math.max(state.latest, fromIso(event.time)) }
  switch (event.type) {
    case "ClusterKeyIntroduced":
      return state.current === null
        ? { ...base, current: event.data.key }
        : new EventRejected(`the cluster's key is already ${state.current}`)
    case "ClusterKeyChangeStarted": {
      const { from, to } = event.data
      if (from !== state.current || state.changingTo !== null || to === from || state.former.includes(to))
        return new EventRejected(`the cluster's key cannot change from ${from} to ${to}`)
      return { ...base, changingTo: to }
    }
    case "ClusterKeyChanged":
      return state.current !== null && event.data.key === state.changingTo
        ? { ...base, current: event.data.key, changingTo: null, former: [...state.former, state.current] }
        : new EventRejected(`no change to ${event.data.key} is under way`)
    case "LogSealed":
      return { ...base, sealed: true }
    case "ClusterKeyRestored": {
      const { sealed, ...said } = event.data
      return { ...base, ...said, restored: event.version, ...(sealed || state.sealed === true ? { sealed: true } : {}) }
    }
  }
}

export const clusterKey = { decide, evolve } satisfies Decider<ClusterKeyState, ClusterKeyCommand, ClusterKeyEvent>
