import type { Scenario } from "../fleet/scenario.ts"

export const ntsMix: Scenario = {
  name: "nts-mix",
  shows:
    "NTS clients that keep their cookies, those that exchange keys anew each tenth request, keyed, interleaved and old ones",
  seconds: 40,
  loads: () => [
    { kind: "ask", name: "nts", rate: 400, auth: "nts" },
    { kind: "ask", name: "nts-renewing", rate: 100, auth: "nts", renew: 10 },
    { kind: "ask", name: "keyed", rate: 100, auth: "keyed" },
    { kind: "ask", name: "interleaved", rate: 100, auth: "plain", interleaved: true },
    { kind: "flow", name: "version-3", rates: [500], version: 3 },
    { kind: "flow", name: "version-1", rates: [100], version: 1 }
  ],
  bounds: ({ seconds }) => [
    { kind: "sum", metric: "ntp_lost", load: "version-3", atMost: 0 },
    { kind: "sum", metric: "ntp_lost", load: "version-1", atMost: 0 },
    { kind: "sum", metric: "ntp_wrong", atMost: 0 },
    { kind: "sum", metric: "ntp_kod", atMost: 0 },
    { kind: "sum", metric: "ntp_failures", atMost: 0 },
    { kind: "sum", metric: "ntp_replies", load: "nts", atLeast: 300 * seconds },
    { kind: "sum", metric: "ntp_replies", load: "keyed", atLeast: 75 * seconds },
    { kind: "latency", metric: "ntp_req_duration", load: "nts", percentile: 50, below: 100, samples: 300 * seconds },
    {
      kind: "latency",
      metric: "ntske_handshake_duration",
      load: "nts-renewing",
      percentile: 95,
      below: 1_500,
      samples: 5 * seconds
    }
  ]
}
