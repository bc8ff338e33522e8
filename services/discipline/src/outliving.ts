/** What outlives this process: the frequency in the drift file, and what the next start goes on from. */
import type { KernelRate } from "@meridian/clocks/kernel-clock"
import type { DisciplineConfiguration } from "@meridian/ipc/discipline-report"
import { reasonOf } from "@meridian/system/errno-words"
import type { ClockKeeper } from "./clock-keeper.ts"
import { DriftFile, FREQUENCY_DEVIATION } from "./drift-file.ts"
import { KeptClockFile } from "./kept-clock-file.ts"
import type { KnownFrequency } from "./upstream.ts"

/** Between two writes of the drift file, seconds. */
const DRIFT_INTERVAL = 3_600
/** Frequencies that are less sure than this are not worth keeping, seconds per second. */
const DRIFT_DEVIATION = 1e-6
/** Between two writes of what the next start goes on from, seconds: a node that is killed loses so much. */
const KEEP_INTERVAL = 64
/** How far an oscillator may have moved over a restart, seconds per second. */
const RESUMED_DEVIATION = 1e-6

type Kept = Pick<DisciplineConfiguration, "driftfile" | "keptClock" | "tinker">

export class Outliving {
  /** What the next start goes on from; undefined where nothing is kept. */
  readonly clock: KeptClockFile | undefined
  /** Undefined when nothing is known. */
  readonly frequency: KnownFrequency | undefined
  private readonly configuration: Kept
  private readonly warn: (message: string) => void
  private readonly drift: DriftFile | undefined
  private driftSavedAt: number
  private keptAt = Number.NEGATIVE_INFINITY

  /**
   * @param rate the kernel's, undefined where it cannot be read
   * @param startedAt CLOCK_MONOTONIC, seconds
   */
  constructor(
    configuration: Kept,
    rate: () => KernelRate | undefined,
    startedAt: number,
    warn: (message: string) => void
  ) {
    this.configuration = configuration
    this.warn = warn
    this.driftSavedAt = startedAt
    this.drift = configuration.driftfile === null ? undefined : new DriftFile(configuration.driftfile)
    this.clock = configuration.keptClock ? new KeptClockFile(configuration.keptClock, rate) : undefined
    this.frequency = this.knownFrequency()
  }

  /** The frequency to begin with: of the process before, where its clock goes on. */
  frequencyAfter({ found }: ClockKeeper): KnownFrequency | undefined {
    const kept = found?.kept
    return kept === undefined ? this.frequency : { value: kept.estimate.frequency, deviation: RESUMED_DEVIATION }
  }

  /** To be called a few times a second. @param now CLOCK_MONOTONIC, seconds */
  tick(keeper: ClockKeeper, now: number): void {
    if (now - this.driftSavedAt >= DRIFT_INTERVAL) this.saveDrift(keeper, now)
    if (keeper.discipline.state === "synchronised" && now - this.keptAt >= KEEP_INTERVAL) this.keep(keeper, now, false)
  }

  /** The clock is left to itself. */
  stop(keeper: ClockKeeper, now: number): void {
    this.saveDrift(keeper, now)
    this.keep(keeper, now, true)
  }

  private knownFrequency(): KnownFrequency | undefined {
    const { freq } = this.configuration.tinker
    if (freq !== null) return { value: freq * 1e-6, deviation: FREQUENCY_DEVIATION }
    const found = this.drift?.read()
    if (typeof found !== "string") return found
    this.warn(found)
    return undefined
  }

  private saveDrift({ discipline }: ClockKeeper, now: number): void {
    this.driftSavedAt = now
    const estimate = discipline.tracking(now)
    if (estimate === undefined || estimate.frequencyDeviation > DRIFT_DEVIATION) return
    try {
      this.drift?.save(estimate.frequency)
    } catch (error) {
      this.warn(`drift file ${this.configuration.driftfile} cannot be written: ${reasonOf(error)}`)
    }
  }

  private keep(keeper: ClockKeeper, now: number, rests: boolean): void {
    this.keptAt = now
    try {
      keeper.keep(rests)
    } catch (error) {
      this.warn(`what is known of the clock cannot be kept for the next start: ${reasonOf(error)}`)
    }
  }
}
