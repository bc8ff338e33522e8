/** The service as a whole: upstreams in, decisions, the page, events, statistics and reports out. */
import { memoryUse } from "@meridian/system/memory"
import type { DisciplineAction, DisciplineOutcome, SourceVerdict, TrackedSource } from "@meridian/algorithms"
import { agrees, formatSeconds } from "@meridian/algorithms"
import { type DigestPort, SymmetricMacs } from "@meridian/auth/mac"
import { KeyTable } from "@meridian/auth/key-table"
import type { Measurement } from "@meridian/events"
import type { CertificateTime } from "@meridian/tls/certificate-time"
import type { DisciplineConfiguration, DisciplineReport, SystemCounters } from "@meridian/ipc/discipline-report"
import type { AutokeyClient } from "@meridian/ipc/autokey-plan"
import type { SourceCommand } from "@meridian/ipc/source-command"
import type { PeersSeen } from "@meridian/ipc/peer-sighting"
import type { Sample } from "@meridian/protocol/associations"
import { Leap } from "@meridian/time/clock-curve"
import { Announcements, Warnings } from "./announcements.ts"
import { ClockKeeper } from "./clock-keeper.ts"
import type { AutokeySources } from "./autokey-sources.ts"
import { type Reading, unixOf } from "./clocks.ts"
import { LateDigests } from "./late-digests.ts"
import { LeapSeconds } from "./leap-seconds.ts"
import { Outliving } from "./outliving.ts"
import { ReferenceClocks } from "./reference-clocks.ts"
import { clockMeasurements, clockReport, numberingOf } from "./reference-reporting.ts"
import { measurementsOf, sourceReport, type Standing, systemVariables, trackingReport } from "./reporting.ts"
import { disciplineOptions, localOptions } from "./settings.ts"
import { type SystemClockSteering, takeKernelClock } from "./system-clock-steering.ts"
import { clockDetail } from "./source-details.ts"
import { shownVerdicts } from "./standing-word.ts"
import { systemUptime } from "./realtime-watch.ts"
import { closesLoop, orphanRank, OwnAddresses, referenceIdOfAddress } from "./source-identity.ts"
import { StatisticsWriter } from "./statistics-writer.ts"
import type { ServiceSurroundings } from "./service-surroundings.ts"
import type { Upstream } from "./upstream.ts"
import { Upstreams } from "./upstreams.ts"

export class DisciplineService {
  private readonly surroundings: ServiceSurroundings
  private configuration: DisciplineConfiguration
  private readonly digests: LateDigests
  private readonly macs: SymmetricMacs
  private readonly outliving: Outliving
  private readonly leaps: LeapSeconds
  private readonly steering: SystemClockSteering | undefined
  private readonly keeper: ClockKeeper
  private readonly upstreams: Upstreams
  private readonly autokey: AutokeySources | undefined
  private readonly clocks: ReferenceClocks
  private readonly statistics: StatisticsWriter
  private readonly warnings: Warnings
  private readonly announcements: Announcements
  private readonly own = new OwnAddresses()
  private verdicts: ReadonlyMap<string, SourceVerdict> = new Map()
  private action: DisciplineAction = { _tag: "Waiting" }
  private hasStopped = false
  /** Times that the clock was set or corrected. */
  private updates = 0

