/** The log in memory, as cheap as can be, and somebody who may write to it and has no cluster key. */
import * as Effect from "effect/Effect"
import type { Commit, Appended, AppendError, LogBatch, LogStatus, ReadOptions } from "@meridian/event-log"
import { makeCommit, mayFollow, wants, EventRefused, VersionConflict } from "@meridian/event-log"
import type { AnyEvent } from "@meridian/events"

type SimCommit = Commit & { readonly events: ReadonlyArray<AnyEvent> }

/** What is stored is judged when it is appended, and once more at the end. */
export class SimLog {
  /** In order, the first at place 1. */
  readonly commits: Array<SimCommit> = []
  readonly #versions = new Map<string, number>()
  /** Commits that are gone, from the first on. */
  purged = 0

  /** All that was said is gone; places go on. */
  purge(): void {
    this.purged = this.commits.length
    this.#versions.clear()
  }

  version(subject: string): number {
    return this.#versions.get(subject) ?? 0
  }

  append(
    subject: string,
    events: ReadonlyArray<AnyEvent>,
    expected: number,
    { overHole = false }: { readonly overHole?: boolean } = {}
  ): Effect.Effect<Appended, AppendError> {
    const commit = makeCommit(subject, events, expected, undefined)
    if (commit instanceof EventRefused) return Effect.fail(commit)
    const actual = this.version(subject)
    if (mayFollow({ ...commit, overHole }, actual)) {
      this.#versions.set(subject, commit.last)
      const seq = this.commits.push({ ...commit, events })
      return Effect.succeed({ seq, version: commit.last, duplicate: false })
    }
    const at = this.commits.findIndex(
      (it, index) => index >= this.purged && it.subject === subject && it.first === commit.first
    )
    return this.commits[at]?.id === commit.id
      ? Effect.succeed({ seq: at + 1, version: commit.last, duplicate: true })
      : Effect.fail(new VersionConflict({ subject, expected, actual }))
  }

  /** Whoever may write to the stream writes what he likes. It uses up a version where that is the next, and no other. */
  forge(event: AnyEvent): void {
    const { subject, version } = event
    const body = JSON.stringify([event])
    this.commits.push({ subject, first: version, last: version, id: event.id, body, events: [event] })
    if (version === this.version(subject) + 1) this.#versions.set(subject, version)
  }

  get status(): LogStatus {
    const subjects = [...this.#versions].flatMap(([subject, version]) => {
      const at = this.commits.findIndex((it, index) => index >= this.purged && it.subject === subject)
      const first = this.commits[at]
      return first === undefined ? [] : [{ subject, firstSeq: at + 1, firstVersion: first.first, version }]
    })
    return {
      adapter: "memory",
      lastSeq: this.commits.length,
      beginsAt: this.purged + 1,
      families: [{ family: "keys", firstSeq: this.purged + 1, dropped: 0, subjects }],
      quarantined: { total: 0, byReason: {}, recent: [] },
      warnings: [],
      faults: []
    }
  }

  /** @param believes whether the reader believes an event at a place */
  read(from: number, only: ReadOptions["only"], believes: (event: AnyEvent, seq: number) => boolean): LogBatch {
    const events = this.commits.flatMap(({ subject, events: its }, index) =>
      index >= this.purged && index + 1 >= from && wants(only, subject)
        ? its.filter((event) => believes(event, index + 1)).map((event) => ({ seq: index + 1, event }))
        : []
    )
    return { events, quarantined: [], upTo: this.commits.length, caughtUp: true }
  }
}
