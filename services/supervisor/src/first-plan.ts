/** What the processes of a node work by when they start: the serving plan of its settings. */
import type { ServingKeys } from "@meridian/auth/serving-keys"
import type { ServingEndpoint } from "@meridian/ipc/discipline-report"
import type { ServingPlan } from "@meridian/ipc/serving-plan"
import type { AccessPlanner } from "./access-planner.ts"
import type { NodePlan } from "./node-plan.ts"
import { servesKeys } from "./plan-change.ts"

/** What is known only when the node starts. */
interface StartFacts {
  readonly keys: ServingKeys
  readonly autokey: ServingPlan["autokey"]
  readonly access: AccessPlanner
  /** CLOCK_MONOTONIC, seconds */
  readonly silentUntil: number
  /** log2 seconds; null: each process measures it. */
  readonly precision: number | null
  readonly serving: readonly ServingEndpoint[]
  /** Addresses of sources that an operator took offline while the version before ran. */
  readonly offline: readonly string[]
  readonly wasDrained: boolean
}

export const firstPlan = (plan: NodePlan, facts: StartFacts): ServingPlan => ({
  keys: facts.keys,
  servesKeys: servesKeys(plan),
  serving: {
    gatherMicroseconds: plan.gatherMicroseconds,
    silentUntil: facts.silentUntil,
    // A client's poll interval is echoed as it is, the negative ones of sub-second polls too.
    minimumPoll: -128,
    precision: facts.precision,
    tellPeers: (plan.discipline.passivePeers ?? 0) > 0,
    access: facts.access.encoded
  },
  ntsKe: plan.nts?.settings ?? null,
  acceptsNtsKe: !facts.wasDrained,
  anycast: plan.anycast?.settings ?? null,
  announces: !facts.wasDrained,
  identity: plan.identifiesAs === undefined ? null : { ...plan.identifiesAs, decision: "" },
  signd: plan.signdSocket === undefined ? null : { socket: plan.signdSocket },
  discipline: { ...plan.discipline, serving: facts.serving, offline: facts.offline },
  autokey: facts.autokey,
  coordinator: plan.coordinator,
  control: {
    stateDirectory: plan.stateDirectory,
    http: plan.http,
    controlKey: plan.controlKey ?? null,
    rules: facts.access.shown
  }
})