  constructor(configuration: DisciplineConfiguration, surroundings: ServiceSurroundings) {
    const { page, before, read, precision } = surroundings
    const warn = (message: string): void => this.warnings.say(message)
    this.configuration = configuration
    this.surroundings = surroundings
    const startedAt = read().monotonic
    this.digests = new LateDigests(surroundings.digests)
    this.macs = new SymmetricMacs(this.digests, KeyTable.empty)
    this.warnings = new Warnings(surroundings.send, read)
    this.announcements = new Announcements(surroundings.send, read, this.warnings, {
      keeper: () => this.keeper,
      measurements: () => this.measurements()
    })
    this.outliving = new Outliving(
      configuration,
      surroundings.kernelRate ?? ((): undefined => undefined),
      startedAt,
      warn
    )
    const { leapfile, leapSmearSeconds, leapfileHashIgnored } = configuration
    this.leaps = new LeapSeconds(leapfile, leapSmearSeconds, warn, leapfileHashIgnored)
    this.steering = takeKernelClock(surroundings.kernelClock, disciplineOptions(configuration), startedAt, warn, () =>
      this.measurementsVoid()
    )
    this.keeper = new ClockKeeper(
      {
        discipline: disciplineOptions(configuration),
        frequency: this.outliving.frequency?.value ?? 0,
        kept: this.outliving.clock,
        local: localOptions(configuration),
        hasSources: configuration.sources.length + configuration.referenceClocks.length > 0,
        referenceIdOf: (source) => this.referenceIdOf(source)
      },
      page,
      before,
      read,
      this.leaps,
      systemUptime,
      this.steering
    )
    const { kept, problem } = this.keeper.found ?? {}
    if (kept !== undefined) {
      this.action = { _tag: "Holdover", since: kept.since }
      // The time is known from the start.
      this.updates = Number.POSITIVE_INFINITY
    }
    if (problem !== undefined) this.warnings.say(`the clock is set anew after this start: ${problem}`)
    const frequency = this.outliving.frequencyAfter(this.keeper)
    const added = (monotonic: number): number => this.keeper.added(monotonic)
    const lineUntil = (now: number) => this.keeper.lineUntil(now)
    this.statistics = new StatisticsWriter(configuration, read, startedAt, warn, { added, lineUntil })
    this.autokey = surroundings.autokey?.({
      now: () => this.servedNow(),
      record: (address, line) => this.statistics.crypto(address, line),
      hasLeapTable: () => this.leaps.taiOffset(unixOf(read())) !== undefined,
      warn,
      ready: (endpoint) => this.upstreams.askNow(endpoint)
    })
    this.upstreams = new Upstreams(
      configuration,
      {
        read,
        precision,
        frequency,
        macs: this.macs,
        keyExchanges: surroundings.keyExchanges,
        autokey: this.autokey,
        resolve: surroundings.resolve,
        system: () => systemVariables(this.keeper.curve),
        served: (monotonic) => this.keeper.served(monotonic),
        correction: (monotonic) => this.keeper.correction(monotonic),
        added
      },
      {
        arriving: () => this.watchClock(),
        measured: (upstream, sample) => this.measured(upstream, sample),
        lost: () => void this.decide(),
        reachabilityChanged: (upstream, reachable, reach) =>
          this.announcements.reachability(upstream.tracked.configuration.id, reachable, reach),
        passiveChanged: ({ address }, key, taken, reason) =>
          this.announcements.passivePeer(address, key, taken, reason),
        warn
      }
    )
    this.clocks = new ReferenceClocks(
      configuration.referenceClocks,
      {
        read,
        precision,
        frequency,
        ports: surroundings.referencePorts,
        added,
        taiOffset: (unix) => this.leaps.taiOffset(unix),
        numbering: () => numberingOf(this.tracked, this.verdicts, read().monotonic)
      },
      {
        measured: (clock, sample) => {
          const outcome = this.decide()
          this.statistics.clockSampled(clock, sample, this.verdicts.get(clock.id)?.verdict)
          this.statistics.decided(outcome, this.keeper.discipline)
        },
        polled: (clock) => this.statistics.clockPolled(clock),
        lost: () => void this.decide(),
        reachabilityChanged: ({ id }, reachable, reach) => this.announcements.reachability(id, reachable, reach),
        warn
      }
    )
  }

  start(): void {
    this.keeper.publish()
    this.upstreams.start()
  }

  useKeys(table: KeyTable): void {
    this.macs.keys = table
    this.upstreams.passive.keysChanged()
  }

  /** The access list and limits, for clients at multicast groups. */
  useAccess(access: Uint8Array | undefined): void {
    this.upstreams.many.access = access
  }

  useAutokey(client: AutokeyClient | null): void {
    this.autokey?.use(client)
  }

  /** Other sources, or others offline: what did not change goes on as it is. Returns whether any did. @param digests where one has a key */
  useSources({ sources, offline = [] }: DisciplineConfiguration, digests: DigestPort | undefined): boolean {
    this.digests.port ??= digests
    if (this.hasStopped) return false
    const before = JSON.stringify([this.configuration.sources, this.configuration.offline ?? []])
    this.configuration = { ...this.configuration, sources, offline }
    this.upstreams.orders.useOffline(offline)
    this.upstreams.useLines(sources)
    return before !== JSON.stringify([sources, offline])
  }

  /** @param digests for their keys */
  peersSeen(seen: PeersSeen, digests: DigestPort): void {
    this.digests.port ??= digests
    if (!this.hasStopped) this.upstreams.passive.seen(seen)
  }

