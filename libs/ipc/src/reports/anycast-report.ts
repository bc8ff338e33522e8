/** Messages between the process that announces the node's routes and its supervisor, besides its part of the serving plan. */
import { type FromService, readerOf, type ToldBy, toldOf } from "../channel/service-messages.ts"
import { finite, flag, list, nullable, record, text, type TypeOf, whole, words } from "../channel/shape.ts"

/** What the supervisor knows of the node's health, whenever it is other than before and once every few seconds. */
const factsShape = record({
  type: words("facts"),
  /** Workers that read their sockets. */
  workers: whole(0, 65_535),
  /** Processes that take key exchanges. */
  exchanging: whole(0, 65_535),
  /** Why a key that is needed is missing; empty when none is. */
  keyProblem: text(0, 4_096),
  /** What the clocks of the cluster's other nodes say against this one's; empty where they say nothing. */
  clockDoubt: text(0, 4_096),
  /** Requests of the last second. */
  rate: finite(0)
})
export type AnycastFacts = TypeOf<typeof factsShape>

const reportShape = record({
  type: words("report"),
  /** Whether the route is meant to be there. */
  announced: flag,
  /** Whether every announcer has done as it was told. */
  settled: flag,
  /** What the node's health lacks, a sentence each. */
  problems: list(text(1, 4_096), 64),
  /** Those that announce, and what is in their way. */
  announcers: list(record({ name: text(1, 64), trouble: nullable(text(1, 4_096)) }), 16),
  /** How often the route came and went since this process started. */
  changes: whole(0, Number.MAX_SAFE_INTEGER),
  probes: record({ sent: whole(0, Number.MAX_SAFE_INTEGER), answered: whole(0, Number.MAX_SAFE_INTEGER) }),
  /** bytes */
  rss: finite(0)
})
export type AnycastReport = TypeOf<typeof reportShape>

/** A step that belongs in the log: the route came or went, and why. */
const stepShape = record({ type: words("step"), message: text(1, 65_536) })

export type FromAnycast = FromService<AnycastReport, TypeOf<typeof stepShape>>

/** Reads a message from the process; undefined when it is none of ours. @throws InvalidMessage */
export const parseFromAnycast = readerOf(reportShape, { step: stepShape })

/** `drain`: withdraw what is announced, then end. */
export const parseToAnycast = toldOf({ facts: factsShape })
export type ToAnycast = ToldBy<typeof parseToAnycast>
