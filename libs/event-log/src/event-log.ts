/**
 * The event log port: append with an optimistic lock, read, subscribe, snapshots. Three stores keep it: memory, SQLite on
 * one machine, NATS JetStream in a cluster; see commit-store.ts for what each provides.
 *
 * A subject is one aggregate. What is appended together is one commit: it is stored whole or not at all, and its events
 * share one place (`seq`) in the log. Every version of a subject is stored once. Whatever cannot be an event is refused at
 * append; met when reading, it is put aside with a record and never handed to a fold.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { AnyEvent, Family, RefusalReason } from "@meridian/events"

/** The subject has moved on: fold what is new and decide again. */
export class VersionConflict extends Data.TaggedError("VersionConflict")<{
  readonly subject: string
  readonly expected: number
  readonly actual: number
}> {
  override get message(): string {
    return `${this.subject} is at version ${this.actual}, not ${this.expected}: read what is new and decide again`
  }
}

/** The store did not answer in time or answered with a fault. `uncertain`: the commit may have been stored all the same. */
export class LogUnavailable extends Data.TaggedError("LogUnavailable")<{
  readonly detail: string
  readonly uncertain: boolean
  /** What is stored cannot be read as a log any more: it is to be put aside, and the log begun anew. */
  readonly damaged?: boolean
  /** The log is another than the one that was read before: whoever reads it has to find out what it holds. */
  readonly replaced?: boolean
  readonly cause?: unknown
}> {
  override get message(): string {
    const advice = this.uncertain ? "; it may have been stored: append the same events again to find out" : ""
    return `the event log is unavailable: ${this.detail}${advice}`
  }
}

/** The store has no room; nothing was stored and what was there before is intact. */
export class LogFull extends Data.TaggedError("LogFull")<{ readonly detail: string }> {
  override get message(): string {
    return `the event log is full: ${this.detail}; nothing was stored. Free space or raise the limit`
  }
}

export type QuarantineReason =
  | RefusalReason
  /** Sealed under another key, for another place, or damaged. */
  | "wrongly-sealed"
  /** A version that the subject has already passed. */
  | "out-of-order"
  /** Not written by a node with the cluster key, or not as it stands here. */
  | "forged"
  /** Written under a cluster key that this node lacks. */
  | "unknown-key"
  /** Not what was stored: the disk has changed it. */
  | "damaged"

/** The events are not fit for the log; nothing was stored. */
export class EventRefused extends Data.TaggedError("EventRefused")<{
  readonly subject: string
  readonly reason: QuarantineReason
  readonly detail: string
}> {
  override get message(): string {
    return `refused for ${this.subject} (${this.reason}): ${this.detail}`
  }
}

/** A snapshot cannot be stored as it is. */
export class SnapshotRefused extends Data.TaggedError("SnapshotRefused")<{ readonly detail: string }> {
  override get message(): string {
    return `snapshot refused: ${this.detail}`
  }
}

export type AppendError = VersionConflict | LogUnavailable | LogFull | EventRefused

/** Where a commit lies. */
export interface Appended {
  readonly seq: number
  /** The subject's version now. */
  readonly version: number
  /** These very events had been stored before; the append was a repetition. */
  readonly duplicate: boolean
}

export interface StoredEvent {
  /** Place of its commit in the log, from 1, ascending, not always without holes. */
  readonly seq: number
  readonly event: AnyEvent
}

/** A commit that was put aside when it was read. */
export interface Quarantined {
  readonly seq: number
  readonly subject: string
  readonly reason: QuarantineReason
  /** What is wrong where; never holds data of the event. */
  readonly detail: string
}

export interface LogBatch {
  readonly events: ReadonlyArray<StoredEvent>
  readonly quarantined: ReadonlyArray<Quarantined>
  /** Everything up to here has been handed out; read on from the next. */
  readonly upTo: number
  /** Nothing more was in the log when this batch was made. */
  readonly caughtUp: boolean
}

export interface ReadOptions {
  /** First place wanted, from 1. */
  readonly from: number
  /** One subject, or a family and all in it; everything when absent. */
  readonly only?: { readonly subject: string } | { readonly family: Family }
}

