/** A thread that runs every second or third schedule, as many as there are threads, until the time is up or a promise is broken, and tells how far it came. */
import { parentPort, workerData } from "node:worker_threads"
import { runSchedule } from "./simulation.ts"

export interface Share {
  readonly first: number
  readonly step: number
  readonly last: number
  /** Milliseconds from the thread's start. */
  readonly limitMs: number
}

export interface Outcome {
  readonly done: number
  readonly failed: { readonly seed: number; readonly why: string } | undefined
}

const { first, step, last, limitMs } = workerData as Share

// Refusals are daily bread here, and their traces cost more than the rules do. A schedule that is run alone has its trace.
if (last > first) Error.stackTraceLimit = 0

const run = async (): Promise<Outcome> => {
  let done = 0
  for (let seed = first; seed <= last && performance.now() < limitMs; seed += step) {
    try {
      await runSchedule(seed)
    } catch (error) {
      return { done, failed: { seed, why: error instanceof Error ? (error.stack ?? error.message) : String(error) } }
    }
    done += 1
  }
  return { done, failed: undefined }
}

parentPort?.postMessage(await run())
