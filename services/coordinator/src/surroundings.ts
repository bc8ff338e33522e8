/** What the coordinator's process gives it to work with. */
import type { ServingKeys } from "@meridian/auth/serving-keys"
import type { KeyStore } from "@meridian/event-log"
import type { CoordinatorPlan } from "@meridian/ipc/coordinator-plan"
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import type { ClusterKeys } from "./cluster-keys.ts"
import type { Notices } from "./notices.ts"

export interface Surroundings {
  readonly settings: CoordinatorPlan
  readonly keys: ClusterKeys
  readonly notices: Notices
  readonly sendKeys: (keys: ServingKeys) => void
  /** Called once, when the supervisor has what it needs or a warning why not. */
  readonly onReady: () => void
  /** Told at once what a node must not go on serving without: it is drained, lacks a key, its clock is off, or it is none of that any more. */
  readonly onNews: (report: CoordinatorReport) => void
  /** This system's clock, milliseconds since 1970. */
  readonly now: () => number
  /** This node's own key store where the cluster's is elsewhere. */
  readonly mirror: KeyStore["Service"] | undefined
}
