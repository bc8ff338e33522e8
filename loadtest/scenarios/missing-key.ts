import { loseKeys } from "../fleet/faults.ts"
import type { Scenario, ScenarioSetting } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

const RATE = 20_000
const setting = ({ seconds }: ScenarioSetting): ScenarioSetting => ({ seconds, rate: RATE })

export const missingKey: Scenario = {
  name: "missing-key",
  shows: "a node loses its keys while NATS is away: its route goes, no client notices, and it is back with NATS",
  seconds: 45,
  loads: (given) => mixedLoads(setting(given)),
  steps: () => [{ at: 8, name: "n2 loses its keys, NATS is away", act: (stage) => loseKeys(stage, 2) }],
  bounds: (given) => [nothingLost, ...noClientFails(setting(given))]
}
