/**
 * Looks at a log that is elsewhere, now and then: whether it can be reached, how far ahead of us it is, and whether it is still
 * the one that this node has folded. One that was restored from a backup or begun anew is shorter.
 */
import * as Effect from "effect/Effect"
import type { EventLog } from "@meridian/event-log/event-log"
import { sentence } from "./notices.ts"

/** What this node has folded is not of the log any more: it has to begin anew. */
export class LogReplaced extends Error {
  readonly _tag = "LogReplaced"
}

/** A log may seem short for a moment, to a server that has just begun to lead it. */
const LOOKS_BEFORE_REPLACED = 2

export class LogWatch {
  reachable = true
  /** Last place of the log that is known of. */
  lastSeq = 0
  #short = 0

  /** Everything up to a place has come. */
  heard(upTo: number): void {
    this.lastSeq = Math.max(this.lastSeq, upTo)
  }

  /** `folded`: the place up to which this node has folded the log. Fails where the log is shorter, look after look. */
  look(log: EventLog["Service"], folded: number, warn: (message: string) => void): Effect.Effect<void, LogReplaced> {
    return Effect.gen({ self: this }, function* () {
      const status = yield* Effect.result(log.status)
      if (status._tag === "Failure") {
        if (this.reachable)
          warn(`${sentence(status.failure)}; this node goes on with what it knows up to place ${folded}`)
        this.reachable = false
        return
      }
      this.lastSeq = status.success.lastSeq
      if (!this.reachable) warn(`NATS is back: the log is at place ${this.lastSeq}`)
      this.reachable = true
      this.#short = this.lastSeq < folded ? this.#short + 1 : 0
      if (this.#short < LOOKS_BEFORE_REPLACED) return
      const why = `the log ends at ${this.lastSeq}, before the ${folded} that this node has folded`
      return yield* Effect.fail(new LogReplaced(`${why}: it has been replaced, beginning anew`))
    })
  }
}
