/**
 * What the operator knows of a path, as chrony.conf's words of a server line say it: which samples are too late to be used,
 * how much of the delay is a queue on one way, how many samples are made one. Samples that are turned away still count as
 * reach: the server answered.
 */
import type { ClockSample } from "./sample.ts"

export interface ScreenOptions {
  /** Samples with a longer delay are not used, seconds. */
  readonly maxdelay?: number | undefined
  /** Nor those with a delay of more than this many times the least of the last ones. */
  readonly maxdelayratio?: number | undefined
  /**
   * Nor those whose delay is over the least by more than twice this many standard deviations of the offsets, unless the
   * offset is off by more than the delay explains: then the clock was stepped, and the sample says so.
   */
  readonly maxdelaydevratio?: number | undefined
  /** The delay of a packet that meets no queue, seconds: what is over it is jitter. */
  readonly mindelay?: number | undefined
  /** -0.5 … 0.5: the part of the jitter that is on one way; above 0 on the way back (chrony.conf). Beside `mindelay`. */
  readonly asymmetry?: number | undefined
  /** So many samples are made one, their median. */
  readonly filter?: number | undefined
}

/** Why a sample was not passed on; `collected` waits for others, the other names are of the option that it failed. */
export type ScreenedOut = "collected" | "maxdelay" | "maxdelayratio" | "maxdelaydevratio"

/** Whether an outcome says that a sample was too late to be used. */
export const isScreenedLate = (outcome: string): outcome is Exclude<ScreenedOut, "collected"> =>
  outcome === "maxdelay" || outcome === "maxdelayratio" || outcome === "maxdelaydevratio"

/** What is known of the source before this sample. */
interface Foretold {
  /** Its offset at the sample's time, and the standard deviation of its samples: seconds. */
  readonly offset: number
  readonly deviation: number
}

/** Samples among which the least delay is looked for: as many as chronyd keeps at most. */
const KEPT_DELAYS = 64

export class SampleScreen {
  readonly #options: ScreenOptions
  #delays: readonly number[] = []
  #collected: readonly ClockSample[] = []

  constructor(options: ScreenOptions) {
    this.#options = options
  }

  /** The sample to use, or why there is none. */
  take(sample: ClockSample, foretold: Foretold | undefined): ClockSample | ScreenedOut {
    const late = this.#late(sample, foretold)
    if (late !== undefined) return late
    this.#delays = [...this.#delays.slice(1 - KEPT_DELAYS), sample.delay]
    return this.#median(this.#corrected(sample))
  }

  /** Our own clock was stepped: offsets from before are not comparable. */
  clockStepped(): void {
    this.#collected = []
  }

  #late({ delay, offset }: ClockSample, foretold: Foretold | undefined): ScreenedOut | undefined {
    const { maxdelay, maxdelayratio, maxdelaydevratio } = this.#options
    if (maxdelay !== undefined && delay > maxdelay) return "maxdelay"
    if (this.#delays.length === 0) return undefined
    const least = Math.min(...this.#delays)
    if (maxdelayratio !== undefined && delay > maxdelayratio * least) return "maxdelayratio"
    if (maxdelaydevratio === undefined || foretold === undefined) return undefined
    const extra = (delay - least) / 2
    const explained = Math.abs(offset - foretold.offset) <= extra
    return extra > maxdelaydevratio * foretold.deviation && explained ? "maxdelaydevratio" : undefined
  }

  /** Without the jitter that is known to be on one way. */
  #corrected(sample: ClockSample): ClockSample {
    const { mindelay, asymmetry } = this.#options
    if (mindelay === undefined) return sample
    const jitter = Math.max(0, sample.delay - mindelay)
    if (asymmetry === undefined) return { ...sample, delay: mindelay + jitter }
    // What is left of the jitter is on both ways.
    return {
      ...sample,
      offset: sample.offset + asymmetry * jitter,
      delay: mindelay + (1 - 2 * Math.abs(asymmetry)) * jitter
    }
  }

  #median(sample: ClockSample): ClockSample | ScreenedOut {
    const { filter = 1 } = this.#options
    if (filter <= 1) return sample
    this.#collected = [...this.#collected, sample]
    if (this.#collected.length < filter) return "collected"
    const ordered = this.#collected.toSorted((a, b) => a.offset - b.offset)
    this.#collected = []
    // The later of the two middle ones, so that time goes on; the sample is one that was, with its own delay.
    return ordered[ordered.length >> 1] as ClockSample
  }
}
