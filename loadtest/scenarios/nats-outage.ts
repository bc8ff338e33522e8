import { natsAway } from "../fleet/faults.ts"
import type { Scenario } from "../fleet/scenario.ts"
import { mixedLoads, noClientFails, nothingLost } from "./half-of-saturation.ts"

const AWAY_SECONDS = 12

export const natsOutage: Scenario = {
  name: "nats-outage",
  shows: "NATS is killed and comes back: every node goes on serving with the keys it has, and one leads again",
  seconds: 45,
  loads: (setting) => [...mixedLoads(setting), { kind: "exchange", name: "handshakes", rate: 10 }],
  steps: () => [{ at: 8, name: `NATS away for ${AWAY_SECONDS} s`, act: (stage) => natsAway(stage, AWAY_SECONDS) }],
  bounds: (setting) => [
    nothingLost,
    ...noClientFails(setting),
    { kind: "sum", metric: "ntske_given_up", atMost: 0 },
    {
      kind: "latency",
      metric: "ntske_handshake_duration",
      load: "handshakes",
      percentile: 50,
      below: 1_000,
      samples: 100
    }
  ]
}
