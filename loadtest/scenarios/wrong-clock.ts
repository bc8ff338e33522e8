import { joinWithWrongClock } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

const WRONG = 3
const OFF_SECONDS = 45

export const wrongClock: Scenario = {
  name: "wrong-clock",
  shows:
    "a node joins whose only source is 45 s off: it leads nothing, gets no route, and no client hears a wrong time",
  seconds: 40,
  absent: [WRONG],
  // Time to compare clocks before the route may come; 10 where nothing is said.
  lines: (node) => (node === WRONG ? ["anycast rise 10"] : []),
  loads: mixedLoads,
  steps: () => [
    {
      at: 5,
      name: `n${WRONG} joins, ${OFF_SECONDS} s off`,
      act: (stage) => joinWithWrongClock(stage, WRONG, OFF_SECONDS)
    }
  ],
  bounds: (setting) => [nothingLost, ...noClientFails(setting)]
}
