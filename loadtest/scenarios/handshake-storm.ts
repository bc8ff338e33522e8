import type { Scenario } from "../fleet/scenario.ts"

const STORM = 200
const STORM_SECONDS = 10

export const handshakeStorm: Scenario = {
  name: "handshake-storm",
  shows: "clients that were all restarted exchange keys at once, 200 a second: those that have keys notice nothing",
  seconds: 40,
  loads: () => [
    { kind: "flow", name: "plain", rates: [5_000] },
    { kind: "ask", name: "nts", rate: 100, auth: "nts" },
    { kind: "exchange", name: "storm", rate: STORM, after: 10, seconds: STORM_SECONDS }
  ],
  bounds: ({ seconds }) => [
    { kind: "sum", metric: "ntp_lost", load: "plain", atMost: 0 },
    { kind: "sum", metric: "ntp_wrong", atMost: 0 },
    { kind: "sum", metric: "ntp_failures", atMost: 0 },
    { kind: "sum", metric: "ntske_given_up", atMost: 0 },
    { kind: "sum", metric: "ntp_replies", load: "nts", atLeast: 75 * seconds },
    { kind: "latency", metric: "ntp_req_duration", load: "plain", percentile: 50, below: 100, samples: 100 * seconds },
    {
      kind: "latency",
      metric: "ntske_handshake_duration",
      load: "storm",
      percentile: 95,
      below: 2_500,
      samples: (STORM * STORM_SECONDS) / 2
    }
  ]
}
