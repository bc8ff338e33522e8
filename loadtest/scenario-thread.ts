/** A thread of scenario-jobs.ts: judges one scenario after the other. */
import { parentPort } from "node:worker_threads"
import { allScenarios } from "@meridian/testkit/scenario-all"
import { judgeScenario } from "@meridian/testkit/scenario-run"
import type { ScenarioJob } from "./scenario-jobs.ts"

parentPort?.on("message", ({ name, seeds, against, equalPoll }: ScenarioJob) => {
  const scenario = allScenarios.find((each) => each.name === name)
  if (scenario === undefined) throw new Error(`expected the name of a scenario, found "${name}"`)
  const { scenario: _, ...answer } = judgeScenario(scenario, seeds, against, equalPoll)
  parentPort?.postMessage(answer)
})
