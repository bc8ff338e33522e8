/**
 * What a coordinator tells its supervisor, and the messages between the two. The keys to serve with are among them, whole each
 * time. Messages travel as structured clones.
 */
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { isRecord } from "./message.ts"
import { servingKeys } from "./serving-plan.ts"
import { read } from "./shape.ts"

export interface CoordinatorReport {
  readonly type: "report"
  /** The node that leads as far as the log tells, null before the first. */
  readonly leader: string | null
  /** Whether it is this one. */
  readonly leading: boolean
  /** Fencing term of the leader, 0 before the first. */
  readonly term: number
  /** Place in the log up to which events are folded in. */
  readonly foldedSeq: number
  /** Last place of the log that is known of; behind it by `lastSeq - foldedSeq` at most. */
  readonly lastSeq: number
  /** Which store keeps the log; null while it is out of reach. */
  readonly adapter: "memory" | "sqlite" | "jetstream" | null
  /** Whether traffic may be sent to this node, leaving draining aside. */
  readonly ready: boolean
  /** An operator took the node out. */
  readonly drained: boolean
  /** Why it is not ready; empty when it is. */
  readonly reason: string
  /** Commits put aside when read, and events that did not follow from the state. */
  readonly quarantined: number
  /** Clock events lost while the log was out of reach. */
  readonly clockEventsDropped: number
  /** bytes */
  readonly rss: number
  /** bytes */
  readonly heapUsed: number
}

/** It has sent the keys, or a warning that says what it waits for. */
export interface CoordinatorReady {
  readonly type: "ready"
}

/** It gave up its lease and saved what it knows; it exits by itself. */
export interface CoordinatorDrained {
  readonly type: "drained"
  readonly report: CoordinatorReport
}

/** Something an operator should read, said once per cause. */
export interface CoordinatorWarning {
  readonly type: "warning"
  readonly message: string
}

export type FromCoordinator =
  | CoordinatorReady
  | CoordinatorReport
  | CoordinatorDrained
  | CoordinatorWarning
  | ServingKeys

/** How the node is, every few seconds. */
export interface HealthMessage {
  readonly type: "health"
  /** Workers that answer. */
  readonly workers: number
  readonly synchronised: boolean
  readonly stratum: number
}

/** What the discipline decided: commands for the node's clock aggregate (ClockCommand of libs/events). */
export interface ClockEventsMessage {
  readonly type: "clock-events"
  readonly events: readonly { readonly _tag: string }[]
}

/** Give up the lease, save, report, exit. */
export interface DrainCoordinator {
  readonly type: "drain"
}

export type ToCoordinator = HealthMessage | ClockEventsMessage | DrainCoordinator

/** Most clock events in one message. */
export const MAX_CLOCK_EVENTS = 256

const isReport = (value: unknown): value is CoordinatorReport => {
  if (!isRecord(value) || value["type"] !== "report") return false
  const { leader, leading, adapter, ready, drained, reason } = value
  const counts = ["term", "foldedSeq", "lastSeq", "quarantined", "clockEventsDropped", "rss", "heapUsed"]
  return (
    (leader === null || typeof leader === "string") &&
    (adapter === null || adapter === "memory" || adapter === "sqlite" || adapter === "jetstream") &&
    [leading, ready, drained].every((flag) => typeof flag === "boolean") &&
    typeof reason === "string" &&
    counts.every((name) => Number.isFinite(value[name]))
  )
}

/** Reads a message from a coordinator; undefined when it is none of these. @throws InvalidMessage for keys that cannot be */
export const parseFromCoordinator = (message: unknown): FromCoordinator | undefined => {
  if (!isRecord(message)) return undefined
  if (message["type"] === "keys") return read(servingKeys, "keys", message)
  if (message["type"] === "ready") return { type: "ready" }
  if (message["type"] === "warning" && typeof message["message"] === "string")
    return { type: "warning", message: message["message"] }
  if (isReport(message)) return message
  if (message["type"] === "drained" && isReport(message["report"]))
    return { type: "drained", report: message["report"] }
  return undefined
}

const isCount = (value: unknown, most: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most

const isCommand = (value: unknown): value is { readonly _tag: string } =>
  isRecord(value) && typeof value["_tag"] === "string"

/** Reads a message from the supervisor; undefined when it is none of ours. */
export const parseToCoordinator = (message: unknown): ToCoordinator | undefined => {
  if (!isRecord(message)) return undefined
  const { type, workers, synchronised, stratum, events } = message
  if (type === "drain") return { type }
  if (type === "health" && isCount(workers, 65_535) && typeof synchronised === "boolean" && isCount(stratum, 16))
    return { type, workers, synchronised, stratum }
  if (type === "clock-events" && Array.isArray(events) && events.length <= MAX_CLOCK_EVENTS && events.every(isCommand))
    return { type, events }
  return undefined
}
