/** Which statistics lines the service writes, and when. */
import type { ClockDiscipline, DisciplineOutcome, Verdict, ReferenceSample } from "@meridian/algorithms"
import type { DisciplineConfiguration, SystemCounters } from "@meridian/ipc/discipline-report"
import type { Sample } from "@meridian/protocol/associations"
import { type ReadClocks, unixOf } from "./clocks.ts"
import type { ReferenceClock } from "./reference-clocks.ts"
import { statisticsSample } from "./reference-reporting.ts"
import { clockLine, loopLine, mjdTime, peerLine, rawLine, Statistics, systemLine } from "./statistics.ts"
import { Mode } from "@meridian/wire/ntp"
import { peerSelection } from "@meridian/wire/peer-status"
import type { Upstream } from "./upstream.ts"

/** Between two lines of sysstats, seconds. */
const SYSTEM_INTERVAL = 3_600

/** The bits of a peer status word (RFC 9327 §3.2): configured, authentication on, authentic, reachable. */
const CONFIGURED = 0x8000
const KEYED = 0x4000
const AUTHENTIC = 0x2000
const REACHABLE = 0x1000
const SELECTION_SHIFT = 8
/** What a reference clock's rawstats lines say of its protocol. */
const CLOCK_PACKET = { mode: Mode.server, version: 4 }

const peerStatus = (upstream: Upstream, verdict: Verdict | undefined, reach: number): number => {
  const { configuration } = upstream
  const isKeyed =
    configuration !== undefined &&
    (configuration.keyId !== null || configuration.nts !== null || Boolean(configuration.autokey))
  return (
    (configuration === undefined ? 0 : CONFIGURED) |
    // A sample was taken, so its packet was authentic where it had to be.
    (isKeyed ? KEYED | AUTHENTIC : 0) |
    (reach === 0 ? 0 : REACHABLE) |
    (peerSelection(verdict, false) << SELECTION_SHIFT)
  )
}

/** As ntpd, which begins to count anew with each line. */
const since = (before: SystemCounters, now: SystemCounters): SystemCounters => {
  const count = (name: Exclude<keyof SystemCounters, "type">): number => Math.max(0, now[name] - before[name])
  return {
    type: "system-counters",
    received: count("received"),
    processed: count("processed"),
    currentVersion: count("currentVersion"),
    oldVersion: count("oldVersion"),
    restricted: count("restricted"),
    badLength: count("badLength"),
    badAuthentication: count("badAuthentication"),
    declined: count("declined"),
    rateLimited: count("rateLimited"),
    kissesSent: count("kissesSent")
  }
}

/** What is added to the uncorrected clock, which the discipline measures: seconds at moments of CLOCK_MONOTONIC. */
interface ClockLines {
  /** By steering: CLOCK_REALTIME, which rawstats has. */
  readonly added: (monotonic: number) => number
  /** Served time at moments up to `now`, which peerstats measures against: it is what this node's clock says. */
  readonly lineUntil: (now: number) => (time: number) => number
}

/** What a source's packets are, by how it is spoken to. */
const rawModes = {
  client: Mode.server,
  active: Mode.symmetricActive,
  passive: Mode.symmetricActive,
  broadcast: Mode.broadcast
} as const

export class StatisticsWriter {
  /** What the supervisor told last, and what stood there when the last line was written. */
  private counters: SystemCounters | undefined
  private written: SystemCounters | undefined
  private readonly statistics: Statistics
  private readonly read: ReadClocks
  private readonly clocks: ClockLines
  private systemAt: number

  constructor(
    { statsdir, filegen }: DisciplineConfiguration,
    read: ReadClocks,
    startedAt: number,
    warn: (message: string) => void,
    clocks: ClockLines = { added: () => 0, lineUntil: () => () => 0 }
  ) {
    this.read = read
    this.clocks = clocks
    this.systemAt = startedAt
    this.statistics = new Statistics(statsdir, filegen, () => read().monotonic - startedAt, warn)
  }

