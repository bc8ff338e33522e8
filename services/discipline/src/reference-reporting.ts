/** What is told of reference clocks: in reports, in the event log, in statistics files, and to pulses in need of a number. */
import type { Numbering, ReferenceSample, TrackedSource, SourceVerdict, Verdict } from "@meridian/algorithms"
import { SAMPLES_NEEDED, agrees } from "@meridian/algorithms"
import type { Measurement } from "@meridian/events"
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { Sample } from "@meridian/protocol/associations"
import { STRATUM_UNSYNCHRONISED } from "@meridian/time/clock-curve"
import { formatReferenceId } from "@meridian/wire/reference-id"
import type { ClockKeeper } from "./clock-keeper.ts"
import { correctedStamp, type Reading } from "./clocks.ts"
import type { ReferenceClock, ReferenceClocks } from "./reference-clocks.ts"
import { sourceFigures } from "./source-figures.ts"

export const clockReport = (
  clock: ReferenceClock,
  now: Reading,
  keeper: ClockKeeper,
  verdicts: ReadonlyMap<string, SourceVerdict>
): SourceReport => {
  const { id, tracked, sample, lastReading, configuration } = clock
  const verdict = verdicts.get(id)
  return {
    address: id,
    port: 0,
    name: configuration.path,
    mode: "clock",
    stratum: sample === undefined ? STRATUM_UNSYNCHRONISED : configuration.stratum,
    leap: sample?.leap ?? 3,
    referenceId: formatReferenceId(clock.referenceId, 0),
    poll: clock.poll,
    reach: tracked.reach.toString(8).padStart(3, "0"),
    verdict: verdict?.verdict ?? "unreachable",
    reason: clock.problem ?? verdict?.reason ?? "not heard yet",
    ...sourceFigures(tracked, 2 ** clock.poll, sample !== undefined, keeper, now),
    authentication: { kind: "none" },
    lastReply: lastReading === undefined ? null : Math.max(0, now.monotonic - lastReading),
    dropped: { ...clock.dropped }
  }
}

/** The measurements behind a decision, for the event log. */
export const clockMeasurements = (clocks: ReferenceClocks, keeper: ClockKeeper, now: Reading): readonly Measurement[] =>
  clocks.all.flatMap(({ id, tracked, sample, poll, configuration }) => {
    const view = tracked.view(now.monotonic, 2 ** poll)
    const { delay, dispersion, jitter } = view
    const offset = view.offset - keeper.added(now.monotonic)
    if (sample === undefined || ![offset, delay, dispersion, jitter].every(Number.isFinite)) return []
    return [{ source: id, stratum: configuration.stratum, reach: tracked.reach, offset, delay, dispersion, jitter }]
  })

/** What stands between these clocks and good time, one sentence each. */
export const clocksWaiting = (
  clocks: ReferenceClocks,
  verdicts: ReadonlyMap<string, SourceVerdict>
): readonly string[] =>
  clocks.all.flatMap(({ id, tracked, dropped, problem }) => {
    if (problem !== undefined) return [`a reading of ${id}: ${problem}`]
    const said = verdicts.get(id)
    const drops = Object.entries(dropped).map(([reason, count]) => `${count} ${reason}`)
    if (tracked.reach === 0)
      return [`a reading of ${id}${drops.length === 0 ? "" : ` (what came was of no use: ${drops.join(", ")})`}`]
    if (tracked.pending) return [`more polls of ${id}: ${tracked.estimator.samples} of ${SAMPLES_NEEDED} gave a sample`]
    return said === undefined || agrees(said.verdict) ? [] : [`${id}: ${said.verdict}, ${said.reason}`]
  })

/** Who may say which second is which, best first. */
const numberers: readonly Verdict[] = ["system-peer", "candidate", "backup"]

/** What the sources that survive, pulses aside, say of the time now: the preferred one, or the best. */
export const numberingOf = (
  sources: readonly TrackedSource[],
  verdicts: ReadonlyMap<string, SourceVerdict>,
  now: number
): Numbering | undefined => {
  const rank = ({ configuration: { id, prefer } }: TrackedSource): number => {
    const index = numberers.indexOf(verdicts.get(id)?.verdict ?? "unreachable")
    return index < 0 ? Infinity : index - (prefer ? numberers.length : 0)
  }
  const [best] = sources
    .filter((source) => source.report.pulse !== true && rank(source) < Infinity)
    .toSorted((a, b) => rank(a) - rank(b))
  const estimate = best?.estimate(now)
  return best === undefined || estimate === undefined ? undefined : { offset: estimate.offset, leap: best.report.leap }
}

/** A sample as the statistics files know it: the reading of both clocks stands where a server's four stamps would. */
export const statisticsSample = (clock: ReferenceClock, sample: ReferenceSample, now: Reading): Sample => {
  const age = sample.time - now.monotonic
  const system = correctedStamp(now, age)
  const reference = correctedStamp(now, age + sample.offset)
  return {
    _tag: "Sample",
    time: sample.time,
    offset: sample.offset,
    delay: sample.delay,
    dispersion: sample.dispersion,
    precision: sample.precision,
    t1: system,
    t2: reference,
    t3: reference,
    t4: system,
    interleaved: false,
    rootDelay: 0,
    rootDispersion: clock.tracked.report.rootDispersion,
    stratum: clock.configuration.stratum,
    leap: sample.leap,
    referenceId: clock.referenceId,
    referenceTime: reference,
    poll: clock.poll
  }
}
