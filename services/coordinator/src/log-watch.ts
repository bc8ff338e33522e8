/**
 * Looks at a log that is elsewhere, now and then: whether it can be reached, how far ahead of us it is, whether it is still the
 * one that this node has folded, and whether it still has what is to be kept for ever. A log that was restored from a backup or
 * begun anew is another one; one that was purged is the same and has lost something, which is laid in again.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { EventLog, LogStatus, LogUnavailable } from "@meridian/event-log"
import { memberSubject } from "@meridian/events"
import { type ClusterFold, keptAggregates } from "./cluster-fold.ts"
import { sentence } from "./notices.ts"

/** What this node has folded is not of the log any more: it has to begin anew. */
export class LogReplaced extends Error {
  readonly _tag = "LogReplaced"
}

/** A log may seem short for a moment, to a server that has just begun to lead it. */
const LOOKS_BEFORE_BELIEVED = 2

/** An event and its place. */
export interface LastEvent {
  readonly seq: number
  readonly id: string
}

/** What this node has folded, to hold the log against. */
export interface Known {
  readonly fold: ClusterFold
  readonly node: string
  /** The place up to which it goes. */
  readonly seq: number
  readonly last: LastEvent | undefined
}

/** Whether the log has this event at its place, another one, or none, because retention or a purge has dropped it. */
export const eventThere = (
  log: EventLog["Service"],
  { seq, id }: LastEvent
): Effect.Effect<"same" | "other" | "gone", LogUnavailable> =>
  Effect.map(Stream.runHead(log.read({ from: seq })), (first) => {
    const there = Option.isSome(first) ? first.value.events.filter((it) => it.seq === seq) : []
    if (there.length === 0) return "gone"
    return there.some(({ event }) => event.id === id) ? "same" : "other"
  })

export class LogWatch {
  reachable = true
  /** Last place of the log that is known of. */
  lastSeq = 0
  /** When the log was made, as far as it has been looked at. */
  created: string | undefined
  /** Subjects that the log has lost something of, and for how many looks. */
  readonly lost = new Map<string, number>()
  #other = 0
  #faults = ""
  #said = ""

  /** Everything up to a place has come. */
  heard(upTo: number): void {
    this.lastSeq = Math.max(this.lastSeq, upTo)
  }

  /** Subjects of which the log has been lacking something long enough, for others to have laid it in where `others` is given. */
  lacking(others = 0): ReadonlyArray<string> {
    return [...this.lost].filter(([, looks]) => looks >= LOOKS_BEFORE_BELIEVED + others).map(([subject]) => subject)
  }

  /** Fails where the log is another one, look after look. */
  look(log: EventLog["Service"], known: Known, warn: (message: string) => void): Effect.Effect<void, LogReplaced> {
    return Effect.gen({ self: this }, function* () {
      const status = yield* Effect.result(log.status)
      if (status._tag === "Failure") {
        if (this.reachable)
          warn(`${sentence(status.failure)}; this node goes on with what it knows up to place ${known.seq}`)
        this.reachable = false
        return
      }
      const { lastSeq, created, faults } = status.success
      this.lastSeq = lastSeq
      if (!this.reachable) warn(`NATS is back: the log is at place ${lastSeq}`)
      this.reachable = true
      this.#sayFaults(faults, warn)
      const why = yield* this.#otherness(log, lastSeq, created, known)
      this.#other = why === undefined ? 0 : this.#other + 1
      if (why !== undefined && this.#other >= LOOKS_BEFORE_BELIEVED)
        return yield* Effect.fail(new LogReplaced(`${why}: it has been replaced, beginning anew`))
      if (why === undefined) this.#compare(status.success, known, warn)
    })
  }

  /** A creation time that is another raises a question, which the last event answers: servers that were killed may change it. */
  #otherness(
    log: EventLog["Service"],
    lastSeq: number,
    created: string | undefined,
    { seq, last }: Known
  ): Effect.Effect<string | undefined> {
    return Effect.gen({ self: this }, function* () {
      if (lastSeq < seq) return `the log ends at ${lastSeq}, before the ${seq} that this node has folded`
      if (created === undefined || created === this.created) return undefined
      if (this.created !== undefined && last !== undefined) {
        const there = yield* Effect.result(eventThere(log, last))
        if (there._tag === "Failure") return undefined
        if (there.success !== "same")
          return `the log was made at ${created}, and the one that this node has folded at ${this.created}`
      }
      this.created = created
      return undefined
    })
  }

  #compare(status: LogStatus, known: Known, warn: (message: string) => void): void {
    const lost = lossesOf(status, known)
    for (const subject of this.lost.keys()) if (!lost.has(subject)) this.lost.delete(subject)
    for (const subject of lost.keys()) this.lost.set(subject, (this.lost.get(subject) ?? 0) + 1)
    const words = this.lacking().map((subject) => `${subject} (${lost.get(subject)})`)
    const said = words.join(", ")
    if (said !== "" && said !== this.#said)
      warn(
        `the log has lost what was in it of ${said}: a purge, or an older copy; it is laid in again from what nodes know`
      )
    if (said === "" && this.#said !== "") warn("the log has again what it had lost")
    this.#said = said
  }

  #sayFaults(faults: ReadonlyArray<string>, warn: (message: string) => void): void {
    const text = faults.join("; ")
    if (text !== this.#faults)
      warn(
        text === ""
          ? "the stream's settings are as they should be again"
          : `${text}: an administrator has to set it right`
      )
    this.#faults = text
  }
}

/** What the log lacks of what is kept for ever, and of this node's own events: by subject, in words. */
export const lossesOf = (
  { families }: LogStatus,
  { fold, node }: Pick<Known, "fold" | "node">
): ReadonlyMap<string, string> => {
  const there = new Map(families.flatMap(({ subjects }) => subjects.map((it) => [it.subject, it] as const)))
  const lost = new Map<string, string>()
  const compare = (subject: string, version: number): boolean => {
    const has = there.get(subject)?.version ?? 0
    if (has < version) lost.set(subject, `it has version ${has} of ${version}`)
    return has < version
  }
  for (const aggregate of keptAggregates) {
    const { version, restored = 0 } = aggregate.get(fold)
    const first = there.get(aggregate.subject)?.firstVersion ?? 1
    if (!compare(aggregate.subject, version) && first > 1 && restored < first)
      lost.set(aggregate.subject, `it begins at version ${first}`)
  }
  const own = memberSubject(node)
  compare(own, fold.versionOf(own))
  return lost
}
