/**
 * Random schedules of what happens to a place: its process crashes, hangs, speaks again, is to be replaced or renewed, and the
 * system has no process to spare. A seed gives a schedule. At any moment at most two processes live, and one that is needed is
 * tried for; after the last fault one serves within a bound, all else has ended, and what happened was counted.
 *
 * MERIDIAN_SEED says which seed is the first.
 */
import * as Effect from "effect/Effect"
import { seeded } from "@meridian/testkit/sim-random"
import { expect, it } from "vitest"
import { STARTING_SILENT_SECONDS } from "../src/supervised-process.ts"
import { type FakeChild, pass, refuse, silentSeconds, stage, underTestClock } from "./supervised-stage.ts"

const SCHEDULES = process.env["MERIDIAN_LONG"] === "1" ? 3_000 : 40
const FIRST_SEED = Number(process.env["MERIDIAN_SEED"] ?? 1)
const STEPS = 25
const LONGEST_BACKOFF_MS = 1_000
/** A successor that never speaks is given up, then the one it was to follow, and then the next is started. */
const WHOLE_WITHIN_SECONDS = 2 * STARTING_SILENT_SECONDS + 2 * silentSeconds + 15

const lives = (child: FakeChild): boolean => child.exitCode === null && child.signalCode === null

const schedule = (seed: number, overlaps: boolean): Promise<void> =>
  underTestClock(function* () {
    const chance = seeded(seed)
    const { place, children, exited, refusals } = yield* stage({ overlaps, longestBackoffMs: LONGEST_BACKOFF_MS })
    const living = (): readonly FakeChild[] => children.filter(lives)
    /** Those that are not stopped come up a moment after they were started. */
    const comeUp = (): void => {
      for (const child of living()) if (!child.isStopped) child.say("ready")
    }
    for (let step = 0; step < STEPS; step += 1) {
      const dice = chance()
      const target = living()[Math.floor(chance() * living().length)]
      if (dice < 0.2) target?.end(1)
      else if (dice < 0.4 && target !== undefined) target.isStopped = true
      else if (dice < 0.5) for (const child of children) child.isStopped = false
      else if (dice < 0.6) for (let times = chance() * 5; times > 0; times -= 1) refusals.push(refuse("ENOMEM"))
      else if (dice < 0.7) yield* Effect.forkChild(place.refresh)
      yield* pass(children, Math.floor(chance() * 8))
      if (chance() < 0.8) comeUp()
      expect(living().length, "processes at a time").toBeLessThanOrEqual(2)
    }
    refusals.length = 0
    for (const child of children) child.isStopped = false
    for (let second = 0; second < WHOLE_WITHIN_SECONDS; second += 1) {
      comeUp()
      yield* pass(children, 1)
    }
    expect(place.state).toBe("running")
    expect(living().map(({ pid }) => pid)).toEqual([place.pid])
    expect(exited.toSorted((a, b) => a - b)).toEqual(children.filter((it) => !lives(it)).map(({ pid }) => pid))
    yield* place.stop
    expect(living()).toEqual([])
  })

it.each([true, false])("a place is whole again after random faults, where successors overlap: %s", async (overlaps) => {
  const broken: string[] = []
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES && broken.length === 0; seed += 1)
    await schedule(seed, overlaps).catch((error: unknown) => {
      broken.push(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    })
  expect(broken).toEqual([])
})
