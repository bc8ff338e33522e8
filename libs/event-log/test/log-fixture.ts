/** A log under test: opening one, and what the suites do with it over and over. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { AnyEvent } from "@meridian/events"
import { type CommitStore, overStore } from "../src/commit-store.ts"
import type { Inspect } from "../src/commit.ts"
import type { AppendError, EventLog, LogBatch, ReadOptions } from "../src/event-log.ts"

export type Log = EventLog["Service"]

export interface Fixture {
  readonly store: CommitStore
  /** Stores a body behind the log's back. */
  readonly inject: (subject: string, body: string) => Promise<void>
  readonly close: () => Promise<void>
}

export const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

/** The error an append ends with. */
export const failure = async <A>(effect: Effect.Effect<A, AppendError>): Promise<AppendError> => {
  const result = await run(Effect.result(effect))
  if (Result.isSuccess(result)) throw new Error("the append succeeded")
  return result.failure
}

export const readAll = async (log: Log, options: ReadOptions = { from: 1 }): Promise<ReadonlyArray<LogBatch>> =>
  run(Stream.runCollect(log.read(options)))

export const eventsOf = (batches: ReadonlyArray<LogBatch>): ReadonlyArray<AnyEvent> =>
  batches.flatMap((batch) => batch.events.map(({ event }) => event))

/** Subscribes, and resolves once the predicate holds for all events seen. Interrupts the subscription. */
export const subscribedUntil = async (
  log: Log,
  from: number,
  enough: (events: ReadonlyArray<AnyEvent>) => boolean,
  meanwhile: (seen: ReadonlyArray<AnyEvent>) => Promise<unknown>
): Promise<ReadonlyArray<AnyEvent>> => {
  const seen: Array<AnyEvent> = []
  let caughtUp = (): void => {}
  const first = new Promise<void>((resolve) => (caughtUp = resolve))
  const fiber = Effect.runFork(
    Stream.runForEachWhile(log.subscribe({ from }), (batch) =>
      Effect.sync(() => {
        seen.push(...batch.events.map(({ event }) => event))
        if (batch.caughtUp) caughtUp()
        return !enough(seen)
      })
    )
  )
  await first
  await meanwhile(seen)
  await run(Fiber.join(fiber))
  return seen
}

/** Runs a test's body with a log that is empty at its start, and closes that in any case. */
export const withLogOf =
  (open: () => Promise<Fixture>) =>
  async (body: (log: Log, fixture: Fixture) => Promise<void>, inspect?: Inspect): Promise<void> => {
    const fixture = await open()
    try {
      await body(overStore(fixture.store, inspect), fixture)
    } finally {
      await fixture.close()
    }
  }
