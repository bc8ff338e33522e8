import type { Scenario } from "../fleet/scenario.ts"

const HERD = 5_000
const STEADY = 2_000

export const herd: Scenario = {
  name: "herd",
  shows:
    "5,000 clients ask within a twentieth of a second when a minute is full, beside 2,000 steady requests a second",
  seconds: 75,
  loads: () => [
    { kind: "flow", name: "steady", rates: [STEADY] },
    { kind: "herd", name: "herd", requests: HERD }
  ],
  bounds: ({ seconds }) => [
    { kind: "sum", metric: "ntp_lost", atMost: 0 },
    { kind: "sum", metric: "ntp_wrong", atMost: 0 },
    { kind: "sum", metric: "ntp_replies", load: "herd", atLeast: HERD },
    { kind: "latency", metric: "ntp_req_duration", load: "steady", percentile: 50, below: 100, samples: 100 * seconds },
    { kind: "latency", metric: "ntp_req_duration", load: "herd", percentile: 95, below: 800, samples: 100 }
  ]
}
