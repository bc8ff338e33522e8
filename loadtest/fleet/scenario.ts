/** What a load scenario says: who asks, what happens meanwhile, and what has to come of it. */
import type { Stage } from "./stage.ts"

interface LoadCommon {
  /** Its name in figures and plots: letters, digits, - and _, which is what k6 takes. */
  readonly name: string
  /** Seconds after the start, 0 where it is left out. */
  readonly after?: number
  /** Seconds; to the end where it is left out. */
  readonly seconds?: number
}

/** Plain requests in an open loop; several rates are steps of the same length. */
interface FlowLoad extends LoadCommon {
  readonly kind: "flow"
  readonly rates: readonly number[]
  readonly version?: number
  readonly sockets?: number
}

/** Single clients that ask once more where no answer came. Each NTS client keeps its cookies, as chronyd does. */
interface AskLoad extends LoadCommon {
  readonly kind: "ask"
  readonly rate: number
  readonly auth: "plain" | "keyed" | "nts"
  readonly version?: number
  readonly interleaved?: boolean
  /** An NTS client exchanges keys anew after so many requests; never where it is left out. */
  readonly renew?: number
}

/** Key exchanges alone, each by a client without a session. */
interface ExchangeLoad extends LoadCommon {
  readonly kind: "exchange"
  readonly rate: number
}

/** So many requests within a twentieth of a second, when a minute is full. */
interface HerdLoad extends LoadCommon {
  readonly kind: "herd"
  readonly requests: number
}

/** What no client would send. */
interface HostileLoad extends LoadCommon {
  readonly kind: "hostile"
  readonly rate: number
}

export type Load = FlowLoad | AskLoad | ExchangeLoad | HerdLoad | HostileLoad

/** What a step found out by itself, besides the load's figures. */
export interface Finding {
  readonly what: string
  readonly found: number
  readonly limit: number
  readonly unit: "s" | "count"
}

interface Step {
  /** Seconds after the load began. */
  readonly at: number
  /** For the plots and the progress. */
  readonly name: string
  readonly act: (stage: Stage) => Promise<readonly Finding[] | void>
}

/** A bound on the sum of a counter over the whole run. */
interface SumBound {
  readonly kind: "sum"
  readonly metric: CounterName
  readonly load?: string
  readonly atLeast?: number
  readonly atMost?: number
}

/** Requests without an answer, as a share of those sent. */
interface LossBound {
  readonly kind: "loss"
  readonly load?: string
  readonly below: number
}

/**
 * A bound on a percentile over the whole run. Where nothing was measured it is not met: `samples` is the least that there must be,
 * since a threshold on an empty latency passes in k6.
 */
interface LatencyBound {
  readonly kind: "latency"
  readonly metric: TrendName
  readonly load?: string
  readonly percentile: 50 | 95 | 99
  /** milliseconds */
  readonly below: number
  readonly samples: number
}

/**
 * A bound on the requests a second that a flow kept up. All that it is told to send it sends, if need be in more time: how many there
 * were says nothing of the pace.
 */
interface PaceBound {
  readonly kind: "pace"
  readonly load: string
  /** Requests a second. */
  readonly atLeast: number
}

export type Bound = SumBound | LossBound | LatencyBound | PaceBound

export type TrendName = "ntp_req_duration" | "ntske_handshake_duration"
type CounterName =
  | "ntp_requests"
  | "ntp_replies"
  | "ntp_lost"
  | "ntp_late"
  | "ntp_flow_seconds"
  | "ntp_wrong"
  | "ntp_kod"
  | "ntp_failures"
  | "ntske_failures"
  | "ntske_given_up"
  | "ntp_hostile_sent"
  | "ntp_hostile_received"

export interface ScenarioSetting {
  /** Seconds of load. */
  readonly seconds: number
  /** Requests a second: `--rate`, or half of what the last ramp found, or 10,000. */
  readonly rate: number
}

export interface Scenario {
  readonly name: string
  /** One sentence. */
  readonly shows: string
  /** Where --seconds says nothing. */
  readonly seconds: number
  /** How many nodes; three where it is left out. */
  readonly nodes?: number
  /** Nodes that are not started before the load; a step does that. */
  readonly absent?: readonly number[]
  /** Lines of a node's ntp.conf besides. */
  readonly lines?: (node: number) => readonly string[]
  readonly loads: (setting: ScenarioSetting) => readonly Load[]
  readonly steps?: (setting: ScenarioSetting) => readonly Step[]
  readonly bounds: (setting: ScenarioSetting) => readonly Bound[]
}
