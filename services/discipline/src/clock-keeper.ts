/**
 * Keeps the clock: asks the discipline to decide, and publishes what it holds on the clock page. Served time is a line over
 * CLOCK_MONOTONIC, so a step of CLOCK_REALTIME never shows in it. In virtual mode nothing is steered; in kernel mode
 * CLOCK_REALTIME is steered after the line, and the line is made without what steering has slewed CLOCK_MONOTONIC by.
 *
 * Three clocks are told apart. The page's: its origin and what CLOCK_MONOTONIC has counted since, from which the offsets on
 * the page are. The uncorrected one, which the discipline measures: that, without what steering has slewed. And
 * CLOCK_REALTIME, by which the kernel stamps packets: the uncorrected one with all that was slewed and stepped.
 */
import type {
  DisciplineOptions,
  DisciplineOutcome,
  SteeringAim,
  LocalOptions,
  TrackedSource
} from "@meridian/algorithms"
import { ClockDiscipline, publishedCurve, agrees } from "@meridian/algorithms"
import type { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
import type { ClockCurve } from "@meridian/time/clock-curve"
import { isSynchronised, STRATUM_UNSYNCHRONISED, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { originOf, timeSinceOrigin } from "@meridian/time/clock-line"
import { shiftInPlace, type UnixTime } from "@meridian/time/timestamp"
import { type Reading, type ReadClocks, unixOf } from "./clocks.ts"
import { Bridge, inheritedCurve } from "./handover.ts"
import type { FoundClock, KeptClockFile } from "./kept-clock-file.ts"
import type { LeapSeconds } from "./leap-seconds.ts"
import { localReferenceCurve, localStratum } from "./local-reference.ts"
import { PageRenewal } from "./page-renewal.ts"
import { type RealtimeChange, RealtimeWatch, systemUptime } from "./realtime-watch.ts"
import { referenceIdOfAddress } from "./source-identity.ts"
import type { SystemClockSteering } from "./system-clock-steering.ts"

/**
 * Seconds for which a curve may be served when no newer one comes: long enough for another process to take over, which
 * needs three samples two seconds apart.
 */
const HORIZON = 12

interface ClockKeeperOptions {
  readonly discipline: DisciplineOptions
  /** Seconds per second, from the drift file; 0 when unknown. */
  readonly frequency: number
  readonly local: LocalOptions
  readonly hasSources: boolean
  /** What outlives the node; undefined where nothing is to be kept. */
  readonly kept?: KeptClockFile | undefined
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
  /** What another process left in the file that outlives the node. */
  readonly found: FoundClock | undefined
  private readonly renewal = new PageRenewal()
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
    this.watch = new RealtimeWatch(read, page.origin, uptime)
    // Whoever kept this page before may have stepped CLOCK_REALTIME since its origin.
    if (this.watch.difference !== 0) steering?.stepped(now.monotonic, this.watch.difference)
    this.vouchedAt = now.monotonic
    const frame = { origin: page.origin, difference: this.watch.difference, now: now.monotonic }
    this.found = options.hasSources ? options.kept?.read(frame) : undefined
    if (this.found?.kept !== undefined) this.discipline.resume(this.found.kept)
    this.inherited = options.hasSources ? inheritedCurve(before, now) : undefined
    if (this.inherited !== undefined) this.curve = this.inherited
  }

  /** Whether what is served is what the process before knew: nobody was followed since. */
  get isResumed(): boolean {
    return this.found?.kept !== undefined && this.found.kept.root === this.discipline.root
  }

  /** Served time minus CLOCK_REALTIME at a moment of CLOCK_MONOTONIC, seconds. */
  correction(monotonic: number): number {
    return this.published(monotonic) - this.watch.difference
  }

  /** Served time at a moment of CLOCK_MONOTONIC. */
  served(monotonic: number): UnixTime {
    const time = timeSinceOrigin(this.page.origin, monotonic)
    shiftInPlace(time, this.published(monotonic))
    return time
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

  /** What CLOCK_REALTIME is ahead of the uncorrected clock, which the discipline measures: all that was slewed and stepped. Seconds. */
  added(monotonic: number): number {
    return this.slewed(monotonic) + this.watch.difference
  }

  /** UTC at a moment of CLOCK_MONOTONIC, without a smear. Unix seconds. */
  utc(monotonic: number): number {
    return unixOf(timeSinceOrigin(this.page.origin, monotonic)) + this.lineOffset(monotonic)
  }

  private slewed(monotonic: number): number {
    return this.steering?.slewed(monotonic) ?? 0
  }

  /** What the page adds to the time since its origin, seconds. */
  private published(monotonic: number): number {
    return this.curve.offset + this.curve.frequency * (monotonic - this.curve.baseMonotonic)
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
    // Who repeats what it heard from us says nothing of its own.
    if (sources.some(({ reach, report }) => reach !== 0 && !report.loop)) this.everReached = true
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
    const { monotonic } = this.read()
    const isSet = discipline.state !== "unset"
    const unix = this.utc(monotonic)
    const distance = discipline.rootDistance(monotonic)
    const residue = isSet ? Math.abs(discipline.served(monotonic).offset - this.added(monotonic)) : 0
    // Before it is set, a drift file's frequency is the best there is; what another process published holds for the old one.
    const beforehand = inherited === undefined ? options.frequency : 0
    const frequency = isSet ? discipline.tracking(monotonic)?.frequency : beforehand
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
      leap: leaps.armed
    })
    if (stepped !== 0) this.watch.rebase()
  }

  /** Writes down what is known of the clock. Throws the file system's error. @param rests nothing is slewed any more */
  keep(rests: boolean): void {
    const { monotonic: now } = this.read()
    const kept = this.discipline.kept(now)
    if (kept === undefined) return
    const { page, watch, steering } = this
    const frame = { origin: page.origin, difference: watch.difference, now }
    const steered = { slewed: this.slewed(now), slope: steering?.slope() ?? 0, rests }
    this.options.kept?.save({ kept, ...frame, unix: this.utc(now), ...steered })
  }

  /** Leaves the system's clock to itself. */
  stop(): void {
    const { monotonic } = this.read()
    this.steering?.rest(monotonic, this.discipline.tracking(monotonic)?.frequency)
    if (this.steering !== undefined) this.publish()
  }

  /**
   * To be called a few times a second. When somebody else stepped CLOCK_REALTIME, served time stays, and what is under way
   * cannot be measured. After a sleep nothing is vouched for any more, and the caller starts over.
   */
  watchRealtime(): RealtimeChange {
    const { steering } = this
    const change = this.watch.check()
    if (change._tag === "Stepped") {
      const now = this.read()
      const { monotonic } = now
      if (this.isUnserved && steering === undefined) {
        this.page.begin(originOf(now, monotonic))
        this.renewal.forget()
        this.watch.countFrom(this.page.origin)
        return { _tag: "Reset", seconds: change.seconds }
      }
      const isLeap = steering?.isLeap(this.utc(monotonic), change.seconds) === true
      steering?.stepped(monotonic, change.seconds)
      this.kernelLeapt = isLeap
      if (isLeap) return { _tag: "Leapt", seconds: change.seconds }
      this.foreignSteps += 1
    } else if (change._tag === "Slept") {
      const now = this.read()
      this.page.begin(originOf(now, now.monotonic))
      this.renewal.forget()
    }
    return change
  }

  /** Nothing that this page says was ever good time. */
  private get isUnserved(): boolean {
    return this.discipline.state === "unset" && this.inherited === undefined && !this.isLocal
  }

  /**
   * A leap second that took effect just now, as a step of the uncorrected clock, which knows nothing of it; 0 mostly. The
   * caller moves its sources by it. Where the kernel leaps too, that is a step of CLOCK_REALTIME.
   */
  passLeapSecond(): number {
    const unix = this.utc(this.read().monotonic)
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

  /** Whether the line that is served stays what it is for so many seconds, unless a sample comes. */
  restsFor(seconds: number): boolean {
    const { steering, inherited, bridge, leaps } = this
    if ([steering, inherited, bridge, leaps.armed].some((it) => it !== undefined)) return false
    if (this.discipline.state === "unset") return this.isLocal
    return this.renewal.holdsFor(seconds, this.read().monotonic)
  }

  /** Keeps the page fresh; to be called a few times a second. A line that goes on as it is is written once a second. */
  renew(): void {
    if (!this.restsFor(0) || !this.renewal.isFresh(this.read().monotonic)) this.publish()
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
    this.renewal.written(now.monotonic, this.discipline.served(now.monotonic).until)
  }

  private disciplinedCurve(now: Reading): ClockCurve {
    const { discipline, leaps, options } = this
    const { monotonic } = now
    const unix = this.utc(monotonic)
    const { root } = discipline
    const base = timeSinceOrigin(this.page.origin, monotonic)
    const curve = publishedCurve(
      discipline,
      { ...base, monotonic },
      {
        referenceId: root === undefined ? 0 : (options.referenceIdOf ?? referenceIdOfAddress)(root.peer),
        leap: leaps.indicator(unix),
        horizon: HORIZON,
        distanceLimit: options.discipline.system.maxdist,
        smear: leaps.smearNow(unix)
      }
    )
    if (curve.stratum >= STRATUM_UNSYNCHRONISED) return this.unvouched(curve)
    this.takeAway(curve)
    if (this.inherited !== undefined) {
      this.bridge = Bridge.between(this.inherited, curve)
      this.inherited = undefined
    }
    if (this.bridge?.apply(curve) === false) this.bridge = undefined
    // It was the page's clock's; everybody else's is served time, a difference that is worked off included.
    const reference = { seconds: curve.referenceSeconds, nanoseconds: curve.referenceNanoseconds }
    shiftInPlace(reference, curve.offset)
    curve.referenceSeconds = reference.seconds
    curve.referenceNanoseconds = reference.nanoseconds
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
    const line = everSet ? this.lineOnPage(now.monotonic) : undefined
    return localReferenceCurve(stratum, timeSinceOrigin(this.page.origin, now.monotonic), now.monotonic, line)
  }

  /** Nobody vouches for it, and it runs on as it did. */
  private unvouched(curve: ClockCurve): ClockCurve {
    return this.discipline.state === "unset" ? curve : { ...curve, ...this.lineOnPage(curve.baseMonotonic) }
  }

  private lineOnPage(monotonic: number): { readonly offset: number; readonly frequency: number } {
    const { offset, frequency } = this.discipline.served(monotonic)
    return { offset: offset - this.slewed(monotonic), frequency: frequency - (this.steering?.slope() ?? 0) }
  }

  /** From a correction of the uncorrected clock to one of the page's. */
  private takeAway(curve: ClockCurve): void {
    curve.offset -= this.slewed(curve.baseMonotonic)
    curve.frequency -= this.steering?.slope() ?? 0
  }

  /** What is to be added to the time since the page's origin for UTC, seconds; without a smear. */
  private lineOffset(monotonic: number): number {
    return this.discipline.state === "unset" ? 0 : this.lineOnPage(monotonic).offset
  }

  private moveInherited(seconds: number): void {
    if (this.inherited === undefined || seconds === 0) return
    this.page.write(Object.assign(this.inherited, { offset: this.inherited.offset + seconds }))
  }
}
