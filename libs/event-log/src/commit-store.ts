/**
 * What a store must provide, and how the port is made of it. Stores move raw commits; judging what they hand back,
 * counting what is put aside and the typed errors are the same for all of them and live here.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type AnyEvent, type Family, familyOf, isSummary } from "@meridian/events"
import type { Authenticity } from "./authenticity.ts"
import { type Commit, type Inspect, makeCommit, openCommit, type RawCommit } from "./commit.ts"
import {
  type Appended,
  type AppendError,
  type EventLog,
  EventRefused,
  type FamilyStatus,
  type LogBatch,
  LogFull,
  type LogStatus,
  LogUnavailable,
  messageOf,
  type Quarantined,
  type QuarantineReason,
  type ReadOptions,
  type Retention,
  type Snapshot,
  SnapshotRefused,
  type StoredEvent,
  type SubjectStatus,
  VersionConflict
} from "./event-log.ts"

/** Raw commits in the order of the log. */
export interface RawBatch {
  readonly commits: ReadonlyArray<RawCommit>
  readonly caughtUp: boolean
}

/** What a store says of itself; see {@link LogStatus}. */
interface StoreStatus {
  readonly lastSeq: number
  readonly beginsAt?: number
  readonly subjects: ReadonlyArray<SubjectStatus>
  readonly created?: string
  readonly faults?: ReadonlyArray<string>
}

/** Promises reject with the errors of event-log.ts; anything else counts as LogUnavailable. */
export interface CommitStore {
  readonly adapter: LogStatus["adapter"]
  readonly warnings: ReadonlyArray<string>
  /** Stores the commit if its subject is at `first - 1`, or finds it stored. */
  readonly append: (commit: Commit) => Promise<Appended>
  /** Up to the end as it is now. */
  readonly read: (options: ReadOptions) => AsyncIterable<RawBatch>
  /** Goes on for ever. Its iterator's `return` must end a waiting `next` at once. */
  readonly tail: (options: ReadOptions) => AsyncIterable<RawBatch>
  readonly version: (subject: string) => Promise<number>
  readonly saveSnapshot: (name: string, snapshot: Snapshot) => Promise<void>
  readonly loadSnapshot: (name: string) => Promise<Snapshot | undefined>
  /** Drops what a limit no longer keeps. Returns how many commits went. */
  readonly retain: (limits: Limits) => Promise<number>
  readonly subjects: () => Promise<StoreStatus>
}

/** What goes of some subjects: the commits before the last place that any of these gives, see {@link Retention}. */
export interface Limits {
  /** By subject, the place from which on all commits stay whatever the limits say; the newest stays in any case. */
  readonly below: ReadonlyMap<string, number>
  readonly storedBefore: number
  /** From 1; Infinity for no limit. */
  readonly commits: number
  /** Of bodies, in UTF-8; Infinity for no limit. */
  readonly bytes: number
}

/** Records of quarantined commits kept for status. */
const QUARANTINE_KEPT = 128

/** Longest name and text of a snapshot, in UTF-16 units. */
const MAX_SNAPSHOT_LENGTH = 64 * 1024 * 1024
const SNAPSHOT_NAME = /^[a-z0-9][a-z0-9.-]{0,63}$/

const FAMILIES: ReadonlyArray<Family> = ["keys", "members", "policy", "clock"]

/**
 * The port over a store. `inspect` judges events beyond their schema, at append and when reading; `authenticity` signs what is
 * appended, and tells what others than nodes of the cluster have written.
 */
export const overStore = (store: CommitStore, inspect?: Inspect, authenticity?: Authenticity): EventLog["Service"] => {
  const quarantine = new Quarantine()
  const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, LogUnavailable> =>
    Effect.tryPromise({ try: run, catch: (error) => (error instanceof LogUnavailable ? error : unavailable(error)) })
  const stream = (
    options: ReadOptions,
    source: () => AsyncIterable<RawBatch>
  ): Stream.Stream<LogBatch, LogUnavailable> =>
    Stream.suspend(() =>
      Stream.fromAsyncIterable(judged(source(), quarantine, { inspect, authenticity }, options.from - 1), (error) =>
        error instanceof LogUnavailable ? error : unavailable(error)
      )
    )
  return {
    append: (subject, events, expectedVersion, { overHole = false } = {}) =>
      Effect.suspend(() => {
        const commit = makeCommit(subject, events, expectedVersion, inspect, authenticity)
        if (commit instanceof EventRefused) return Effect.fail(commit)
        return Effect.tryPromise({ try: () => store.append({ ...commit, overHole }), catch: appendError })
      }),
    read: (options) => stream(options, () => store.read(options)),
    subscribe: (options) => stream(options, () => store.tail(options)),
    version: (subject) => attempt(() => store.version(subject)),
    saveSnapshot: (name, snapshot) => {
      if (!SNAPSHOT_NAME.test(name) || snapshot.state.length > MAX_SNAPSHOT_LENGTH || snapshot.seq < 0)
        return Effect.fail(
          new SnapshotRefused({
            detail: `a name is a-z, 0-9, dots and hyphens; a state at most ${MAX_SNAPSHOT_LENGTH} long`
          })
        )
      return attempt(() => store.saveSnapshot(name, snapshot))
    },
    loadSnapshot: (name) =>
      SNAPSHOT_NAME.test(name) ? attempt(() => store.loadSnapshot(name)) : Effect.succeed(undefined),
    retain: (retention) => attempt(() => retained(store, retention, authenticity)),
    status: Effect.map(
      attempt(() => store.subjects()),
      ({ lastSeq, beginsAt, subjects, created, faults = [] }): LogStatus => ({
        adapter: store.adapter,
        lastSeq,
        beginsAt,
        families: FAMILIES.map((family) => familyStatus(family, subjects)),
        quarantined: quarantine.report(),
        warnings: store.warnings,
        created,
        faults
      })
    )
  }
}

