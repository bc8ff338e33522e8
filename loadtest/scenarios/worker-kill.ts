import { killWorker } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails } from "./half-of-saturation.ts"

export const workerKill: Scenario = {
  name: "worker-kill",
  shows:
    "a worker of each node is killed: its successor answers what waits at its socket, and less than 0.01 % is lost",
  seconds: 40,
  loads: mixedLoads,
  steps: () =>
    [1, 2, 3].map((node) => ({
      at: 8 * node,
      name: `a worker of n${node} killed`,
      act: (stage) => killWorker(stage, node)
    })),
  bounds: (setting) => [{ kind: "loss", load: "plain", below: 1e-4 }, ...noClientFails(setting)]
}
