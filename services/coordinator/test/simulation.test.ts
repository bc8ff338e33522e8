/**
 * Random schedules of faults, each from a seed; see simulation.ts: three hundred, and ten thousand where MERIDIAN_LONG asks for it. A
 * thread for each core runs its share. On a machine that is too slow for all of them it runs as many as it can within the
 * limit, and says how many.
 *
 * MERIDIAN_SCHEDULES asks for another number, without a limit of time; MERIDIAN_SEED says which seed is the first.
 */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { expect, it } from "vitest"
import type { Outcome, Share } from "./simulation-worker.ts"

const GIVEN = process.env["MERIDIAN_SCHEDULES"]
const SCHEDULES = Number(GIVEN ?? (process.env["MERIDIAN_LONG"] === "1" ? 10_000 : 300))
const FIRST_SEED = Number(process.env["MERIDIAN_SEED"] ?? 1)
const LIMIT_MS = GIVEN === undefined && process.env["MERIDIAN_LONG"] !== "1" ? 60_000 : 3_600_000
/** For the threads to start and to end the schedule that they are in. */
const MARGIN_MS = 240_000

const runShare = (share: Share): Promise<Outcome> =>
  new Promise((done, failed) => {
    const worker = new Worker(new URL("simulation-worker.ts", import.meta.url), { workerData: share })
    worker.once("message", done)
    worker.once("error", failed)
    worker.once("exit", (code) => failed(new Error(`a thread ended with ${code} and no outcome`)))
  })

it(
  "keeps its promises under random schedules of faults",
  async () => {
    const start = performance.now()
    const threads = Math.min(SCHEDULES, Math.max(1, availableParallelism()))
    const last = FIRST_SEED + SCHEDULES - 1
    const outcomes = await Promise.all(
      Array.from({ length: threads }, (_, index) =>
        runShare({ first: FIRST_SEED + index, step: threads, last, limitMs: LIMIT_MS })
      )
    )
    const done = outcomes.reduce((sum, it) => sum + it.done, 0)
    process.stdout.write(`${done} of ${SCHEDULES} schedules in ${Math.round(performance.now() - start)} ms\n`)
    const failures = outcomes.flatMap(({ failed }) => (failed === undefined ? [] : [failed]))
    const [first] = failures.toSorted((a, b) => a.seed - b.seed)
    if (first !== undefined)
      throw new Error(
        `seed ${first.seed}: ${first.why}\nagain: MERIDIAN_SEED=${first.seed} MERIDIAN_SCHEDULES=1 vitest run test/simulation.test.ts`
      )
    expect(done).toBeGreaterThan(0)
  },
  LIMIT_MS + MARGIN_MS
)
