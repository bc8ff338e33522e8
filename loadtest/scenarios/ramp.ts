import type { Scenario } from "../fleet/scenario.ts"

/** Requests a second, step by step. */
const RATES = [2_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000, 140_000, 160_000]

export const ramp: Scenario = {
  name: "ramp",
  shows: "plain requests in steps, until the machine has no more: what is half of that is what other scenarios ask for",
  seconds: 50,
  loads: () => [{ kind: "flow", name: "plain", rates: RATES }],
  bounds: () => [
    { kind: "sum", metric: "ntp_wrong", atMost: 0 },
    { kind: "sum", metric: "ntp_replies", atLeast: 100_000 }
  ]
}
