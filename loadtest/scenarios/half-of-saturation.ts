/** What the scenarios that may lose nothing have in common: as many requests as prove it, and NTS clients beside them. */
import type { Bound, Load, ScenarioSetting } from "../fleet/scenario.ts"
import { KEPT_PACE } from "../fleet/verdict.ts"

const NTS_RATE = 50

/** Plain requests at the given rate, and clients with NTS that keep their cookies. */
export const mixedLoads = ({ rate }: ScenarioSetting): readonly Load[] => [
  { kind: "flow", name: "plain", rates: [rate] },
  { kind: "ask", name: "nts", rate: NTS_RATE, auth: "nts" }
]

/** Nothing wrong, and no NTS client without an answer to a second try, or with a cookie that a node would not take. */
export const noClientFails = ({ seconds, rate }: ScenarioSetting): readonly Bound[] => [
  { kind: "sum", metric: "ntp_wrong", atMost: 0 },
  { kind: "sum", metric: "ntp_failures", atMost: 0 },
  { kind: "sum", metric: "ntp_kod", load: "nts", atMost: 0 },
  { kind: "sum", metric: "ntp_replies", load: "nts", atLeast: Math.floor((NTS_RATE * seconds) / 2) },
  { kind: "latency", metric: "ntp_req_duration", load: "plain", percentile: 50, below: 100, samples: 10 * seconds },
  { kind: "pace", load: "plain", atLeast: Math.floor(KEPT_PACE * rate) }
]

/** A client that asks twice is judged by its second try. */
export const nothingLost: Bound = { kind: "sum", metric: "ntp_lost", load: "plain", atMost: 0 }
