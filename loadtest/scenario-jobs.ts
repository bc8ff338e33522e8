/** Judges scenarios on several cores at once: each runs in a thread, whichever is free takes the next. */
import { Worker } from "node:worker_threads"
import type { Scenario } from "@meridian/testkit/scenario"
import type { Reference, ScenarioOutcome } from "@meridian/testkit/scenario-run"

/** What a thread is asked. */
export interface ScenarioJob {
  readonly name: string
  readonly seeds: readonly number[]
  readonly against: Reference
  readonly equalPoll: number
}

/** What it answers: a scenario's world is a function, which stays where it is. */
export type ScenarioAnswer = Omit<ScenarioOutcome, "scenario">

export interface JobListener {
  /** A scenario is done; those before it in the list may not be. */
  readonly done: (count: number) => void
  /** Outcomes in the order of the list. */
  readonly outcome: (outcome: ScenarioOutcome) => void
}

/**
 * @param jobOf what is asked of a scenario
 * @param threads how many run at once, at least 1
 * @returns the outcomes in the order of the scenarios
 * @throws Error when a thread ended or threw
 */
export const judgeScenarios = async (
  scenarios: readonly Scenario[],
  jobOf: (scenario: Scenario) => ScenarioJob,
  threads: number,
  listener: JobListener
): Promise<readonly ScenarioOutcome[]> => {
  const found: ScenarioOutcome[] = []
  const ahead = new Map<number, ScenarioOutcome>()
  let next = 0
  let done = 0
  const note = (index: number, outcome: ScenarioOutcome): void => {
    ahead.set(index, outcome)
    listener.done((done += 1))
    for (let first = ahead.get(found.length); first !== undefined; first = ahead.get(found.length)) {
      ahead.delete(found.length)
      found.push(first)
      listener.outcome(first)
    }
  }
  const serve = async (worker: Worker): Promise<void> => {
    for (let index = next++; index < scenarios.length; index = next++) {
      const scenario = scenarios[index]!
      note(index, { ...(await ask(worker, jobOf(scenario))), scenario })
    }
  }
  const workers = Array.from(
    { length: Math.min(threads, scenarios.length) },
    () => new Worker(new URL("scenario-thread.ts", import.meta.url))
  )
  try {
    await Promise.all(workers.map(serve))
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
  return found
}

const ask = (worker: Worker, job: ScenarioJob): Promise<ScenarioAnswer> =>
  new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error(`expected an outcome of ${job.name}, but its thread ended`))
    worker.once("error", reject).once("exit", ended)
    worker.once("message", (answer: ScenarioAnswer) => {
      worker.off("error", reject).off("exit", ended)
      resolve(answer)
    })
    worker.postMessage(job)
  })