  commandSources(command: SourceCommand): void {
    if (!this.hasStopped) this.upstreams.orders.command(command)
  }

  countersArrived(counters: SystemCounters): void {
    this.statistics.counted(counters)
  }

  /** Whether a tick in so many seconds is enough: what is served goes on as it is for longer. @param alone and nobody is asked */
  restsFor(seconds: number, alone = false): boolean {
    return this.keeper.restsFor(seconds) && this.clocks.all.length + (alone ? this.upstreams.all.length : 0) === 0
  }

  /** To be called a few times a second, and once at rest: see {@link restsFor}. */
  tick(): void {
    this.watchClock()
    if (this.hasStopped) return
    this.clocks.tick()
    this.announcements.leapArmed(this.leaps.armed)
    this.keeper.steer()
    this.keeper.renew()
    const { monotonic } = this.surroundings.read()
    this.announcements.flush()
    this.statistics.tick()
    const known = this.autokey?.newCertificates()
    const certificates = known?.map(({ certificate: { der }, filestamp }) => ({ der, filestamp }))
    if (certificates !== undefined) this.surroundings.send({ type: "autokey-certificates", certificates })
    const lists = this.autokey?.broadcasts.newLists()
    if (lists !== undefined) this.surroundings.send({ type: "autokey-lists", lists })
    this.outliving.tick(this.keeper, monotonic)
  }

  report(now = this.surroundings.read()): DisciplineReport {
    const memory = memoryUse()
    return { ...this.state(now), rss: memory.rss, heapUsed: memory.heapUsed }
  }

  /** The report without what this process takes, by what is known now. @param now ages and drifts are as of this moment */
  state(now: Reading): Omit<DisciplineReport, "rss" | "heapUsed"> {
    const standing = this.standing()
    const holdoverSince = this.action._tag === "Holdover" ? this.action.since : undefined
    return {
      type: "report",
      at: now.monotonic,
      tracking: trackingReport(now, standing, holdoverSince),
      sources: [
        ...this.upstreams.all.map((upstream) => sourceReport(upstream, now, standing)),
        ...this.clocks.all.map((clock, index) => ({
          ...clockReport(clock, now, this.keeper, standing.verdicts),
          detail: clockDetail(clock, index, standing.verdicts.get(clock.id)?.verdict, this.keeper, now)
        }))
      ],
      ...(this.upstreams.keyExchanges && { nts: this.upstreams.ntsCounters })
    }
  }

  /**
   * By when certificates are judged. Before the clock has been set, and updated so often as `nts nocerttimecheck` says, those
   * may pass for now whose only fault are their dates.
   */
  certificateTime(): CertificateTime {
    const { seconds } = this.surroundings.read()
    const { lastKnown = Number.NEGATIVE_INFINITY } = this.keeper.found ?? {}
    const most = this.configuration.certificateTimeUpdates ?? 0
    const served = this.servedNow()
    const notBefore = this.updates < most ? lastKnown : undefined
    return { unix: served ?? Math.max(seconds, lastKnown), notBefore }
  }

  /** Saves what is to be kept. The page stays as it is, and ages. */
  stop(): void {
    this.hasStopped = true
    const { monotonic } = this.surroundings.read()
    this.keeper.stop()
    this.outliving.stop(this.keeper, monotonic)
    this.statistics.stop()
    this.upstreams.stop()
    this.clocks.stop()
    this.announcements.flush()
  }

  /** Before anything is measured against CLOCK_REALTIME: was it set, or has a leap second passed? */
  private watchClock(): void {
    if (this.hasStopped) return
    const change = this.keeper.watchRealtime()
    if (change._tag === "Slept") return this.startOver(change.seconds)
    if (change._tag === "Stepped") this.foreignStep(change.seconds)
    if (change._tag === "Reset") this.clockStepped(change.seconds)
    if (change._tag === "Leapt") this.measurementsVoid()
    const leapt = this.keeper.passLeapSecond()
    if (leapt !== 0) this.clockStepped(leapt)
  }

  private clockStepped(seconds: number): void {
    this.upstreams.clockStepped(seconds)
    this.clocks.clockStepped(seconds)
  }

  /** What is under way was begun against the clock before its step. */
  private measurementsVoid(): void {
    this.upstreams.exchangesVoid()
    this.clocks.readingsVoid()
  }

