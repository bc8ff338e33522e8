/** Clock events on their way to the log: kept in order in a queue that does not grow without bound while the log is away. */
import * as Effect from "effect/Effect"
import { type ClockCommand, isAuthor } from "@meridian/events"
import { clockAggregate } from "./cluster-fold.ts"
import { carryOut, type CommandError, type Writer } from "./command.ts"

/** Commands kept; the oldest go first. */
export const CLOCK_QUEUE_LENGTH = 1_024

/** What an operator did has an author beside it. */
type Told = ClockCommand & { readonly author?: unknown }

const TAGS: ReadonlySet<string> = new Set<ClockCommand["_tag"]>([
  "ChoosePeer",
  "SetReachability",
  "SetPassivePeer",
  "Step",
  "ArmLeap",
  "EnterHoldover",
  "Act"
])

export class ClockRelay {
  readonly #waiting: Array<{ readonly command: Told; readonly at: number }> = []
  /** Commands that were lost because the log was away too long, or that it refused. */
  dropped = 0

  get length(): number {
    return this.#waiting.length
  }

  /** `at`: when it was decided, milliseconds since 1970. */
  add(commands: ReadonlyArray<{ readonly _tag: string }>, at: number): void {
    // What they hold is for the aggregate and the log's schema to judge.
    const known = commands.filter(({ _tag }) => TAGS.has(_tag))
    this.dropped += commands.length - known.length
    for (const command of known) this.#waiting.push({ command: command as Told, at })
    const surplus = this.#waiting.length - CLOCK_QUEUE_LENGTH
    if (surplus > 0) {
      this.#waiting.splice(0, surplus)
      this.dropped += surplus
    }
  }

  /** Appends what waits, in order. Fails where the log is away; what was not appended stays. */
  flush(writer: Writer, onRefused: (error: CommandError) => void): Effect.Effect<void, CommandError> {
    return Effect.gen({ self: this }, function* () {
      const aggregate = clockAggregate(writer.node)
      for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
        const { at } = head
        const { author, ...command } = head.command
        const decidedThen: Writer = { ...writer, now: () => at }
        const appended = carryOut(
          decidedThen,
          aggregate,
          () => Effect.succeed(command as ClockCommand),
          isAuthor(author) ? author : undefined
        )
        yield* Effect.catchTags(appended, {
          EventRefused: (error) => Effect.sync(() => this.#refused(error, onRefused)),
          CommandRefused: (error) => Effect.sync(() => this.#refused(error, onRefused))
        })
        // The queue may have been cut while the append was under way.
        if (this.#waiting[0] === head) this.#waiting.shift()
      }
    })
  }

  #refused(error: CommandError, onRefused: (error: CommandError) => void): void {
    this.dropped += 1
    onRefused(error)
  }
}
