/** The event log as a port: commits and their authenticity, sealed keys, the key store, snapshots. */
export {
  type AppendError,
  type Appended,
  EventLog,
  EventRefused,
  type LogBatch,
  LogFull,
  type LogStatus,
  LogUnavailable,
  type ReadOptions,
  type Snapshot,
  VersionConflict
} from "./event-log.ts"
export { type Commit, type Inspect, makeCommit, mayFollow, openCommit } from "./commit.ts"
export { overStore, wants } from "./commit-store.ts"
export { Authenticity, type AuthenticityState, type LogKeys, logKeyOf } from "./authenticity.ts"
export {
  CLUSTER_KEY_BYTES,
  type KeyPlace,
  WronglySealed,
  fingerprint,
  inspectSeals,
  ntsKeyPlace,
  openKey,
  rewrapKey,
  sealKey,
  sealedKeysOf,
  symmetricKeyPlace
} from "./sealing.ts"
export { KeyStore, KeyStoreUnavailable, SlotTaken, type WrappedKey, memoryKeyStore, overSlots } from "./key-store.ts"
export { type SnapshotStore, snapshotFiles } from "./snapshot-file.ts"
export { openOrBeginAnew } from "./damaged-file.ts"