/**
 * How much of a family is kept; keys and policy are kept for ever. The newest commit of a subject always stays, and what
 * goes are the commits before some place in it, never any out of the middle. Of members goes only what lies before a
 * node's last summary (`isSummary` in @meridian/events/members), so that folding what is left comes to the same state.
 */
export interface Retention {
  readonly family: "clock" | "members"
  /** Commits stored before this moment go, milliseconds since 1970. */
  readonly storedBefore: number
  /** At most this many commits of each subject stay, at least 1; no limit when absent. */
  readonly keepPerSubject?: number
  /** At most this many bytes of each subject stay, counted as the JSON text of its events; no limit when absent. */
  readonly keepBytesPerSubject?: number
}

/** What is still there of a subject. */
export interface SubjectStatus {
  readonly subject: string
  readonly firstSeq: number
  /** The version of its first event still there: 1 unless events were dropped. */
  readonly firstVersion: number
  readonly version: number
}

export interface FamilyStatus {
  readonly family: Family
  /** First place still held, 0 for none. */
  readonly firstSeq: number
  /** Events that were dropped by retention. */
  readonly dropped: number
  readonly subjects: ReadonlyArray<SubjectStatus>
}

export interface LogStatus {
  readonly adapter: "memory" | "sqlite" | "jetstream"
  /** Last place given out, 0 for none. */
  readonly lastSeq: number
  /** First place that may still hold something; above 1 the log has been cut at its beginning. Absent where that means nothing. */
  readonly beginsAt?: number | undefined
  readonly families: ReadonlyArray<FamilyStatus>
  /** Put aside by this process since it opened the log; `recent` holds the last of them. */
  readonly quarantined: {
    readonly total: number
    readonly byReason: Readonly<Partial<Record<QuarantineReason, number>>>
    readonly recent: ReadonlyArray<Quarantined>
  }
  /** What an operator should know of the store. */
  readonly warnings: ReadonlyArray<string>
  /** When it was made, as the store tells; absent where that means nothing. Another moment is another log. */
  readonly created?: string | undefined
  /** What is not as it should be with the store at the moment, in words. */
  readonly faults: ReadonlyArray<string>
}

/** A folded state, so that a start need not read the whole log. */
export interface Snapshot {
  /** The place up to which events are folded in. */
  readonly seq: number
  /** Version of the state's shape; a reader that does not know it folds from the start. */
  readonly format: number
  /** The state as text, usually JSON. Sealed keys only. */
  readonly state: string
}

export class EventLog extends Context.Service<
  EventLog,
  {
    /**
     * Stores the events as one commit if the subject is at `expectedVersion`, their own versions following on from it.
     * Safe to repeat with the same events: where they were stored before, the answer says where and `duplicate`. With
     * `overHole` the subject may also be at an earlier version: what was between is lost.
     */
    readonly append: (
      subject: string,
      events: ReadonlyArray<AnyEvent>,
      expectedVersion: number,
      how?: { readonly overHole?: boolean }
    ) => Effect.Effect<Appended, AppendError>
    /** Everything from a place up to the end as it was at the call, in batches. */
    readonly read: (options: ReadOptions) => Stream.Stream<LogBatch, LogUnavailable>
    /** Everything from a place on, and then what is appended, until interrupted. Rides out an outage of the store. */
    readonly subscribe: (options: ReadOptions) => Stream.Stream<LogBatch, LogUnavailable>
    /** The subject's version, 0 where it has no events. */
    readonly version: (subject: string) => Effect.Effect<number, LogUnavailable>
    readonly saveSnapshot: (name: string, snapshot: Snapshot) => Effect.Effect<void, LogUnavailable | SnapshotRefused>
    /** The last snapshot of that name; undefined where there is none or it is damaged. */
    readonly loadSnapshot: (name: string) => Effect.Effect<Snapshot | undefined, LogUnavailable>
    /** Drops what the retention no longer keeps, of every subject of the family. Returns how many commits went. */
    readonly retain: (retention: Retention) => Effect.Effect<number, LogUnavailable>
    readonly status: Effect.Effect<LogStatus, LogUnavailable>
  }
>()("@meridian/event-log/EventLog") {}

/** What an error, or whatever else was thrown, says. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