interface Scrutiny {
  readonly inspect: Inspect | undefined
  readonly authenticity: Authenticity | undefined
}

const retained = async (
  store: CommitStore,
  { family, storedBefore, keepPerSubject = Infinity, keepBytesPerSubject = Infinity }: Retention,
  authenticity: Authenticity | undefined
): Promise<number> => {
  const below = new Map<string, number>()
  if (family === "clock") {
    const { subjects } = await store.subjects()
    for (const { subject } of subjects) if (familyOf(subject) === "clock") below.set(subject, Infinity)
  } else
    for await (const { commits } of store.read({ from: 1, only: { family } }))
      for (const raw of commits) {
        const opened = openCommit(raw, undefined, authenticity)
        if (opened._tag === "Good" && isSummary(opened.events[0] as AnyEvent)) below.set(raw.subject, raw.seq)
      }
  return store.retain({
    below,
    storedBefore,
    commits: Math.max(1, keepPerSubject),
    bytes: Math.max(0, keepBytesPerSubject)
  })
}

/** Which subjects a reader wants. */
export const wants = (only: ReadOptions["only"], subject: string): boolean =>
  only === undefined || ("subject" in only ? only.subject === subject : familyOf(subject) === only.family)

const unavailable = (cause: unknown): LogUnavailable =>
  new LogUnavailable({ detail: messageOf(cause), uncertain: false, cause })

const appendError = (error: unknown): AppendError =>
  error instanceof VersionConflict ||
  error instanceof LogUnavailable ||
  error instanceof LogFull ||
  error instanceof EventRefused
    ? error
    : unavailable(error)

/** Commits that were put aside: counted, and the last ones kept. A commit that is read twice counts once. */
class Quarantine {
  readonly #byReason: Partial<Record<QuarantineReason, number>> = {}
  readonly #recent: Array<Quarantined> = []
  readonly #seen = new Set<number>()
  #total = 0

  add(record: Quarantined): void {
    if (this.#seen.has(record.seq)) return
    if (this.#seen.size < 100_000) this.#seen.add(record.seq)
    this.#total += 1
    this.#byReason[record.reason] = (this.#byReason[record.reason] ?? 0) + 1
    this.#recent.push(record)
    if (this.#recent.length > QUARANTINE_KEPT) this.#recent.shift()
  }

  report(): LogStatus["quarantined"] {
    return { total: this.#total, byReason: { ...this.#byReason }, recent: [...this.#recent] }
  }
}

/** Judges a source's commits. An iterator and not a generator, so that `return` reaches a waiting source at once. */
const judged = (
  source: AsyncIterable<RawBatch>,
  quarantine: Quarantine,
  scrutiny: Scrutiny,
  before: number
): AsyncIterable<LogBatch> => ({
  [Symbol.asyncIterator]: () => {
    const iterator = source[Symbol.asyncIterator]()
    const versions = new Map<string, number>()
    let upTo = before
    return {
      next: async () => {
        const result = await iterator.next()
        if (result.done === true) return { done: true, value: undefined }
        const { commits, caughtUp } = result.value
        const events: Array<StoredEvent> = []
        const quarantined: Array<Quarantined> = []
        for (const raw of commits) {
          const record = judge(raw, versions, scrutiny, events)
          upTo = raw.seq
          if (record === undefined) continue
          quarantined.push(record)
          quarantine.add(record)
        }
        return { done: false, value: { events, quarantined, upTo, caughtUp } }
      },
      return: async () => {
        await iterator.return?.()
        return { done: true, value: undefined }
      }
    }
  }
})

const judge = (
  raw: RawCommit,
  versions: Map<string, number>,
  { inspect, authenticity }: Scrutiny,
  into: Array<StoredEvent>
): Quarantined | undefined => {
  const { seq, subject } = raw
  const opened = openCommit(raw, inspect, authenticity)
  if (opened._tag === "Bad") return { seq, subject, reason: opened.reason, detail: opened.detail }
  const first = (opened.events[0] as AnyEvent).version
  const known = versions.get(subject) ?? 0
  if (first <= known)
    return { seq, subject, reason: "out-of-order", detail: `version ${first} comes after version ${known}` }
  versions.set(subject, first + opened.events.length - 1)
  for (const event of opened.events) {
    authenticity?.hear(event, seq)
    into.push(new JudgedEvent(seq, event))
  }
  return undefined
}

/** A class for the reason that {@link FoundCommit} is one. */
class JudgedEvent implements StoredEvent {
  readonly seq: number
  readonly event: AnyEvent
  constructor(seq: number, event: AnyEvent) {
    this.seq = seq
    this.event = event
  }
}

const familyStatus = (family: Family, all: ReadonlyArray<SubjectStatus>): FamilyStatus => {
  const subjects = all
    .filter((it) => familyOf(it.subject) === family)
    .toSorted((a, b) => (a.subject < b.subject ? -1 : 1))
  return {
    family,
    firstSeq: subjects.reduce((least, it) => Math.min(least, it.firstSeq), subjects[0]?.firstSeq ?? 0),
    dropped: subjects.reduce((sum, it) => sum + it.firstVersion - 1, 0),
    subjects
  }
}
