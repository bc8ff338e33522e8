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
} from "./node-status.ts"
export type { ClockView, ClusterState, Explanation, GenerationView, MemberView, SetView } from "./cluster-state.ts"
export type { ClientEntry, ClientList } from "./client-list.ts"
export type { ReloadReport } from "./reload-report.ts"
