import { setTimeout as sleep } from "node:timers/promises"
import { drainLeader, undrain } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { KEPT_PACE } from "../fleet/verdict.ts"

const RATE = 20_000

export const drain: Scenario = {
  name: "drain",
  shows:
    "the node that leads is drained and brought back, under 20,000 requests a second, NTS clients and a storm of key exchanges",
  seconds: 60,
  loads: () => [
    { kind: "flow", name: "plain", rates: [RATE] },
    { kind: "ask", name: "nts", rate: 50, auth: "nts" },
    { kind: "exchange", name: "handshakes", rate: 40 }
  ],
  steps: () => [
    {
      at: 12,
      name: "drain of the node that leads",
      act: async (stage) => {
        const { node, findings } = await drainLeader(stage)
        await sleep(5_000)
        return [...findings, ...(await undrain(stage, node))]
      }
    }
  ],
  bounds: ({ seconds }) => [
    { kind: "sum", metric: "ntp_lost", load: "plain", atMost: 0 },
    { kind: "sum", metric: "ntp_wrong", atMost: 0 },
    { kind: "sum", metric: "ntp_failures", atMost: 0 },
    { kind: "sum", metric: "ntske_given_up", atMost: 0 },
    { kind: "sum", metric: "ntp_replies", load: "plain", atLeast: RATE * (seconds - 1) },
    { kind: "pace", load: "plain", atLeast: KEPT_PACE * RATE },
    { kind: "latency", metric: "ntp_req_duration", load: "plain", percentile: 50, below: 100, samples: 10_000 },
    {
      kind: "latency",
      metric: "ntske_handshake_duration",
      load: "handshakes",
      percentile: 95,
      below: 1_500,
      samples: 100
    }
  ]
}
