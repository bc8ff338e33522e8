import { rollingRestart } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

export const rollingRestartUnderLoad: Scenario = {
  name: "rolling-restart",
  shows: "each node in turn leaves in good order, ends, starts and comes back, at half of saturation: nothing is lost",
  seconds: 60,
  loads: mixedLoads,
  steps: () => [{ at: 5, name: "rolling restart", act: rollingRestart }],
  bounds: (setting) => [nothingLost, ...noClientFails(setting)]
}
