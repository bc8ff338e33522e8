/**
 * What a report or a picture says some seconds after it was made: what only grows older is not told anew, so whoever shows it
 * counts on from its moment.
 */
import { PHI } from "@meridian/time/clock-curve"
import type { SourceReport, TrackingReport } from "./discipline-report.ts"
import type { NodeSnapshot } from "../node/node-snapshot.ts"
import type { SourceDetail } from "./source-detail.ts"

/** No dispersion is greater (RFC 5905 MAXDISP), seconds. */
const MOST_DISPERSION = 16

const detailAfter = (detail: SourceDetail, seconds: number): SourceDetail => {
  const { nextPoll, nts } = detail
  return {
    ...detail,
    nextPoll: nextPoll === null ? null : Math.max(0, nextPoll - seconds),
    reachabilitySince: detail.reachabilitySince === 0 ? 0 : detail.reachabilitySince + seconds,
    filter: detail.filter.map((stage) => ({
      ...stage,
      dispersion: Math.min(MOST_DISPERSION, stage.dispersion + PHI * seconds)
    })),
    nts: nts === null || nts.exchangedAgo === null ? nts : { ...nts, exchangedAgo: nts.exchangedAgo + seconds }
  }
}

/** @param seconds since they were reported */
export const sourcesAfter = (sources: readonly SourceReport[], seconds: number): readonly SourceReport[] =>
  sources.map((source) => ({
    ...source,
    lastReply: source.lastReply === null ? null : source.lastReply + seconds,
    ...(source.detail && { detail: detailAfter(source.detail, seconds) })
  }))

/** Where CLOCK_REALTIME is steered, it is on its way to no offset at all. @param seconds since it was reported */
export const trackingAfter = (tracking: TrackingReport, seconds: number): TrackingReport => ({
  ...tracking,
  offset:
    tracking.offset === null || tracking.frequency === null || tracking.mode === "kernel"
      ? tracking.offset
      : tracking.offset + tracking.frequency * 1e-6 * seconds,
  servedOffset: tracking.servedOffset + tracking.servedFrequency * 1e-6 * seconds,
  rootDispersion: tracking.rootDispersion + PHI * seconds
})

/** The picture as of now. It keeps the moment that it was taken at. @param monotonic CLOCK_MONOTONIC now, seconds */
export const pictureAt = (snapshot: NodeSnapshot, monotonic: number): NodeSnapshot => {
  const seconds = Math.max(0, monotonic - snapshot.monotonic)
  const { status, tracking, sources } = snapshot
  const rootDispersion = status.clock.rootDispersion + PHI * seconds
  return {
    ...snapshot,
    tracking: tracking && trackingAfter(tracking, seconds),
    sources: sourcesAfter(sources, seconds),
    status: { ...status, clock: { ...status.clock, rootDispersion } }
  }
}
