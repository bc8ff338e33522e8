/** The figures of a source or a reference clock, as its report shows them. */
import { PHI } from "@meridian/time/clock-curve"
import type { TrackedSource } from "@meridian/algorithms"
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { ClockKeeper } from "./clock-keeper.ts"
import type { Reading } from "./clocks.ts"

type SourceFigures = Pick<
  SourceReport,
  "offset" | "delay" | "dispersion" | "jitter" | "rootDelay" | "rootDispersion" | "rootDistance"
>

/**
 * All in seconds; the offset is what the source says of served time. Null for what is not known yet.
 * @param pollInterval seconds
 * @param hasSample whether it ever gave one
 */
export const sourceFigures = (
  tracked: TrackedSource,
  pollInterval: number,
  hasSample: boolean,
  keeper: ClockKeeper,
  { monotonic }: Reading
): SourceFigures => {
  const view = tracked.view(monotonic, pollInterval)
  // As tracking has it: the least delay that the selection believes in is for its comparisons.
  const distance = (view.rootDelay + view.delay) / 2 + view.rootDispersion + view.dispersion + view.jitter
  const hasEstimate = tracked.estimate(monotonic) !== undefined
  return {
    offset: hasEstimate ? view.offset - keeper.added(monotonic) - keeper.correction(monotonic) : null,
    delay: hasSample ? view.delay : null,
    dispersion: hasEstimate ? view.dispersion : null,
    jitter: hasSample ? view.jitter : null,
    rootDelay: view.rootDelay,
    rootDispersion: view.rootDispersion,
    rootDistance: hasSample ? distance + PHI * Math.max(0, monotonic - view.updated) : null
  }
}
