/**
 * What a coordinator tells its supervisor, and the messages between the two. The keys to serve with are among them, whole each
 * time. Messages travel as structured clones.
 */
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { isRecord } from "./message.ts"
import { type DrainMessage, type FromService, readerOf } from "./service-messages.ts"
import { servingKeys } from "./serving-plan.ts"
import { count, flag, nullable, optional, record, text, type TypeOf, words } from "./shape.ts"

const coordinatorReport = record({
  type: words("report"),
  /** The node that leads; null where nobody does. */
  leader: nullable(text(0, 64)),
  /** Whether it is this one. */
  leading: flag,
  /** Fencing term of the leader, 0 before the first. */
  term: count,
  /** Place in the log up to which events are folded in. */
  foldedSeq: count,
  /** Last place of the log that is known of; behind it by `lastSeq - foldedSeq` at most. */
  lastSeq: count,
  /** Which store keeps the log; null while it is out of reach. */
  adapter: nullable(words("memory", "sqlite", "jetstream")),
  /** Whether traffic may be sent to this node, leaving draining aside. */
  ready: flag,
  /** An operator took the node out. */
  drained: flag,
  /** Why it is not ready; empty when it is. */
  reason: text(0, 65_536),
  /** Why a key that is needed is missing, which `reason` then says as well; empty or absent when none is. */
  keyProblem: optional(text(0, 65_536)),
  /** Why this node's clock must not decide, as other clocks say it is off; empty or absent where none does. */
  clockDoubt: optional(text(0, 4_096)),
  /** Id of the event by which this node's clock follows what it follows; null before the first, absent from an older version. */
  clockDecision: optional(nullable(text(0, 128))),
  /** Commits put aside when read, and events that did not follow from the state. */
  quarantined: count,
  /** Clock events lost while the log was out of reach. */
  clockEventsDropped: count,
  /** bytes */
  rss: count,
  /** bytes */
  heapUsed: count
})
export type CoordinatorReport = TypeOf<typeof coordinatorReport>

/** `drained`: it gave up its lease and saved what it knows. */
export type FromCoordinator = FromService<CoordinatorReport, ServingKeys>

/** How the node is, every few seconds. */
export interface HealthMessage {
  readonly type: "health"
  /** Workers that answer. */
  readonly workers: number
  readonly synchronised: boolean
  readonly stratum: number
}

/** What the discipline decided: commands for the node's clock aggregate (ClockCommand of libs/events). */
interface ClockEventsMessage {
  readonly type: "clock-events"
  readonly events: readonly { readonly _tag: string }[]
}

export type ToCoordinator = HealthMessage | ClockEventsMessage | DrainMessage

/** Most clock events in one message. */
export const MAX_CLOCK_EVENTS = 256

/** Reads a message from a coordinator; undefined when it is none of these. @throws InvalidMessage */
export const parseFromCoordinator = readerOf(coordinatorReport, { keys: servingKeys })

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
