/** The aggregates: what each is told (commands), what follows (events), what it then is (state). */
export {
  type AggregateState,
  type CommandContext,
  type Decider,
  type Envelope,
  EventRejected,
  MAX_EVENT_BYTES,
  effectiveNow,
  fold,
  fromIso,
  isAuthor,
  isNodeName,
  toIso
} from "./event.ts"
export {
  type AnyEvent,
  type Family,
  type RefusalReason,
  encodeEvent,
  familyOf,
  isRestoration,
  judgeEvent,
  readEventQuickly
} from "./catalogue.ts"
export {
  type ClockCommand,
  type ClockDecision,
  type ClockEvent,
  type ClockState,
  Measurement,
  type OperatorAct,
  clock,
  clockInitial,
  clockSubject
} from "./clock.ts"
export {
  CLUSTER_KEY_SUBJECT,
  type ClusterKeyCommand,
  type ClusterKeyEvent,
  type ClusterKeyState,
  clusterKey,
  clusterKeyInitial
} from "./cluster-key.ts"
export {
  EVENTS_PER_SUMMARY,
  HEARTBEAT_FLOOR_MS,
  type MemberEvent,
  MemberHealth,
  type MemberState,
  isLive,
  isServing,
  isSummary,
  member,
  memberInitial,
  memberSubject
} from "./members.ts"
export {
  acceptedGenerations,
  activeGeneration,
  generationStatus,
  generationsNeeded,
  ntsKeys,
  pendingGenerations
} from "./nts-keys.ts"
export { type NtsGeneration, type NtsKeysState, ntsKeysInitial } from "./nts-keys-state.ts"
export type { EarlierGeneration, NtsKeysCommand, NtsKeysPlan, SuppliedKey } from "./nts-keys-commands.ts"
export { MOST_LIVE_GENERATIONS, NTS_KEYS_SUBJECT, type NtsKeysEvent } from "./nts-keys-events.ts"
export {
  POLICY_SUBJECT,
  type PolicyChanges,
  type PolicyCommand,
  type PolicyEvent,
  PolicySettings,
  type PolicyState,
  defaultPolicy,
  policy,
  policyInitial
} from "./policy.ts"
export { SealedKey, isSlotName } from "./sealed-key.ts"
export {
  type SuppliedSet,
  type SymmetricKeysCommand,
  type SymmetricKeysPlan,
  acceptedSets,
  setNeeded,
  setStatus,
  symmetricKeys
} from "./symmetric-keys.ts"
export {
  SYMMETRIC_KEYS_SUBJECT,
  type SymmetricKey,
  type SymmetricKeysEvent,
  type SymmetricKeysState,
  type SymmetricSet,
  symmetricKeysInitial
} from "./symmetric-keys-state.ts"
