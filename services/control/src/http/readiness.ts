/** Whether traffic may be sent to this node, and why not. Pure. */
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import type { NodeStatus } from "@meridian/ipc"
import { errorBound } from "./clock-metrics.ts"

/** Seconds: RFC 5905's MAXDIST, beyond which a client would not take this node. */
const MOST_ERROR_BOUND = 1.5
/** Pictures come each four seconds at the latest. */
const STALE_SECONDS = 5

/**
 * Sentences; none when the node is ready.
 * @param monotonic CLOCK_MONOTONIC, seconds
 */
export const unreadyReasons = (snapshot: NodeSnapshot | undefined, monotonic: number): readonly string[] => {
  if (snapshot === undefined) return ["the node is starting"]
  const { status } = snapshot
  const { clock, coordinator, workers, ntsKe, keys } = status
  const age = monotonic - snapshot.monotonic
  const reasons: string[] = []
  if (age > STALE_SECONDS) reasons.push(`the supervisor has said nothing for ${Math.round(age)} s`)
  if (!workers.some(({ state }) => state === "running")) reasons.push("no worker answers")
  if (!clock.synchronised) reasons.push(...unsynchronised(status.waitingFor ?? []))
  else if (errorBound(snapshot) > MOST_ERROR_BOUND)
    reasons.push(`served time may be off by ${errorBound(snapshot).toFixed(3)} s, more than ${MOST_ERROR_BOUND} s`)
  reasons.push(...(status.shared ?? []))
  reasons.push(...new Set(ntsKe.flatMap(({ troubles = [] }) => troubles)))
  if (ntsKe.length > 0 && keys.masterKeyGenerations.length === 0) reasons.push("there is no NTS master key yet")
  const { drain } = status
  if (coordinator?.drained === true || (drain ?? null) !== null) reasons.push(drainReason(drain))
  else if (coordinator?.ready === false && coordinator.reason !== "") reasons.push(coordinator.reason)
  return reasons
}

/** The steps of a drain: draining and what is left, drained, or on the way back. */
const drainReason = (drain: NodeStatus["drain"]): string => {
  const { state = "drained", waitingFor = [] } = drain ?? {}
  const said = state === "returning" ? "an operator undrained the node" : "an operator drained the node"
  return waitingFor.length === 0 ? said : `${said}, waiting for ${waitingFor.join(" and ")}`
}

const unsynchronised = (waitingFor: readonly string[]): readonly string[] =>
  waitingFor.length > 0 ? waitingFor.map((why) => `not synchronised: ${why}`) : ["not synchronised"]
