/**
 * Keeps the clock: asks the discipline to decide, and publishes what it holds on the clock page. Steers nothing: served time
 * is CLOCK_REALTIME and the published line.
 */
import { ClockDiscipline, type DisciplineOptions, type DisciplineOutcome } from "@meridian/algorithms/discipline"
import type { LocalOptions } from "@meridian/algorithms/local-mode"
import { publishedCurve } from "@meridian/algorithms/publication"
import type { TrackedSource } from "@meridian/algorithms/tracked-source"
import type { ClockPageReader, ClockPageWriter } from "@meridian/native-io/clock-page"
import {
  type ClockCurve,
  isSynchronised,
  STRATUM_UNSYNCHRONISED,
  unsynchronisedCurve
} from "@meridian/time/clock-curve"
import { type Reading, type ReadClocks, unixOf } from "./clocks.ts"
import { Bridge, inheritedCurve, steppedSince } from "./handover.ts"
import type { LeapSeconds } from "./leap-seconds.ts"
import { localReferenceCurve, localStratum } from "./local-reference.ts"
import { type RealtimeChange, RealtimeWatch, systemUptime } from "./realtime-watch.ts"
import { referenceIdOfAddress } from "./source-identity.ts"

/**
 * Seconds for which a curve may be served when no newer one comes: long enough for another process to take over, which
 * needs three samples two seconds apart.
 */
const HORIZON = 12

export interface ClockKeeperOptions {
  readonly discipline: DisciplineOptions
  /** Seconds per second, from the drift file; 0 when unknown. */
  readonly frequency: number
  readonly local: LocalOptions
  readonly hasSources: boolean
  /** Of a source by its name, where addresses are not all there is. */
  readonly referenceIdOf?: (source: string) => number
}

export class ClockKeeper {
  readonly discipline: ClockDiscipline
  /** Times that somebody else set CLOCK_REALTIME, and that served time was stepped. */
  foreignSteps = 0
  steps = 0
  /** What was published last. */
  curve: ClockCurve = unsynchronisedCurve()
  /** Whether it is this machine's own clock. */
  isLocal = false
  private readonly options: ClockKeeperOptions
  private readonly page: ClockPageWriter
  private readonly read: ReadClocks
  private readonly leaps: LeapSeconds
  private readonly watch: RealtimeWatch
  /** The page of the process before, while it is in force. */
  private inherited: ClockCurve | undefined
  private bridge: Bridge | undefined
  private vouchedAt: number
  private everReached = false

  constructor(
    options: ClockKeeperOptions,
    page: ClockPageWriter,
    before: ClockPageReader,
    read: ReadClocks,
    leaps: LeapSeconds,
    uptime: () => number = systemUptime
  ) {
    this.options = options
    this.page = page
    this.read = read
    this.leaps = leaps
    const now = read()
    this.discipline = new ClockDiscipline(options.discipline, now.monotonic, options.frequency)
    this.watch = new RealtimeWatch(read, uptime)
    this.vouchedAt = now.monotonic
    this.inherited = options.hasSources ? inheritedCurve(before, now) : undefined
    if (this.inherited !== undefined) this.inherit(this.inherited, now)
  }

  /** Served time minus CLOCK_REALTIME, seconds: what the page says at a moment of CLOCK_MONOTONIC. */
  correction(monotonic: number): number {
    return this.curve.offset + this.curve.frequency * (monotonic - this.curve.baseMonotonic)
  }

  /** A sample came or a source fell silent. Publishes what is decided. */
  decide(sources: readonly TrackedSource[]): DisciplineOutcome {
    const { monotonic } = this.read()
    if (sources.some(({ reach }) => reach !== 0)) this.everReached = true
    const outcome = this.discipline.decide(sources, monotonic)
    this.leaps.hear(outcome.decision.used.map(({ source }) => source.leap))
    if (outcome.action._tag === "Stepped") this.steps += 1
    this.publish()
    return outcome
  }

  /**
   * To be called a few times a second. When somebody else stepped CLOCK_REALTIME, served time stays, and the caller moves
   * its sources. After a sleep nothing is vouched for any more, and the caller starts over.
   */
  watchRealtime(): RealtimeChange {
    const change = this.watch.check()
    if (change._tag === "Stepped") {
      this.foreignSteps += 1
      this.discipline.clockStepped(change.seconds)
      this.moveInherited(-change.seconds)
    } else if (change._tag === "Slept") this.page.write(unsynchronisedCurve())
    return change
  }

  /**
   * A leap second that took effect just now, as a step of CLOCK_REALTIME that knows nothing of it; 0 mostly. The caller
   * moves its sources by it. Where the kernel does leap, that is a foreign step back, and the two cancel.
   */
  passLeapSecond(): number {
    const now = this.read()
    const past = this.leaps.update(unixOf(now) + this.lineOffset(now.monotonic))
    if (past === undefined) return 0
    this.discipline.clockStepped(past.change)
    this.moveInherited(-past.change)
    return past.change
  }

  /** Puts the curve of this moment on the page. */
  publish(): void {
    const now = this.read()
    const disciplined = this.disciplinedCurve(now)
    const isGood = disciplined.stratum < STRATUM_UNSYNCHRONISED
    if (isGood) this.vouchedAt = now.monotonic
    if (!isGood && this.inherited !== undefined) {
      if (isSynchronised(this.inherited, now.monotonic)) return
      this.inherited = undefined
    }
    const local = isGood ? undefined : this.localCurve(now)
    this.isLocal = local !== undefined
    this.curve = local ?? disciplined
    this.page.write(this.curve)
  }

  private disciplinedCurve(now: Reading): ClockCurve {
    const { discipline, leaps, options } = this
    const unix = unixOf(now) + this.lineOffset(now.monotonic)
    const { root } = discipline
    const curve = publishedCurve(discipline, now, {
      referenceId: root === undefined ? 0 : (options.referenceIdOf ?? referenceIdOfAddress)(root.peer),
      leap: leaps.indicator(unix),
      horizon: HORIZON,
      distanceLimit: options.discipline.system.maxdist,
      smear: leaps.smearNow(unix)
    })
    if (curve.stratum >= STRATUM_UNSYNCHRONISED) return curve
    if (this.inherited !== undefined) {
      this.bridge = Bridge.between(this.inherited, curve)
      this.inherited = undefined
    }
    if (this.bridge?.apply(curve) === false) this.bridge = undefined
    return curve
  }

  private localCurve(now: Reading): ClockCurve | undefined {
    const { discipline, everReached, options } = this
    const everSet = discipline.state !== "unset"
    const without = now.monotonic - this.vouchedAt
    const stratum = localStratum(options.local, { hasSources: options.hasSources, everReached, everSet, without })
    if (stratum === undefined) return undefined
    return localReferenceCurve(stratum, now, everSet ? discipline.served(now.monotonic) : undefined)
  }

  private lineOffset(monotonic: number): number {
    return this.discipline.state === "unset" ? 0 : this.discipline.served(monotonic).offset
  }

  /** CLOCK_REALTIME may have been set while nobody watched: the page is mended at once. */
  private inherit(curve: ClockCurve, now: Reading): void {
    const stepped = steppedSince(curve, now)
    if (stepped !== 0) this.foreignSteps += 1
    this.curve = curve
    this.moveInherited(-stepped)
  }

  private moveInherited(seconds: number): void {
    if (this.inherited === undefined || seconds === 0) return
    this.inherited.offset += seconds
    this.page.write(this.inherited)
  }
}
