import { rotate } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

const FIRST = 3
/** A generation is announced ten seconds ahead, and a second order meanwhile is refused. */
const EACH = 13

export const rotation: Scenario = {
  name: "rotation",
  shows: "NTS keys are rotated each 13 s at half of saturation: nothing is lost, and no cookie refused",
  seconds: 30,
  loads: mixedLoads,
  steps: ({ seconds }) =>
    Array.from({ length: Math.floor((seconds - FIRST) / EACH) + 1 }, (_, index) => ({
      at: FIRST + EACH * index,
      name: "rotation",
      act: rotate
    })),
  bounds: (setting) => [nothingLost, ...noClientFails(setting)]
}
