/** All that a gate is made of, as plain data that one process compiles and others use. */
import { AccessFlag } from "./access-flags.ts"
import { type AccessLayer, AccessList } from "./access-list.ts"
import { ClientTable, type ClientTablePlan } from "./client-table.ts"
import { AccessGate, type GateManners } from "./gate.ts"
import { Chance, type RateLimit, RateLimiter } from "./rate-limit.ts"

export interface AccessPlan {
  /** The lists that a packet passes, at most two. */
  readonly layers: readonly AccessLayer[]
  readonly limit: RateLimit
  readonly manners: GateManners
  /** How the list of clients is kept; null: not at all. */
  readonly clients: ClientTablePlan | null
}

/**
 * A gate over a plan.
 * @param memory of the table of clients; undefined where there is none to be kept
 * @param seed of its chances
 * @param slots most datagrams of a batch
 */
export const gateOf = (plan: AccessPlan, memory: ArrayBuffer | undefined, seed: number, slots: number): AccessGate => {
  const chance = new Chance(seed)
  const limiter = new RateLimiter(plan.limit, chance)
  const table =
    plan.clients === null || memory === undefined
      ? undefined
      : new ClientTable(memory, plan.clients, limiter, chance, slots)
  return new AccessGate(new AccessList(plan.layers), table, limiter, plan.manners, chance, slots)
}

/** Whether anybody can be over a limit by this plan. */
export const limitsAnybody = ({ layers, manners }: AccessPlan): boolean =>
  manners.limited || layers.some(({ flagSets }) => flagSets.some((flags) => (flags & AccessFlag.limited) !== 0))
