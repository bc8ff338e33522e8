import { killNode } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"

const RATE = 5_000

export const nodeKill: Scenario = {
  name: "node-kill",
  shows: "all of a node's processes are killed at once: its route goes, and clients that ask twice notice nothing",
  seconds: 30,
  loads: () => [
    { kind: "flow", name: "plain", rates: [RATE] },
    { kind: "ask", name: "asking-twice", rate: 100, auth: "plain" },
    { kind: "ask", name: "nts", rate: 50, auth: "nts" }
  ],
  steps: () => [{ at: 10, name: "n2 killed", act: (stage) => killNode(stage, 2) }],
  bounds: ({ seconds }) => [
    // What was under way to the node, and what came until the route was gone.
    { kind: "loss", load: "plain", below: 1 / (3 * seconds) },
    { kind: "sum", metric: "ntp_failures", atMost: 0 },
    { kind: "sum", metric: "ntp_kod", atMost: 0 },
    { kind: "sum", metric: "ntp_wrong", atMost: 0 },
    { kind: "sum", metric: "ntp_replies", load: "asking-twice", atLeast: 75 * seconds },
    {
      kind: "latency",
      metric: "ntp_req_duration",
      load: "asking-twice",
      percentile: 50,
      below: 100,
      samples: 75 * seconds
    }
  ]
}
