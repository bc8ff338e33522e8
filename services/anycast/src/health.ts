/** Whether clients may be sent to this node, and why not. Pure. */
import { type ClockCurve, isSynchronised, rootDispersionAt } from "@meridian/time/clock-curve"
import type { AnycastPlan } from "@meridian/ipc/anycast-plan"
import type { AnycastFacts } from "@meridian/ipc/anycast-report"

export interface HealthView {
  readonly plan: Pick<AnycastPlan, "announces" | "exchangeOnly" | "generations" | "maximumError" | "maximumRate">
  /** The supervisor's word; undefined before the first. */
  readonly facts: Omit<AnycastFacts, "type"> | undefined
  /** The clock page. */
  readonly curve: ClockCurve
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: number
  /** Served time, Unix seconds. */
  readonly now: number
  /** Service addresses that did not answer this process's last probe. */
  readonly silent: readonly string[]
}

interface HealthProblems {
  /** What the node knows of itself: its orders, its clock and its keys. */
  readonly known: readonly string[]
  /** What it has looked for and not seen, and may see the next time. */
  readonly seen: readonly string[]
}

/** What is in the way, a sentence each; none: the node is healthy. */
export const healthProblems = (view: HealthView): HealthProblems => ({
  known: [
    ...(view.plan.announces ? [] : ["an operator drains the node"]),
    ...clockProblems(view),
    ...keyProblems(view)
  ],
  seen: workerProblems(view)
})

const clockProblems = ({ plan: { maximumError }, facts, curve, monotonic }: HealthView): readonly string[] => {
  if (monotonic > curve.deadline) return ["the clock page is stale: the clock's process has not written for too long"]
  if (!isSynchronised(curve, monotonic)) return ["the clock is not synchronised"]
  if (facts !== undefined && facts.clockDoubt !== "") return [facts.clockDoubt]
  const error = curve.rootDelay / 2 + rootDispersionAt(curve, monotonic)
  return error <= maximumError
    ? []
    : [`served time may be off by ${error.toFixed(3)} s, more than the ${maximumError} s of anycast maxerror`]
}

const workerProblems = ({ plan: { exchangeOnly, maximumRate }, facts, silent }: HealthView): readonly string[] => {
  if (facts === undefined) return ["the supervisor has said nothing of the workers yet"]
  if (facts.workers === 0) return ["no worker reads its sockets"]
  if (exchangeOnly && facts.exchanging === 0) return ["no process takes key exchanges"]
  if (silent.length > 0) return silent.map((address) => `no answer to a probe of ${address}`)
  return maximumRate !== null && facts.rate > maximumRate
    ? [`${Math.round(facts.rate)} requests a second, more than the ${maximumRate} of anycast maxrate`]
    : []
}

/**
 * A key that the log names and this node lacks is a cookie of another node that it would refuse, from the moment on that the
 * others use it: the next generation counts as much as the one in use. A log out of reach is no such thing.
 */
const keyProblems = ({ plan: { generations }, facts, now }: HealthView): readonly string[] => {
  if (generations === null) return []
  if (facts !== undefined && facts.keyProblem !== "") return [`a key is missing: ${facts.keyProblem}`]
  const isActive = generations.some(({ activation, retirement }) => activation <= now && now < retirement)
  return isActive ? [] : ["no NTS master key is active"]
}
