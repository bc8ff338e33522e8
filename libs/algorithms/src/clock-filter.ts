/**
 * The clock filter (RFC 5905 §10): a shift register of eight samples. The one with the least delay speaks for the source,
 * because queues only ever add delay; the others give dispersion and jitter.
 */
import { PHI } from "@meridian/time/clock-curve"
import { MAXDISP, NSTAGE } from "./parameters.ts"
import { type ClockSample, LEAST_INTERVAL, sampleRejection, type SampleRejection } from "./sample.ts"

export interface ClockFilter {
  /** Newest first, at most NSTAGE; dispersions are those at the time of each sample. */
  readonly stages: readonly ClockSample[]
}

/** The peer variables of RFC 5905 §10. All in seconds. */
export interface FilterOutput {
  /** Time of the sample that was chosen. */
  readonly time: number
  readonly offset: number
  readonly delay: number
  /** The stages' dispersions, halving in weight by delay; an empty stage counts MAXDISP. */
  readonly dispersion: number
  /** Root mean square of the offsets against the chosen one, at least the precision. */
  readonly jitter: number
}

export const emptyClockFilter: ClockFilter = { stages: [] }

/** Shifts a sample in. A sample that is none, or is not newer than the newest, is refused by name. */
export const filterSample = (
  filter: ClockFilter,
  sample: ClockSample
): ClockFilter | SampleRejection | "time-not-later" => {
  const rejection = sampleRejection(sample)
  if (rejection !== undefined) return rejection
  const newest = filter.stages[0]
  if (newest !== undefined && sample.time < newest.time + LEAST_INTERVAL) return "time-not-later"
  return { stages: [sample, ...filter.stages.slice(0, NSTAGE - 1)] }
}

/** Shifts in what a poll without an answer leaves: the oldest sample goes, so that a silent source loses its say. */
export const filterMiss = (filter: ClockFilter): ClockFilter => ({ stages: filter.stages.slice(0, NSTAGE - 1) })

/**
 * Offset, delay, dispersion and jitter at `now` (seconds, the samples' clock). Dispersions age by PHI and are cut at
 * MAXDISP. Undefined when no stage holds a sample. `precision` is the reading error of our own clock in seconds.
 */
export const filterOutput = (filter: ClockFilter, now: number, precision: number): FilterOutput | undefined => {
  const aged = (sample: ClockSample): number =>
    Math.min(MAXDISP, sample.dispersion + PHI * Math.max(0, now - sample.time))
  const byDelay = filter.stages.toSorted((a, b) => a.delay - b.delay || b.time - a.time)
  const best = byDelay[0]
  if (best === undefined) return undefined
  let dispersion = 0
  let squares = 0
  for (let i = 0; i < NSTAGE; i += 1) {
    const sample = byDelay[i]
    dispersion += (sample === undefined ? MAXDISP : aged(sample)) / 2 ** (i + 1)
    if (sample !== undefined) squares += (sample.offset - best.offset) ** 2
  }
  const jitter = Math.sqrt(squares / Math.max(1, byDelay.length - 1))
  return { time: best.time, offset: best.offset, delay: best.delay, dispersion, jitter: Math.max(jitter, precision) }
}