  sampled(upstream: Upstream, sample: Sample, verdict: Verdict | undefined, reach: number): void {
    const now = this.read()
    const unix = unixOf(now)
    const { address } = upstream.endpoint
    if (this.statistics.has("rawstats")) {
      const lost = 8 - reach.toString(2).replaceAll("0", "").length
      const { version } = upstream.options
      const mode = rawModes[upstream.options.mode]
      this.statistics.write("rawstats", unix, rawLine(unix, address, sample, { mode, version }, lost))
    }
    if (!this.statistics.has("peerstats")) return
    const figures = upstream.tracked.peerVariables(now.monotonic, this.clocks.lineUntil(now.monotonic))
    if (figures === undefined) return
    const status = peerStatus(upstream, verdict, reach)
    this.statistics.write("peerstats", unix, peerLine(unix, { address, status, ...figures }))
  }

  clockSampled(clock: ReferenceClock, sample: ReferenceSample, verdict: Verdict | undefined): void {
    const now = this.read()
    const unix = unixOf(now)
    const { id, tracked } = clock
    const read = { ...sample, offset: sample.offset - this.clocks.added(sample.time) }
    if (this.statistics.has("rawstats")) {
      const lost = 8 - tracked.reach.toString(2).replaceAll("0", "").length
      this.statistics.write("rawstats", unix, rawLine(unix, id, statisticsSample(clock, read, now), CLOCK_PACKET, lost))
    }
    if (!this.statistics.has("peerstats")) return
    const figures = tracked.peerVariables(now.monotonic, this.clocks.lineUntil(now.monotonic))
    if (figures === undefined) return
    const selection = peerSelection(verdict, sample.pulse)
    const status = CONFIGURED | (tracked.reach === 0 ? 0 : REACHABLE) | (selection << SELECTION_SHIFT)
    this.statistics.write("peerstats", unix, peerLine(unix, { address: id, status, ...figures }))
  }

  /** What a reference clock's driver found since the last poll, where `flag4` asks for it: the fields of ntpd's SHM driver. */
  clockPolled({ id, configuration, counts }: ReferenceClock): void {
    if (configuration.flags[3] !== true || !this.statistics.has("clockstats")) return
    const unix = unixOf(this.read())
    const { looks, taken, nothing, bad, torn } = counts
    const fields = [looks, taken, nothing, bad, torn].map((count) => String(count).padStart(3))
    this.statistics.write("clockstats", unix, clockLine(unix, id, fields.join(" ")))
  }

  /** What an exchange by Autokey came to. @param address of the other side; null: about this host */
  crypto(address: string | null, text: string): void {
    if (!this.statistics.has("cryptostats")) return
    const unix = unixOf(this.read())
    this.statistics.write("cryptostats", unix, `${mjdTime(unix)} ${address ?? "0.0.0.0"} ${text}`)
  }

  decided({ action, decision }: DisciplineOutcome, discipline: ClockDiscipline): void {
    if (action._tag !== "Set" && action._tag !== "Slewed" && action._tag !== "Stepped") return
    if (!this.statistics.has("loopstats")) return
    const now = this.read()
    const unix = unixOf(now)
    const estimate = discipline.tracking(now.monotonic)
    const line = loopLine(unix, {
      offset: action.offset,
      frequency: estimate?.frequency ?? 0,
      jitter: decision.combined?.jitter ?? 0,
      wander: estimate?.frequencyDeviation ?? 0,
      timeConstant: discipline.poll.exponent
    })
    this.statistics.write("loopstats", unix, line)
  }

  /** What comes first is where counting begins: it may be of a time before this process. */
  counted(counters: SystemCounters): void {
    this.written ??= counters
    this.counters = counters
  }

  /** Writes what is due. */
  tick(): void {
    if (this.read().monotonic - this.systemAt >= SYSTEM_INTERVAL) this.writeSystem()
  }

  /** Writes what was counted since the last line: the next process counts from what it hears first. */
  stop(): void {
    this.writeSystem()
  }

  private writeSystem(): void {
    const now = this.read()
    const seconds = now.monotonic - this.systemAt
    this.systemAt = now.monotonic
    const unix = unixOf(now)
    const { counters, written } = this
    if (counters === undefined || written === undefined) return
    this.statistics.write("sysstats", unix, systemLine(unix, seconds, since(written, counters)))
    this.written = counters
  }
}
