/**
 * Folds the log: from a snapshot on where there is one that is of this log, and then every batch as it comes. What cannot be
 * folded is told of and counted; what a batch brings shows in `changed`.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { Authenticity, LogBatch, LogUnavailable, Snapshot } from "@meridian/event-log"
import { type AnyEvent, isRestoration } from "@meridian/events"
import { ClusterFold } from "./cluster-fold.ts"
import type { ClusterKeys } from "./cluster-keys.ts"
import { DutyDied, isDamaged } from "./duties.ts"
import type { Backend } from "./embedded.ts"
import { type Known, type LastEvent, LogWatch } from "./log-watch.ts"
import { type Notices, sentence } from "./notices.ts"
import { foreignness, type OwnSnapshot, readSnapshot } from "./own-snapshot.ts"

/** Before a log is asked again that cannot be read, or has ended. */
const READ_AGAIN = Schedule.spaced("1 second")

interface FoldingSurroundings {
  readonly node: string
  readonly keys: ClusterKeys
  readonly notices: Notices
  readonly authenticity: Authenticity
  /** Told of each event before it is folded. @param isNew whether the log had been folded to its end before */
  readonly hear: (event: AnyEvent, isNew: boolean) => void
  readonly changed: () => void
  /** The state goes from a snapshot of this place on now; 0 for none. */
  readonly begun: (seq: number) => void
}

export class LogFolding {
  fold = new ClusterFold()
  /** The place up to which it goes. */
  seq = 0
  /** Whether there is a whole state: of a snapshot, or of the log up to its end. */
  isWhole = false
  /** Whether the log has been folded up to its end. */
  isCaughtUp = false
  /** Commits and events that were left out. */
  quarantined = 0
  readonly watch = new LogWatch()
  readonly #in: FoldingSurroundings
  readonly #caughtUp = Deferred.makeUnsafe<void>()
  #last: LastEvent | undefined

  constructor(surroundings: FoldingSurroundings) {
    this.#in = surroundings
  }

  get known(): Known {
    return { fold: this.fold, node: this.#in.node, seq: this.seq, last: this.#last }
  }

  /** For a snapshot. @param seen milliseconds since 1970 that are past for sure */
  stateAt(seen: number): OwnSnapshot {
    const { fold, seq, watch } = this
    const { state } = this.#in.authenticity
    return { seq, seen, fold, last: this.#last, created: watch.created, authenticity: state }
  }

  /** Takes up what a snapshot says; undefined where there is none, or none that can be read. */
  restore(snapshot: Snapshot | undefined): OwnSnapshot | undefined {
    const found = snapshot === undefined ? undefined : readSnapshot(snapshot)
    if (typeof found === "string") this.#in.notices.warn(found)
    if (found === undefined || typeof found === "string") return undefined
    this.fold = found.fold
    this.seq = found.seq
    this.#last = found.last
    this.watch.created = found.created
    if (found.authenticity !== undefined) this.#in.authenticity.restore(found.authenticity)
    this.isWhole = true
    this.#in.begun(found.seq)
    return found
  }

  /** Waits until the log has been folded up to its end. */
  readonly caughtUp: Effect.Effect<void> = Deferred.await(this.#caughtUp)

  /**
   * A snapshot that is ahead of the log, or knows another event where it ends, is not of this log. Where the log lacks what it
   * knows, that is laid in again: no key is lost for a purge or an old backup. Else the log is right.
   */
  dropForeignSnapshot({ log }: Backend): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (this.seq === 0) return
      const { authenticity, keys, notices, node } = this.#in
      const known = { seq: this.seq, last: this.#last, fold: this.fold, created: this.watch.created }
      const lacked = [...authenticity.lacking].find((print) => keys.has(print))
      const found = yield* Effect.result(foreignness(log, node, known))
      if (lacked === undefined && (found._tag === "Failure" || found.success === undefined)) return
      const foreign = found._tag === "Success" ? found.success : undefined
      this.seq = 0
      this.#in.begun(0)
      this.#last = undefined
      this.watch.created = undefined
      if (foreign !== undefined && foreign.lost.length > 0) {
        authenticity.carryOver()
        return notices.warn(
          `${foreign.why}: it has been replaced, and lacks what this node knows of ${foreign.lost.join(", ")}: that is laid in again`
        )
      }
      notices.warn(
        foreign === undefined
          ? `this node has cluster key ${lacked} now, which it lacked: it folds the log from its start`
          : `${foreign.why}: it has been replaced, folding it from the start`
      )
      this.fold = new ClusterFold()
      authenticity.forget()
      this.isWhole = false
    })
  }

  /** Folds the log as it comes, for ever; fails where it is damaged or another one. */
  follow({ log }: Backend): Effect.Effect<never, LogUnavailable | DutyDied> {
    const { notices } = this.#in
    return Effect.suspend(() =>
      Stream.runForEach(log.subscribe({ from: this.seq + 1 }), (batch) => Effect.sync(() => this.#take(batch)))
    ).pipe(
      Effect.tapError((error) => {
        const message = `the log cannot be read, trying again: ${sentence(error)}`
        return Effect.sync(() => (isDamaged(error) ? undefined : notices.warnOnce(`folding ${message}`, message)))
      }),
      Effect.retry({ schedule: READ_AGAIN, while: (error) => !isDamaged(error) }),
      Effect.catchDefect((defect) => Effect.fail(new DutyDied("folding", defect))),
      Effect.andThen(Effect.sleep("1 second")),
      Effect.forever
    )
  }

  #take({ events, quarantined, upTo, caughtUp }: LogBatch): void {
    const { notices } = this.#in
    for (const { seq, event } of events) {
      this.#in.hear(event, this.isCaughtUp)
      if (this.isCaughtUp && isRestoration(event.type))
        notices.warn(`the log had lost what was in it of ${event.subject}: node ${event.node} has laid it in again`)
      const why = this.fold.fold(event)
      if (why === undefined) continue
      this.quarantined += 1
      notices.warnOnce(`rejected ${event.type}`, `event ${event.id} at ${seq} is left out: ${why}`)
    }
    for (const { seq, subject, reason, detail } of quarantined) {
      this.quarantined += 1
      notices.warnOnce(
        `quarantined ${reason}`,
        `the commit at ${seq} (${subject}) is put aside, ${reason}: ${detail}; more of this kind are only counted`
      )
    }
    const newest = events.at(-1)
    if (newest !== undefined) this.#last = { seq: newest.seq, id: newest.event.id }
    this.seq = Math.max(this.seq, upTo)
    this.watch.heard(upTo)
    if (caughtUp) {
      this.isCaughtUp = true
      this.isWhole = true
      Deferred.doneUnsafe(this.#caughtUp, Effect.void)
    }
    this.#in.changed()
  }
}
