/**
 * What a coordinator tells its supervisor, and the messages between the two. The keys to serve with are among them, whole each
 * time. Messages travel as structured clones.
 */
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { type FromService, readerOf, type ToldBy, toldOf } from "../channel/service-messages.ts"
import { servingKeys } from "../plans/serving-plan.ts"
import { count, flag, list, nullable, optional, record, text, type TypeOf, whole, words } from "../channel/shape.ts"

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

/** Most clock events in one message. */
export const MAX_CLOCK_EVENTS = 256

/** Reads a message from a coordinator; undefined when it is none of these. @throws InvalidMessage */
export const parseFromCoordinator = readerOf(coordinatorReport, { keys: servingKeys })

/** How the node is, every few seconds; `workers`: those that answer. */
const health = record({
  type: words("health"),
  workers: whole(0, 65_535),
  synchronised: flag,
  stratum: whole(0, 16)
})
export type HealthMessage = TypeOf<typeof health>

/** What the discipline decided: commands for the node's clock aggregate (ClockCommand of libs/events). */
const clockEvents = record({ events: list(record({ _tag: text(0) }), MAX_CLOCK_EVENTS) })

export const parseToCoordinator = toldOf({ health, "clock-events": clockEvents })
export type ToCoordinator = ToldBy<typeof parseToCoordinator>
