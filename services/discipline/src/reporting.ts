/** What this service tells about itself: sources, tracking, and what it is waiting for. */
import { SAMPLES_NEEDED, agrees, formatSeconds, type SourceVerdict, type DisciplineAction } from "@meridian/algorithms"
import type { Measurement } from "@meridian/events"
import type {
  ClockState,
  DisciplineConfiguration,
  SourceAuthentication,
  SourceReport,
  TrackingReport
} from "@meridian/ipc/discipline-report"
import { sourcePlace } from "@meridian/ipc/source-place"
import type { SystemVariables } from "@meridian/protocol/associations"
import { type ClockCurve, rootDispersionAt, STRATUM_UNSYNCHRONISED } from "@meridian/time/clock-curve"
import { formatReferenceId } from "@meridian/wire/reference-id"
import type { ClockKeeper } from "./clock-keeper.ts"
import { correctedStamp, type Reading } from "./clocks.ts"
import type { LeapSeconds } from "./leap-seconds.ts"
import type { ReferenceClocks } from "./reference-clocks.ts"
import { clocksWaiting } from "./reference-reporting.ts"
import { upstreamDetail } from "./source-details.ts"
import { sourceFigures } from "./source-figures.ts"
import { followedPeer, unasked } from "./standing-word.ts"
import type { SystemClockSteering } from "./system-clock-steering.ts"
import type { Upstream } from "./upstream.ts"
import type { Upstreams } from "./upstreams.ts"

/** Polls that the register of reachability holds. */
const REGISTER = 8

/** Everything that a report is made of. */
export interface Standing {
  readonly configuration: DisciplineConfiguration
  readonly upstreams: Upstreams
  readonly clocks: ReferenceClocks
  readonly keeper: ClockKeeper
  readonly leaps: LeapSeconds
  readonly verdicts: ReadonlyMap<string, SourceVerdict>
  readonly action: DisciplineAction
  /** In kernel mode. */
  readonly steering: SystemClockSteering | undefined
}

const authenticationOf = (upstream: Upstream, upstreams: Upstreams): SourceAuthentication => {
  const { configuration, keyId, id } = upstream
  const report = upstreams.autokeyReport(upstream)
  if (configuration?.autokey || report !== undefined)
    return { kind: "autokey", ...(report ?? { flags: 0, host: "", signature: "" }) }
  if (configuration !== undefined && configuration.nts !== null) {
    const isProvisional = upstreams.keyExchanges?.isProvisional(id) === true
    return { kind: "nts", cookies: upstreams.cookies(id), ...(isProvisional && { provisional: true }) }
  }
  return keyId === null ? { kind: "none" } : { kind: "symmetric", key: keyId }
}

export const sourceReport = (upstream: Upstream, now: Reading, standing: Standing): SourceReport => {
  const { upstreams, keeper, verdicts } = standing
  const { id, endpoint, host, options, tracked, sample, lastReply, sent } = upstream
  const verdict = verdicts.get(tracked.configuration.id)
  const keyless = unasked(upstream, upstreams)
  // The selection takes it for eight polls: it knows the register alone.
  const neverAnswered = verdict?.verdict === "unreachable" && lastReply === undefined && sent > 0 && sent < REGISTER
  return {
    address: endpoint.address,
    port: endpoint.port,
    name: host ?? null,
    mode: options.mode,
    stratum: tracked.report.stratum,
    leap: tracked.report.leap,
    referenceId: sample === undefined ? "" : formatReferenceId(sample.referenceId, sample.stratum),
    poll: upstreams.poll(id),
    reach: upstreams.reach(id).toString(8).padStart(3, "0"),
    verdict: verdict?.verdict ?? "unreachable",
    reason: upstreams.isOffline(id)
      ? "an operator took it offline; chronyc online has it asked again"
      : keyless !== undefined
        ? `nothing was sent yet; it waits for ${keyless}`
        : neverAnswered
          ? `no answer yet, asked ${sent === 1 ? "once" : `${sent} times`}`
          : (verdict?.reason ?? (options.mode === "passive" ? "taken, and not heard since" : "not asked yet")),
    ...sourceFigures(tracked, 2 ** upstreams.poll(id), sample !== undefined, keeper, now),
    authentication: authenticationOf(upstream, upstreams),
    lastReply: lastReply === undefined ? null : Math.max(0, now.monotonic - lastReply),
    dropped: { ...upstream.dropped },
    ...(sample && { interleaved: sample.interleaved }),
    ...(upstreams.isOffline(id) && { offline: true }),
    detail: upstreamDetail(upstream, verdict?.verdict, upstreams, keeper, now)
  }
}

/** The measurements behind a decision, for the event log. */
export const measurementsOf = (upstreams: Upstreams, keeper: ClockKeeper, now: Reading): readonly Measurement[] =>
  upstreams.all.flatMap(({ id, tracked, sample }) => {
    const view = tracked.view(now.monotonic, 2 ** upstreams.poll(id))
    const { delay, dispersion, jitter } = view
    const offset = view.offset - keeper.added(now.monotonic)
    if (sample === undefined || ![offset, delay, dispersion, jitter].every(Number.isFinite)) return []
    const reach = upstreams.reach(id)
    return [{ source: tracked.configuration.id, stratum: sample.stratum, reach, offset, delay, dispersion, jitter }]
  })

const stateOf = ({ isLocal, discipline }: ClockKeeper): ClockState => (isLocal ? "local" : discipline.state)

