/** Metrics of what is served and what it comes from. */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { sourcePlace } from "@meridian/ipc/source-place"
import { byLabel, counter, type Family, gauge, info, type Labels } from "./exposition.ts"

const PPM = 1e-6

/** The most that served time may be off by, as it claims: half the root delay and the root dispersion. Seconds. */
export const errorBound = ({ status: { clock } }: NodeSnapshot): number => clock.rootDelay / 2 + clock.rootDispersion

const flag = (value: boolean): number => (value ? 1 : 0)
const scaled = (value: number | null | undefined): number | null | undefined =>
  typeof value === "number" ? value * PPM : value

export const clockMetrics = (snapshot: NodeSnapshot): readonly Family[] => {
  const { tracking, status, at } = snapshot
  const { clock } = status
  const one = (name: string, help: string, value: number | null | undefined): Family => gauge(name, help, [{ value }])
  const bound = clock.synchronised ? errorBound(snapshot) : undefined
  return [
    one("meridian_clock_synchronised", "1 while there is good time to serve.", flag(clock.synchronised)),
    one("meridian_clock_stratum", "Stratum as served; 16 while unsynchronised.", clock.stratum),
    one("meridian_clock_leap", "Leap indicator as served; 3 while unsynchronised.", clock.leap),
    one(
      "meridian_clock_error_bound_seconds",
      "Most that served time may be off by, as it claims (root distance).",
      bound
    ),
    one("meridian_clock_root_delay_seconds", "Root delay as served.", clock.rootDelay),
    one("meridian_clock_root_dispersion_seconds", "Root dispersion as served.", clock.rootDispersion),
    one("meridian_clock_offset_seconds", "True time minus the system clock, best estimate.", tracking?.offset),
    one("meridian_clock_offset_deviation_seconds", "Standard deviation of that estimate.", tracking?.offsetDeviation),
    one(
      "meridian_clock_served_offset_seconds",
      "Added to the system clock to make served time.",
      tracking?.servedOffset
    ),
    one(
      "meridian_clock_frequency_ratio",
      "Estimated frequency error of the system clock.",
      scaled(tracking?.frequency)
    ),
    one("meridian_clock_frequency_deviation_ratio", "Its standard deviation.", scaled(tracking?.frequencyDeviation)),
    one(
      "meridian_clock_holdover_seconds",
      "For how long the clock has run by itself; 0 out of holdover.",
      tracking === null ? undefined : tracking.holdoverSince === null ? 0 : Math.max(0, at - tracking.holdoverSince)
    ),
    ...(tracking === null
      ? []
      : [
          info("meridian_clock", "What is followed, and how.", [
            {
              state: tracking.state,
              mode: tracking.mode,
              system_peer: tracking.systemPeer ?? "",
              reference_id: tracking.referenceId
            }
          ]),
          counter("meridian_clock_steps", "Steps of served time.", [{ value: tracking.steps }]),
          counter("meridian_clock_foreign_steps", "Steps of the system clock by others.", [
            { value: tracking.foreignSteps }
          ])
        ]),
    ...sourceMetrics(snapshot.sources)
  ]
}

const labelsOf = (source: SourceReport): Labels => ({ source: sourcePlace(source), name: source.name ?? "" })

const sourceMetrics = (sources: readonly SourceReport[]): readonly Family[] => {
  const each = (name: string, help: string, value: (source: SourceReport) => number | null | undefined): Family =>
    gauge(
      name,
      help,
      sources.map((source) => ({ labels: labelsOf(source), value: value(source) }))
    )
  return [
    info(
      "meridian_source",
      "What each source is and what is made of it.",
      sources.map((source) => ({
        ...labelsOf(source),
        mode: source.mode,
        verdict: source.verdict,
        reference_id: source.referenceId,
        authentication: source.authentication.kind
      }))
    ),
    each("meridian_source_stratum", "Stratum; 16 until it has answered.", ({ stratum }) => stratum),
    each("meridian_source_offset_seconds", "Its time minus served time.", ({ offset }) => offset),
    each("meridian_source_delay_seconds", "Round trip.", ({ delay }) => delay),
    each("meridian_source_jitter_seconds", "Jitter of its samples.", ({ jitter }) => jitter),
    each("meridian_source_root_distance_seconds", "Most that it may be off by.", ({ rootDistance }) => rootDistance),
    each("meridian_source_reach_ratio", "Share of the last eight requests that were answered.", ({ reach }) =>
      reached(reach)
    ),
    each("meridian_source_reply_age_seconds", "Since the last usable reply.", ({ lastReply }) => lastReply),
    each("meridian_source_nts_cookies", "NTS cookies in store.", ({ authentication }) =>
      authentication.kind === "nts" ? authentication.cookies : undefined
    ),
    counter(
      "meridian_source_packets_dropped",
      "Its packets that gave no sample, by why.",
      sources.flatMap((source) => byLabel("reason", source.dropped, labelsOf(source)))
    )
  ]
}

/** @param reach the last eight requests, octal */
const reached = (reach: string): number | undefined => {
  const bits = Number.parseInt(reach, 8)
  return Number.isNaN(bits) ? undefined : (bits & 0xff).toString(2).replaceAll("0", "").length / 8
}
