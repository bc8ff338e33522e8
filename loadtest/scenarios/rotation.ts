import { rotate } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

export const rotation: Scenario = {
  name: "rotation",
  shows: "NTS keys are rotated each five seconds at half of saturation: nothing is lost, and no cookie refused",
  seconds: 30,
  loads: mixedLoads,
  steps: ({ seconds }) =>
    Array.from({ length: Math.floor(seconds / 5) - 1 }, (_, index) => ({
      at: 5 * (index + 1),
      name: "rotation",
      act: rotate
    })),
  bounds: (setting) => [nothingLost, ...noClientFails(setting)]
}