/** @param holdoverSince CLOCK_MONOTONIC, seconds */
export const trackingReport = (now: Reading, standing: Standing, holdoverSince: number | undefined): TrackingReport => {
  const { keeper, leaps, steering } = standing
  const { curve, discipline } = keeper
  const estimate = discipline.tracking(now.monotonic)
  const unix = (monotonic: number): number => keeper.utc(now.monotonic) - (now.monotonic - monotonic)
  const { armed } = leaps
  const isGood = curve.stratum < STRATUM_UNSYNCHRONISED
  return {
    mode: steering === undefined ? "virtual" : "kernel",
    state: stateOf(keeper),
    systemPeer: followedPeer(keeper),
    stratum: curve.stratum,
    leap: curve.leap,
    referenceId: isGood ? formatReferenceId(curve.referenceId, curve.stratum) : "",
    referenceTime: discipline.root === undefined ? null : unix(discipline.root.at),
    offset: estimate === undefined ? null : estimate.offset - keeper.added(now.monotonic),
    offsetDeviation: estimate?.offsetDeviation ?? null,
    frequency: estimate === undefined ? null : estimate.frequency * 1e6,
    frequencyDeviation: estimate === undefined ? null : estimate.frequencyDeviation * 1e6,
    servedOffset: isGood ? keeper.correction(now.monotonic) : 0,
    servedFrequency: isGood ? curve.frequency * 1e6 : 0,
    rootDelay: curve.rootDelay,
    rootDispersion: rootDispersionAt(curve, now.monotonic),
    poll: discipline.poll.exponent,
    ...(keeper.isResumed && { resumed: true }),
    holdoverSince: holdoverSince === undefined ? null : unix(holdoverSince),
    leapArmed:
      armed === undefined ? null : { leap: armed.change > 0 ? "insert" : "delete", at: armed.at, origin: armed.origin },
    steps: keeper.steps,
    foreignSteps: keeper.foreignSteps,
    kernel:
      steering === undefined
        ? null
        : { ...steering.rate, state: steering.state, steps: steering.steps, frequency: steering.rate.frequency * 1e6 },
    waitingFor: waitingFor(standing),
    ...(standing.upstreams.unresolvedNames.length > 0 && { unresolved: standing.upstreams.unresolvedNames }),
    leapTable: leaps.table(keeper.utc(now.monotonic)) ?? null,
    smearSeconds: standing.configuration.leapSmearSeconds,
    ...(standing.upstreams.passive.most > 0 && { passivePeers: standing.upstreams.passive.report() })
  }
}

/** What stands between this node and good time. */
const waitingFor = ({ action, configuration, keeper, upstreams, clocks, verdicts }: Standing): readonly string[] => {
  switch (action._tag) {
    case "Panic":
      return [
        `a person: the sources say that this clock is off by ${formatSeconds(action.offset)}, over the panic threshold; set the clock, or raise \`tinker panic\``
      ]
    case "Spike":
      return [
        `certainty: the sources say that this clock is off by ${formatSeconds(action.offset)}; if that lasts, it is stepped`
      ]
    case "Set":
    case "Slewed":
    case "Stepped":
      return []
    case "Waiting":
    case "Holdover":
  }
  if (configuration.sources.length + configuration.referenceClocks.length + upstreams.all.length === 0)
    return keeper.isLocal ? [] : ["a source: none is configured, and no local reference"]
  const sources = upstreams.all.flatMap((upstream) => {
    const { endpoint, options, tracked, sent } = upstream
    const said = verdicts.get(tracked.configuration.id)
    const place = sourcePlace({ ...endpoint, mode: options.mode })
    if (!tracked.isHeard && options.mode === "passive") return [`a packet from the peer ${place}`]
    const keyless = unasked(upstream, upstreams)
    if (keyless !== undefined) return [keyless]
    if (!tracked.isHeard)
      return [
        `an answer from ${endpoint.address} port ${endpoint.port} (asked ${sent === 1 ? "once" : `${sent} times`})`
      ]
    if (tracked.pending)
      return [`more answers from ${place}: ${tracked.estimator.samples} of ${SAMPLES_NEEDED} are here`]
    return said === undefined || agrees(said.verdict) ? [] : [`${place}: ${said.verdict}, ${said.reason}`]
  })
  return [...new Set([...upstreams.problems(), ...sources]), ...clocksWaiting(clocks, verdicts)]
}

/** Why this peer, and what became of the one before it. */
export const reasonToChoose = (
  peer: string,
  before: string | undefined,
  verdicts: readonly SourceVerdict[]
): string => {
  const reason = verdicts.find(({ id }) => id === peer)?.reason ?? "the best of the survivors"
  const past = before === peer ? undefined : verdicts.find(({ id }) => id === before)
  return past === undefined ? reason : `${reason}; ${before}, followed before: ${past.verdict}, ${past.reason}`
}

/** What a symmetric peer is told of us. */
export const systemVariables = (curve: ClockCurve): SystemVariables => {
  const { leap, stratum, referenceId, rootDelay, rootDispersion } = curve
  const reference = correctedStamp({ seconds: curve.referenceSeconds, nanoseconds: curve.referenceNanoseconds }, 0)
  return {
    leap,
    stratum: stratum < STRATUM_UNSYNCHRONISED ? stratum : 0,
    referenceId,
    reference,
    rootDelay,
    rootDispersion
  }
}
