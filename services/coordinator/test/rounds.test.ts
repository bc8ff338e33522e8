/** The one timer of a coordinator: who is asked when, under a clock of the test's own. */
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { Rounds } from "../src/rounds.ts"

beforeEach(() => void vi.useFakeTimers({ now: 12_400, toFake: ["Date", "performance", "setTimeout", "clearTimeout"] }))
afterEach(() => void vi.useRealTimers())

/** Waits over and over; says when it was asked and when it was woken, in seconds. */
const waiter = (rounds: Rounds, dueIn: () => number) => {
  const asked: number[] = []
  const woken: number[] = []
  const seconds = (): number => Math.round(Date.now() / 1e3)
  const asks = (): number => {
    asked.push(seconds())
    return dueIn()
  }
  Effect.runFork(rounds.until(asks).pipe(Effect.andThen(Effect.sync(() => void woken.push(seconds()))), Effect.forever))
  return { asked, woken }
}

const started = (): Rounds => {
  const rounds = new Rounds()
  Effect.runFork(Effect.scoped(Effect.andThen(rounds.run, Effect.never)))
  return rounds
}

it("asks each twelfth second while nobody is due, and at the moment that somebody named", async () => {
  const rounds = started()
  let dueAt = Infinity
  const { asked, woken } = waiter(rounds, () => dueAt - Date.now())
  await vi.advanceTimersByTimeAsync(48_000)
  expect(asked).toEqual([12, 13, 24, 36, 48, 60])
  asked.length = 0
  dueAt = 75_000
  await vi.advanceTimersByTimeAsync(14_000)
  expect(asked).toEqual([72])
  await vi.advanceTimersByTimeAsync(700)
  expect({ asked, woken }).toEqual({ asked: [72, 75, 75], woken: [75] })
})

it("asks each second whoever is due still, and at once where something has come in", async () => {
  const rounds = started()
  let isDue = false
  const { woken } = waiter(rounds, () => (isDue ? 0 : Infinity))
  await vi.advanceTimersByTimeAsync(30_000)
  expect(woken).toEqual([])
  isDue = true
  rounds.look()
  await vi.advanceTimersByTimeAsync(0)
  expect(woken).toEqual([42])
  await vi.advanceTimersByTimeAsync(3_000)
  expect(woken).toEqual([42, 43, 44, 45])
  isDue = false
  await vi.advanceTimersByTimeAsync(30_000)
  expect(woken).toHaveLength(4)
})
