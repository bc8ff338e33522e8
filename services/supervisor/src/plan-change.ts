/** Another plan for a node that runs. */
import type { CoordinatorReport } from "@meridian/ipc/coordinator-report"
import type { DisciplineConfiguration } from "@meridian/ipc/discipline-report"
import * as Effect from "effect/Effect"
import type { NodeParts } from "./node-parts.ts"
import type { NodePlan } from "./node-plan.ts"

/** Whether the clock's process must start anew for this: it takes other sources by itself, who of them is offline, and nothing else. */
const needsNewClock = (before: DisciplineConfiguration, after: DisciplineConfiguration): boolean => {
  const besides = ({ sources: _sources, offline: _offline, ...rest }: DisciplineConfiguration): string =>
    JSON.stringify(rest)
  const usesNts = ({ sources }: DisciplineConfiguration): boolean => sources.some(({ nts }) => nts !== null)
  const usesAutokey = ({ sources }: DisciplineConfiguration): boolean =>
    sources.some(({ autokey }) => (autokey ?? null) !== null)
  return (
    besides(before) !== besides(after) ||
    (before.sources.length === 0) !== (after.sources.length === 0) ||
    (!usesNts(before) && usesNts(after)) ||
    (!usesAutokey(before) && usesAutokey(after))
  )
}

/** Whether the clock's process has sockets of its own on the node's port that are not connected to one address. */
export const speaksToMany = ({ telling = [], hearing, answering }: DisciplineConfiguration): boolean =>
  telling.length > 0 || (hearing ?? null) !== null || (answering ?? null) !== null

/** The event by which the clock follows what it follows, as far as the log has it. */
export const decisionOf = (report: CoordinatorReport | undefined): string => (report?.clockDecision ?? "").slice(0, 64)

/** Whether anybody is served under keys. */
export const servesKeys = ({ keyFile, nts, coordinator }: NodePlan): boolean =>
  keyFile !== undefined || nts !== undefined || coordinator.mint.symmetric

/**
 * Works by another plan, as far as that is possible without a start; key files and certificates are read again. Returns what
 * went wrong.
 */
export const applyPlan = (parts: NodeParts, next: NodePlan): Effect.Effect<readonly string[]> => {
  const { plan, live, access, servedKeys, coordinator, clock, workers, clients, ntsKe, readAutokeyFiles } = parts
  return Effect.gen(function* () {
    const { mode } = plan.discipline
    const { serving, offline } = live.plan.discipline
    const discipline: DisciplineConfiguration = {
      ...next.discipline,
      mode,
      ...(serving === undefined ? {} : { serving }),
      ...(offline === undefined ? {} : { offline })
    }
    const before = live.plan
    const ntsKeChanged = JSON.stringify(before.ntsKe) !== JSON.stringify(next.nts?.settings ?? null)
    access.use(next.access)
    servedKeys.use(next.keyFile, next.sendCryptoNak)
    live.change({
      servesKeys: servesKeys(next),
      identity:
        next.identifiesAs === undefined ? null : { ...next.identifiesAs, decision: decisionOf(coordinator.report) },
      serving: { ...live.plan.serving, tellPeers: (discipline.passivePeers ?? 0) > 0 },
      ntsKe: plan.nts === undefined ? null : (next.nts?.settings ?? before.ntsKe),
      discipline,
      control: { ...live.plan.control, controlKey: next.controlKey ?? null }
    })
    const problems = [...servedKeys.readFile(), ...readAutokeyFiles()]
    if (needsNewClock(before.discipline, discipline)) yield* clock.service.process.renew
    // Memory of another size goes to another process: one worker after the other, while the rest serve.
    for (const slot of workers) {
      const closeFormer = clients.resize(slot.index, next.access.settings)
      if (closeFormer === undefined) continue
      yield* slot.service.process.refresh
      closeFormer()
    }
    for (const slot of ntsKe) {
      if (ntsKeChanged) yield* slot.service.process.replace
      else slot.service.process.broadcast({ type: "reload" })
    }
    return problems
  })
}
