/** What a node says of itself and its cluster to those who ask. Types alone: importing them loads nothing. */
export type {
  AnycastStatus,
  AutokeyStatus,
  ClockStatus,
  DrainStatus,
  KeyStatus,
  NodeStatus,
  NtsKeStatus,
  SigndStatus,
  WorkerState,
  WorkerStatus,
  XdpStatus
} from "./node/node-status.ts"
export type { ClockView, ClusterState, Explanation, GenerationView, MemberView, SetView } from "./node/cluster-state.ts"
export type { ClientEntry, ClientList } from "./node/client-list.ts"
export type { ReloadReport } from "./node/reload-report.ts"
