/** A coordinator's duties: each in a fiber of its own, told of when it fails, ended by name when it dies. */
import { LogUnavailable } from "@meridian/event-log"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { duty, type DutyDied, perform } from "../src/duties.ts"

/** Time passes when the test says so. */
const underTestClock = <A>(body: () => Generator<Effect.Effect<unknown, unknown>, A, never>): Promise<A> =>
  Effect.runPromise(Effect.gen(body).pipe(Effect.scoped, Effect.provide(TestClock.layer())) as Effect.Effect<A>)

/** Looks once a second of a clock that the test moves. */
const surroundings = (told: string[]) => ({
  rounds: {
    until: (dueIn: () => number): Effect.Effect<void> =>
      Effect.gen(function* () {
        do yield* Effect.sleep("1 second")
        while (dueIn() > 0)
      })
  },
  tell: (topic: string, message: string) => Effect.sync(() => void told.push(`${topic}: ${message}`))
})

describe("a duty", () => {
  it("is done at once, and again whenever it is due", () =>
    underTestClock(function* () {
      let [done, isDue] = [0, false]
      const run = Effect.sync(() => void (done += 1))
      yield* Effect.forkChild(
        perform(
          duty("counting", () => isDue, run),
          surroundings([])
        )
      )
      yield* TestClock.adjust("5 seconds")
      expect(done).toBe(1)
      isDue = true
      yield* TestClock.adjust("3 seconds")
      expect(done).toBe(4)
    }))

  it("that fails is told of and done again", () =>
    underTestClock(function* () {
      const told: string[] = []
      let tries = 0
      const run = Effect.suspend(() => ((tries += 1) < 3 ? Effect.fail("no answer" as const) : Effect.void))
      yield* Effect.forkChild(
        perform(
          duty("asking", () => tries < 3, run),
          surroundings(told)
        )
      )
      yield* TestClock.adjust("10 seconds")
      expect([tries, told]).toEqual([3, ["asking: asking: no answer", "asking: asking: no answer"]])
    }))

  it("that dies ends by its name, whatever the others do", () =>
    underTestClock(function* () {
      const told: string[] = []
      const good = perform(
        duty("waiting", () => false, Effect.void),
        surroundings(told)
      )
      const dying = Effect.sync(() => {
        throw new TypeError("x is not a function")
      })
      const bad = perform(
        duty("leading", () => true, Effect.delay(dying, "2 seconds")),
        surroundings(told)
      )
      const both = yield* Effect.forkChild(Effect.flip(Effect.raceAllFirst([good, bad])))
      yield* TestClock.adjust("2 seconds")
      const died = (yield* Fiber.join(both)) as DutyDied
      expect([died._tag, died.duty, died.message, told]).toEqual([
        "DutyDied",
        "leading",
        "leading died: x is not a function",
        []
      ])
    }))

  it("that finds the log damaged does not go on", () =>
    underTestClock(function* () {
      const damaged = new LogUnavailable({ detail: "a page is torn", uncertain: false, damaged: true })
      const why = yield* Effect.flip(
        perform(
          duty("snapshots", () => true, Effect.fail(damaged)),
          surroundings([])
        )
      )
      expect(why).toBe(damaged)
    }))
})
