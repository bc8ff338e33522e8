/**
 * The line that is served: the best estimate of true time minus our uncorrected clock, and what is left of the way there.
 * Corrections within the step threshold are slewed, so that served time never jumps and never runs backwards.
 */
export interface ClockLine {
  /** Monotonic seconds from which it holds. */
  readonly base: number
  /** Best estimate at base, seconds. */
  readonly offset: number
  /** Its slope, seconds per second. */
  readonly frequency: number
  /** Estimate less what was served at base: to be worked off, seconds. */
  readonly residue: number
  /** Seconds that working it off takes. */
  readonly slewing: number
}

export interface ServedLine {
  /** Seconds to add to our uncorrected clock. */
  readonly offset: number
  /** Seconds per second. */
  readonly frequency: number
  /** Monotonic seconds at which the slope changes next; Infinity when it does not. */
  readonly until: number
}

/** Share of the residue still to go at `now`. */
const toGo = (line: ClockLine, now: number): number =>
  line.slewing > 0 ? Math.max(0, 1 - Math.max(0, now - line.base) / line.slewing) : 0

/** The best estimate at `now`, seconds. */
export const bestOffset = (line: ClockLine, now: number): number => line.offset + line.frequency * (now - line.base)

/** Seconds by which the served time still differs from the best estimate. */
export const residueAt = (line: ClockLine, now: number): number => line.residue * toGo(line, now)

/** What is served at `now`. */
export const servedLine = (line: ClockLine, now: number): ServedLine => {
  const slewing = now < line.base + line.slewing
  return {
    offset: bestOffset(line, now) - residueAt(line, now),
    frequency: line.frequency + (slewing ? line.residue / line.slewing : 0),
    until: slewing ? line.base + line.slewing : Number.POSITIVE_INFINITY
  }
}

/** Seconds in which a middling correction is worked off. A small one goes at a tenth of the fastest rate. */
const SLEW_TIME = 20

/** Turns to a new estimate at `now` from what is served then: no faster than `rate` (seconds per second). */
export const turnTo = (from: ClockLine, now: number, offset: number, frequency: number, rate: number): ClockLine => {
  const residue = offset - servedLine(from, now).offset
  const size = Math.abs(residue)
  const pace = Math.min(rate, Math.max(rate / 10, size / SLEW_TIME))
  return { base: now, offset, frequency, residue, slewing: Math.max(1, size / pace) }
}

/** Begins at an estimate at once: the first setting of the clock, and a step. */
export const jumpTo = (now: number, offset: number, frequency: number): ClockLine => ({
  base: now,
  offset,
  frequency,
  residue: 0,
  slewing: 0
})

export interface StepThresholds {
  /** Corrections forward over this are steps, seconds. 0: once the clock is set it is never stepped forward. */
  readonly step: number
  /** The same for corrections back; undefined: as forward. */
  readonly stepBack?: number
}

/** What a correction must be over to be a step, seconds; 0: none is. */
export const stepThreshold = ({ step, stepBack }: StepThresholds, correction: number): number =>
  correction < 0 ? (stepBack ?? step) : step