  /** Served time, Unix seconds; undefined where none is served as good. */
  private servedNow(): number | undefined {
    const { stratum, leap } = systemVariables(this.keeper.curve)
    if (stratum === 0 || leap === Leap.unsynchronised) return undefined
    const now = this.surroundings.read()
    return unixOf(now) + this.keeper.correction(now.monotonic)
  }

  private get tracked(): readonly TrackedSource[] {
    return [...this.upstreams.all, ...this.clocks.all].map(({ tracked }) => tracked)
  }

  private referenceIdOf(source: string): number {
    return this.clocks.referenceId(source) ?? referenceIdOfAddress(this.upstreams.addressOf(source) ?? source)
  }

  private standing(): Standing {
    const { configuration, upstreams, clocks, keeper, leaps, action, steering } = this
    const verdicts = shownVerdicts(this.verdicts, keeper, action)
    return { configuration, upstreams, clocks, keeper, leaps, verdicts, action, steering }
  }

  private measured(upstream: Upstream, sample: Sample): void {
    const outcome = this.decide()
    const verdict = this.verdicts.get(upstream.tracked.configuration.id)
    this.statistics.sampled(upstream, sample, verdict?.verdict, this.upstreams.reach(upstream.id))
    this.statistics.decided(outcome, this.keeper.discipline)
  }

  private decide(): DisciplineOutcome {
    const { keeper, upstreams, surroundings } = this
    this.judgeLoops(surroundings.read().monotonic)
    const outcome = keeper.decide(this.tracked)
    this.action = outcome.action
    this.verdicts = new Map(outcome.decision.verdicts.map((verdict) => [verdict.id, verdict]))
    for (const upstream of upstreams.all) {
      const verdict = this.verdicts.get(upstream.tracked.configuration.id)?.verdict
      upstreams.judged(upstream, verdict !== undefined && agrees(verdict))
    }
    upstreams.wantPoll(keeper.discipline.poll.exponent)
    this.clocks.wantPoll(keeper.discipline.poll.exponent)
    if (outcome.action._tag === "Set" || outcome.action._tag === "Stepped") upstreams.servedTimeStepped()
    this.announcements.decided(outcome)
    surroundings.decided?.()
    if (outcome.action._tag === "Set" || outcome.action._tag === "Slewed" || outcome.action._tag === "Stepped")
      this.updated()
    return outcome
  }

  /** Once the time is won, certificates that passed without it are judged by it. */
  private updated(): void {
    this.updates += 1
    const served = this.servedNow()
    if (this.updates < (this.configuration.certificateTimeUpdates ?? 0) || served === undefined) return
    const dropped = this.upstreams.keyExchanges?.judgeAgain(served) ?? 0
    if (dropped === 0 || this.keeper.discipline.state !== "holdover") return
    this.warnings.say(
      "all servers that the clock was set by showed certificates that are not valid by it: nothing is known of the time"
    )
    this.keeper.discipline.forget()
    this.outliving.clock?.remove()
    this.action = { _tag: "Waiting" }
    this.keeper.publish()
  }

  /** Whom we follow changes, so this is asked anew for each decision. */
  private judgeLoops(now: number): void {
    const { root, state } = this.keeper.discipline
    const followed = root === undefined || state !== "synchronised" ? undefined : this.referenceIdOf(root.peer)
    for (const { tracked, sample, endpoint, ownAddress } of this.upstreams.all) {
      if (sample === undefined) continue
      const loop = closesLoop(sample.stratum, sample.referenceId, (id) => this.own.has(id, now), followed)
      const rank = ownAddress === undefined ? {} : { rank: orphanRank(endpoint.address, ownAddress) }
      tracked.report = { ...tracked.report, loop, ...rank }
    }
  }

  private measurements(): readonly Measurement[] {
    const now = this.surroundings.read()
    return [...measurementsOf(this.upstreams, this.keeper, now), ...clockMeasurements(this.clocks, this.keeper, now)]
  }

  private foreignStep(seconds: number): void {
    this.measurementsVoid()
    this.announcements.foreignStep(seconds)
  }

  /** The supervisor starts another process, which finds nothing on the page and asks its sources anew. */
  private startOver(seconds: number): void {
    const message = `this machine slept for ${formatSeconds(seconds)}: what was known of its clock is forgotten`
    this.surroundings.send({ type: "warning", message })
    this.surroundings.restart()
  }
}
