import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

export const soak: Scenario = {
  name: "soak",
  shows: "plain and NTS clients for as long as --seconds says (ten minutes), at a quarter of saturation",
  seconds: 600,
  loads: ({ rate, seconds }) => mixedLoads({ rate: Math.floor(rate / 2), seconds }),
  bounds: ({ rate, seconds }) => [nothingLost, ...noClientFails({ rate: Math.floor(rate / 2), seconds })]
}
