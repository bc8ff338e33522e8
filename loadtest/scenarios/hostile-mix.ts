import type { Scenario } from "../fleet/scenario.ts"

const HOSTILE = 5_000
/** Packets are 3 to 1,200 bytes long, some 250 on average. */
const LEAST_BYTES = 100

export const hostileMix: Scenario = {
  name: "hostile-mix",
  shows: "5,000 packets a second that no client would send: clients notice nothing, and less comes back than was sent",
  seconds: 40,
  loads: () => [
    { kind: "flow", name: "plain", rates: [5_000] },
    { kind: "ask", name: "nts", rate: 100, auth: "nts" },
    { kind: "hostile", name: "hostile", rate: HOSTILE, after: 5 }
  ],
  bounds: ({ seconds }) => [
    { kind: "sum", metric: "ntp_lost", load: "plain", atMost: 0 },
    { kind: "sum", metric: "ntp_wrong", atMost: 0 },
    { kind: "sum", metric: "ntp_failures", atMost: 0 },
    { kind: "sum", metric: "ntp_hostile_sent", atLeast: LEAST_BYTES * HOSTILE * (seconds - 6) },
    { kind: "sum", metric: "ntp_hostile_received", atMost: (LEAST_BYTES * HOSTILE * (seconds - 6)) / 2 },
    { kind: "latency", metric: "ntp_req_duration", load: "plain", percentile: 50, below: 100, samples: 100 * seconds }
  ]
}
