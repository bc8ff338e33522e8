/**
 * Carrying out a command: decide on the fold, append with the optimistic lock, and where another writer was first, fold
 * what is new and decide again.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { EventLog, EventRefused, LogFull, LogUnavailable } from "@meridian/event-log"
import type { AnyEvent, AggregateState, CommandContext, Envelope } from "@meridian/events"
import type { Aggregate, ClusterFold } from "./cluster-fold.ts"

/** A rule of the aggregate forbids the command. */
export class CommandRefused extends Data.TaggedError("CommandRefused")<{
  readonly rule: string
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

/** Other writers were first every time. */
class TooBusy extends Data.TaggedError("TooBusy")<{ readonly subject: string }> {
  override get message(): string {
    return `${this.subject} is being written to by others all the time: try again`
  }
}

/** The log has lost what this node knows of a subject: it has to be laid in again first. */
class LogBehind extends Data.TaggedError("LogBehind")<{
  readonly subject: string
  readonly version: number
  readonly known: number
}> {
  override get message(): string {
    return `the log has ${this.subject} up to ${this.version} and this node knows ${this.known}: what is lost is laid in again within a minute, try again then`
  }
}

export type CommandError = CommandRefused | TooBusy | LogBehind | LogUnavailable | LogFull | EventRefused

/** The log, the fold of it, and who writes. */
export interface Writer {
  readonly log: EventLog["Service"]
  readonly fold: ClusterFold
  readonly node: string
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly newId: () => string
  /** Place up to which the fold has read everything. */
  readonly foldedSeq: () => number
  /** Whether every event may be asked to bear a MAC from now on. Never where absent. */
  readonly maySeal?: () => boolean
}

const ATTEMPTS = 12

/**
 * Carries out what `command` makes of the state, which it may look at anew. Returns the events; none where nothing was to do.
 * @param author who asked for it, where a person did
 */
export const carryOut = <State extends AggregateState, Command, Event extends Envelope, E = never>(
  writer: Writer,
  aggregate: Aggregate<State, Command, Event>,
  command: (state: State, context: CommandContext) => Effect.Effect<Command, E>,
  author?: string,
  { overHole = false }: { readonly overHole?: boolean } = {}
): Effect.Effect<ReadonlyArray<Event>, CommandError | E> =>
  Effect.gen(function* () {
    const { log, fold, node, now, newId } = writer
    const { subject, decider } = aggregate
    let mayBeBehind = overHole
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const state = aggregate.get(fold)
      const context = { id: newId(), node, now: now(), ...(author === undefined ? {} : { author }) }
      const wanted = yield* command(state, context)
      // What the state was decided on may have changed while the command was made.
      const decision = yield* Effect.try({
        try: () => decider.decide(state, wanted, context),
        catch: (error) =>
          new CommandRefused({ rule: "malformed", detail: `the command cannot be decided: ${String(error)}` })
      })
      if (decision._tag === "Refused")
        return yield* new CommandRefused({ rule: decision.rule, detail: decision.message })
      if (decision.events.length === 0) return []
      const events = decision.events as ReadonlyArray<Envelope> as ReadonlyArray<AnyEvent>
      const lost = yield* log.append(subject, events, state.version, { overHole: mayBeBehind }).pipe(
        Effect.as(undefined),
        Effect.catchTag("VersionConflict", (conflict) => Effect.succeed(conflict))
      )
      if (lost === undefined) {
        for (const event of events) fold.fold(event)
        return decision.events
      }
      yield* catchUp(writer, subject)
      if (lost.actual >= state.version) continue
      // A clock's events stand each for itself, and go on where those before are gone.
      if (!subject.startsWith("clock."))
        return yield* new LogBehind({ subject, version: lost.actual, known: state.version })
      mayBeBehind = true
    }
    return yield* new TooBusy({ subject })
  })

/** Folds what the log has of a subject beyond the fold, past what can only be put aside. */
export const catchUp = (writer: Writer, subject: string): Effect.Effect<void, LogUnavailable> =>
  Effect.gen(function* () {
    const { log, fold, foldedSeq } = writer
    const version = yield* log.version(subject)
    if (version <= fold.versionOf(subject)) return
    yield* Stream.runForEach(log.read({ from: foldedSeq() + 1, only: { subject } }), ({ events }) =>
      Effect.sync(() => {
        for (const { event } of events) fold.fold(event)
      })
    )
    fold.skipTo(subject, version)
  })
