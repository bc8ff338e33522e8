/**
 * From the readings of a reference clock, one a second or more, to one sample a poll, which the discipline treats like that
 * of a server. As in ntpd the readings farthest from the median are thrown away, two fifths of them, and the rest is
 * averaged; unlike there no steering hides the oscillator, so that a known frequency is taken out first.
 */
import { unixDifferenceSeconds, type UnixTime } from "@meridian/time/timestamp"
import { MINDISP } from "./parameters.ts"
import { readingRejection, type ReadingRejection, type ReferenceReading } from "./reference-reading.ts"
import type { ClockSample } from "./sample.ts"

/** Readings that are kept for a poll: the newest. */
const MOST_READINGS = 64
/** The share of them that is averaged. */
const KEPT = 0.6
const LEAP_UNKNOWN = 3
/** A pulse is numbered by a clock that is at most this far from it; nearer to half a second it would be guesswork. */
export const NUMBERING_LIMIT = 0.4

interface ReferenceFilterOptions {
  /** Added to every offset, seconds: `time1`. */
  readonly correction: number
  /** The farthest that true time may be from CLOCK_REALTIME, seconds. */
  readonly difference: number
  /** Of a reading, seconds; as in ntpd's SHM driver unless told. */
  readonly longestAge?: number
}

/** CLOCK_REALTIME and CLOCK_MONOTONIC (seconds) at one instant. */
interface ReadingMoment extends UnixTime {
  readonly monotonic: number
}

/** What another source says at the moment of the poll: it gives pulses their second. */
export interface Numbering {
  /** Its time minus our uncorrected clock, seconds. */
  readonly offset: number
  readonly leap: number
}

export interface ReferenceSample extends ClockSample {
  readonly leap: number
  readonly pulse: boolean
  /** Coarsest claim among the readings, log2 seconds: what the clock may be wrong by, by its own account. */
  readonly precision: number
  readonly readings: number
}

/** The root dispersion of a reference clock, seconds: all that is known of an error that shows in no reading. */
export const referenceRootDispersion = ({ precision }: Pick<ReferenceSample, "precision">): number => 2 ** precision

/** Why a poll has no sample: no readings came, or they are pulses and nobody near enough numbers them. */
type PollMiss = "no-reading" | "unnumbered"

interface Kept {
  /** CLOCK_MONOTONIC, seconds. */
  readonly time: number
  readonly offset: number
  readonly leap: number
  readonly precision: number
  readonly pulse: boolean
}

export class ReferenceFilter {
  readonly #options: ReferenceFilterOptions
  #readings: Kept[] = []
  #previous: UnixTime | undefined

  constructor(options: ReferenceFilterOptions) {
    this.#options = options
  }

  /**
   * Takes a reading in, or says why not.
   * @param added what steering has added to CLOCK_REALTIME by a moment of CLOCK_MONOTONIC, seconds
   */
  add(
    reading: ReferenceReading,
    now: ReadingMoment,
    added: (monotonic: number) => number = () => 0
  ): "taken" | ReadingRejection {
    const rejection = readingRejection(reading, now, this.#previous, this.#options.difference, this.#options.longestAge)
    if (rejection !== undefined) return rejection
    this.#previous = { ...reading.system }
    const time = now.monotonic - Math.max(0, unixDifferenceSeconds(now, reading.system))
    const { leap, precision, pulse } = reading
    // Pulses and numbered seconds do not mix: what came last says which kind of clock this is.
    if (this.#readings.at(-1)?.pulse === !pulse) this.#readings = []
    const offset = reading.offset + this.#options.correction + added(time)
    this.#readings.push({ time, offset, leap, precision, pulse })
    if (this.#readings.length > MOST_READINGS) this.#readings.shift()
    return "taken"
  }

  /** CLOCK_REALTIME was stepped: what was read against it is of no use. */
  clockStepped(): void {
    this.#readings = []
    this.#previous = undefined
  }

  /**
   * The sample of the readings since the last poll.
   * @param frequency of the reference against our oscillator, as far as it is known, seconds per second
   */
  poll(frequency: number, numbering: Numbering | undefined): ReferenceSample | PollMiss {
    const all = this.#readings
    this.#readings = []
    const newest = all.at(-1)
    if (newest === undefined) return "no-reading"
    const { pulse } = newest
    // What a receiver said before it had its fix is no measurement.
    const readings = all.filter(({ leap }) => newest.leap === LEAP_UNKNOWN || leap !== LEAP_UNKNOWN)
    const residues = readings.map(({ time, offset }) => {
      const residue = offset - newest.offset - frequency * (time - newest.time)
      return { time, residue: pulse ? residue - Math.round(residue) : residue }
    })
    const kept = withoutOutliers(residues)
    const mean = average(kept.map(({ residue }) => residue))
    const time = average(kept.map((one) => one.time))
    const scatter = Math.sqrt(average(kept.map(({ residue }) => (residue - mean) ** 2)))
    const phase = newest.offset + mean + frequency * (time - newest.time)
    const precision = Math.max(...readings.map((one) => one.precision))
    const sample = {
      time,
      delay: 0,
      // A coarse claim is of what lasts (a serial line is late by the same each second), not of scatter: see rootDispersion.
      dispersion: scatter + Math.min(2 ** precision, MINDISP),
      pulse,
      precision,
      readings: readings.length
    }
    if (!pulse) return { ...sample, offset: phase, leap: newest.leap }
    if (numbering === undefined) return "unnumbered"
    const offset = phase + Math.round(numbering.offset - phase)
    if (!(Math.abs(offset - numbering.offset) <= NUMBERING_LIMIT)) return "unnumbered"
    return { ...sample, offset, leap: newest.leap === 0 ? numbering.leap : newest.leap }
  }
}

interface Residue {
  readonly time: number
  readonly residue: number
}

/** Without those that are farthest from the median. Never empty where there was one. */
const withoutOutliers = (residues: readonly Residue[]): readonly Residue[] => {
  const sorted = residues.toSorted((a, b) => a.residue - b.residue)
  const median = sorted[Math.floor(sorted.length / 2)]?.residue ?? 0
  return sorted
    .toSorted((a, b) => Math.abs(a.residue - median) - Math.abs(b.residue - median))
    .slice(0, Math.ceil(KEPT * sorted.length))
}

const average = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length
