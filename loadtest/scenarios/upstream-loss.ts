import { sourcesAway } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

const AWAY_SECONDS = 25

export const upstreamLoss: Scenario = {
  name: "upstream-loss",
  shows: "no source of time answers any node for a while: nodes go on by their clocks and say what they may be off by",
  seconds: 45,
  loads: mixedLoads,
  steps: () => [
    { at: 8, name: `sources silent for ${AWAY_SECONDS} s`, act: (stage) => sourcesAway(stage, AWAY_SECONDS) }
  ],
  bounds: (setting) => [nothingLost, ...noClientFails(setting)]
}
