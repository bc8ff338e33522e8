/**
 * Keeps the clock: asks the discipline to decide, and publishes what it holds on the clock page. Served time is CLOCK_REALTIME
 * and the published line. In virtual mode it steers nothing; in kernel mode CLOCK_REALTIME is steered after the line, and
 * what is published is what remains.
 */
import { ClockDiscipline, type DisciplineOptions, type DisciplineOutcome } from "@meridian/algorithms/discipline"
import type { SteeringAim } from "@meridian/algorithms/kernel-steering"
import type { LocalOptions } from "@meridian/algorithms/local-mode"
import { publishedCurve } from "@meridian/algorithms/publication"
import type { TrackedSource } from "@meridian/algorithms/tracked-source"
import { agrees } from "@meridian/algorithms/verdict"
import type { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
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
import type { SystemClockSteering } from "./system-clock-steering.ts"

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
  /** In kernel mode. */
  private readonly steering: SystemClockSteering | undefined
  private jump: SteeringAim["jump"]
  /** The kernel has just carried a leap second out. */
  private kernelLeapt = false

  constructor(
    options: ClockKeeperOptions,
    page: ClockPageWriter,
    before: ClockPageReader,
    read: ReadClocks,
    leaps: LeapSeconds,
    uptime: () => number = systemUptime,
    steering?: SystemClockSteering
  ) {
    this.options = options
    this.page = page
    this.read = read
    this.leaps = leaps
    this.steering = steering
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

  /**
   * What served time adds to the uncorrected clock at moments up to `now`, by what is known now; before the clock is set,
   * what CLOCK_REALTIME adds to it. Seconds.
   */
  lineUntil(now: number): (time: number) => number {
    const { discipline } = this
    const frequency = discipline.tracking(now)?.frequency
    if (frequency === undefined) return (time) => this.added(time)
    const { offset } = discipline.served(now)
    return (time) => offset + frequency * (time - now)
  }

  /** Seconds that steering has added to the uncorrected clock, which the discipline measures: 0 in virtual mode. */
  added(monotonic: number): number {
    return this.steering?.added(monotonic) ?? 0
  }

  /**
   * All that agree on the time have a vote, those that clustering left out too, but for pulses, which know of seconds alone.
   * While nobody is followed, the last vote stands.
   */
  private hearLeaps(sources: readonly TrackedSource[], { decision }: DisciplineOutcome): void {
    if (decision.used.length === 0) return
    const voters = new Set(decision.verdicts.filter(({ verdict }) => agrees(verdict)).map(({ id }) => id))
    const voting = sources.filter(({ configuration, report }) => voters.has(configuration.id) && report.pulse !== true)
    this.leaps.hear(voting.map(({ report }) => report.leap))
  }

  /** A sample came or a source fell silent. Publishes what is decided. */
  decide(sources: readonly TrackedSource[]): DisciplineOutcome {
    const { monotonic } = this.read()
    if (sources.some(({ reach }) => reach !== 0)) this.everReached = true
    const outcome = this.discipline.decide(sources, monotonic)
    this.hearLeaps(sources, outcome)
    if (outcome.action._tag === "Stepped") this.steps += 1
    if (outcome.action._tag === "Set") this.jump = "first"
    else if (outcome.action._tag === "Stepped") this.jump ??= "step"
    this.steer()
    this.publish()
    return outcome
  }

  /** In kernel mode CLOCK_REALTIME follows; nothing in virtual mode. To be called a few times a second. */
  steer(): void {
    const { steering, discipline, inherited, leaps, options } = this
    if (steering === undefined) return
    const now = this.read()
    const { monotonic } = now
    const isSet = discipline.state !== "unset"
    const unix = unixOf(now) + this.lineOffset(monotonic)
    const distance = discipline.rootDistance(monotonic)
    const residue = Math.abs(this.lineOffset(monotonic))
    // Before it is set, a drift file's frequency is the best there is; what another process published holds for the old one.
    const frequency = isSet
      ? discipline.tracking(monotonic)?.frequency
      : inherited === undefined
        ? options.frequency
        : 0
    const hasAim = isSet || (frequency !== undefined && frequency !== 0)
    const aim: SteeringAim = {
      offsetAt: isSet
        ? (moment) => discipline.served(moment).offset
        : (moment) => steering.added(monotonic) + (frequency ?? 0) * (moment - monotonic),
      frequency: frequency ?? 0,
      jump: this.jump,
      following: discipline.state === "synchronised"
    }
    this.jump = undefined
    const stepped = steering.update(monotonic, {
      unix,
      aim: hasAim ? aim : undefined,
      quality: {
        synchronised: isSet && distance <= options.discipline.system.maxdist,
        maxError: distance + residue,
        estimatedError: (discipline.tracking(monotonic)?.offsetDeviation ?? Infinity) + residue,
        taiOffset: isSet ? leaps.taiOffset(unix) : undefined
      },
      leap: leaps.armed,
      beforeStep: () => this.page.write(unsynchronisedCurve())
    })
    if (stepped !== 0) this.watch.rebase()
  }

  /** Leaves the system's clock to itself. */
  stop(): void {
    const { monotonic } = this.read()
    this.steering?.rest(monotonic, this.discipline.tracking(monotonic)?.frequency)
    if (this.steering !== undefined) this.publish()
  }

  /**
   * To be called a few times a second. When somebody else stepped CLOCK_REALTIME, served time stays, and the caller moves
   * its sources. After a sleep nothing is vouched for any more, and the caller starts over.
   */
  watchRealtime(): RealtimeChange {
    const { steering } = this
    const change = this.watch.check()
    if (change._tag === "Stepped") {
      const now = this.read()
      const before = unixOf(now) - change.seconds + this.lineOffset(now.monotonic)
      const isLeap = steering?.isLeap(before, change.seconds) === true
      if (steering === undefined) this.discipline.clockStepped(change.seconds)
      else steering.stepped(now.monotonic, change.seconds)
      this.moveInherited(-change.seconds)
      this.kernelLeapt = isLeap
      if (isLeap) return { _tag: "Leapt", seconds: change.seconds }
      this.foreignSteps += 1
    } else if (change._tag === "Slept") this.page.write(unsynchronisedCurve())
    return change
  }

  /**
   * A leap second that took effect just now, as a step of CLOCK_REALTIME that knows nothing of it; 0 mostly. The caller
   * moves its sources by it. Where the kernel does leap, that is a foreign step back, and the two cancel.
   */
  passLeapSecond(): number {
    const now = this.read()
    const unix = unixOf(now) + this.lineOffset(now.monotonic)
    const { armed } = this.leaps
    // Where the kernel leaps, served time leaps with it: neither a moment before nor after.
    const isAwaited = !this.kernelLeapt && this.leaps.isDue(unix) && this.steering?.awaitsLeap(unix) === true
    const isEarly = armed !== undefined && this.kernelLeapt && unix < armed.at
    this.kernelLeapt = false
    if (isAwaited) return 0
    const past = this.leaps.update(isEarly ? armed.at : unix)
    if (past === undefined) return 0
    this.discipline.clockStepped(past.change)
    this.moveInherited(-past.change)
    return past.change
  }

  /** Puts the curve of this moment on the page. */
  publish(): void {
    const now = this.read()
    const disciplined = this.disciplinedCurve(now)
    const isBounded = disciplined.stratum < STRATUM_UNSYNCHRONISED
    const isAdrift = this.isAdrift()
    if (isBounded && !isAdrift) this.vouchedAt = now.monotonic
    const isGood = isBounded && !(isAdrift && now.monotonic - this.vouchedAt >= this.options.local.orphanWait)
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
    this.takeAway(curve)
    if (this.inherited !== undefined) {
      this.bridge = Bridge.between(this.inherited, curve)
      this.inherited = undefined
    }
    if (this.bridge?.apply(curve) === false) this.bridge = undefined
    return curve
  }

  /**
   * The parent of an island of orphans is gone, whom we followed. Its word was no better than ours: after a while one of those who
   * are left has to be the parent, or all would drift apart.
   */
  private isAdrift(): boolean {
    const { orphanStratum } = this.options.local
    const { root, state } = this.discipline
    return orphanStratum !== undefined && state === "holdover" && root?.stratum === orphanStratum + 1
  }

  private localCurve(now: Reading): ClockCurve | undefined {
    const { discipline, everReached, options } = this
    const everSet = discipline.state !== "unset"
    const without = now.monotonic - this.vouchedAt
    const stratum = localStratum(options.local, { hasSources: options.hasSources, everReached, everSet, without })
    if (stratum === undefined) return undefined
    const curve = localReferenceCurve(stratum, now, everSet ? discipline.served(now.monotonic) : undefined)
    if (everSet) this.takeAway(curve)
    return curve
  }

  /** From a correction of the uncorrected clock to one of CLOCK_REALTIME. */
  private takeAway(curve: ClockCurve): void {
    if (this.steering === undefined) return
    curve.offset -= this.steering.added(curve.baseMonotonic)
    curve.frequency -= this.steering.slope()
  }

  /** What is to be added to CLOCK_REALTIME for UTC, seconds; without a smear. */
  private lineOffset(monotonic: number): number {
    if (this.discipline.state === "unset") return 0
    return this.discipline.served(monotonic).offset - this.added(monotonic)
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
