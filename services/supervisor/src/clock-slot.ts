/** The slot of the clock's process, what it said last, and what the node says about the page it writes. */
import { CAP_SYS_TIME, withCapability } from "@meridian/system/capabilities"
import type { ClockPageReader } from "@meridian/clocks/clock-page"
import type { BroadcastLists, LearnedCertificates } from "@meridian/ipc/autokey-plan"
import {
  type DisciplineReport,
  type FromDiscipline,
  parseFromDiscipline,
  type TrackingReport
} from "@meridian/ipc/discipline-report"
import type { ClockStatus } from "@meridian/ipc"
import { sourcesAfter, trackingAfter } from "@meridian/ipc/report-age"
import { projections } from "@meridian/ipc/serving-plan"
import type { MonotonicClock, WallClock } from "@meridian/time/clock"
import {
  isSynchronised,
  rootDispersionAt,
  servedTimeAt,
  STRATUM_UNSYNCHRONISED,
  unsynchronisedCurve
} from "@meridian/time/clock-curve"
import { type UnixTime, unixDifferenceSeconds } from "@meridian/time/timestamp"
import { formatReferenceId } from "@meridian/wire/reference-id"
import { Service, type ServiceLaunch } from "./service.ts"

interface ClockLaunch extends ServiceLaunch {
  /** The page it writes, open for writing. */
  readonly page: number
  /** Kernel mode: it is handed CAP_SYS_TIME, which this process reserved. */
  readonly maySetClock: boolean
  /** Decisions for the event log: commands of the clock's aggregate. */
  readonly onEvents: (events: readonly unknown[]) => void
  /** Certificates that sources by Autokey signed, and theirs: the Autokey server shows them. */
  readonly onCertificates: (certificates: LearnedCertificates) => void
  /** The key lists of what is told to many by Autokey: the Autokey server gives their values. */
  readonly onLists: (lists: BroadcastLists) => void
}

export class ClockSlot {
  readonly service: Service<FromDiscipline>
  /** What it said last; undefined before its first word. */
  report: DisciplineReport | undefined

  /** What it said last, as of now. @param monotonic CLOCK_MONOTONIC, seconds */
  reportAt(monotonic: number): DisciplineReport | undefined {
    const { report } = this
    if (report === undefined) return undefined
    const seconds = Math.max(0, monotonic - report.at)
    const { tracking, sources } = report
    return { ...report, tracking: trackingAfter(tracking, seconds), sources: sourcesAfter(sources, seconds) }
  }

  constructor(launch: ClockLaunch) {
    const { page, maySetClock, onEvents, onCertificates, onLists } = launch
    this.service = new Service(launch, {
      name: "clock",
      descriptors: () => ({ "--clock-page": [page] }),
      project: projections.discipline,
      read: parseFromDiscipline,
      hear: (said) => {
        if (said.type === "report") this.report = said
        if (said.type === "clock-events") onEvents(said.events)
        if (said.type === "autokey-certificates") onCertificates(said.certificates)
        if (said.type === "autokey-lists") onLists(said.lists)
      },
      ...(maySetClock ? { around: (start) => withCapability(CAP_SYS_TIME, start) } : {}),
      // Its page is good for twelve seconds: another has taken over before those are gone.
      silentSeconds: 8,
      // One writer of the page.
      overlaps: false,
      urgent: true
    })
  }
}

/**
 * How a node bridges its start; null once it follows somebody, or where its clients are told that it has no time.
 * @param silence seconds for which requests are not answered without time
 */
export const startingText = (tracking: TrackingReport | undefined, silence: number): string | null => {
  if (tracking?.resumed === true) return "serves the clock as it was known before the start, and follows nobody yet"
  const isWithout = tracking === undefined || (tracking.state === "unset" && tracking.stratum >= STRATUM_UNSYNCHRONISED)
  return isWithout && silence > 0
    ? `answers nobody until it has time, for at most ${Math.ceil(silence)} s more (silentstart)`
    : null
}

interface Clocks {
  readonly wall: WallClock
  readonly monotonic: MonotonicClock
}

/** Whether what the page says now is good for so many seconds more, whatever becomes of who writes it. */
export const isGoodFor = (
  reader: ClockPageReader,
  seconds: number,
  { monotonic }: Pick<Clocks, "monotonic">
): boolean => {
  const curve = unsynchronisedCurve()
  reader.readInto(curve)
  return isSynchronised(curve, monotonic.seconds() + seconds)
}

/**
 * The clock as the page has it, which is what workers serve.
 * @param source what the clock's process follows
 * @param system this machine's clocks
 */
export const clockStatus = (reader: ClockPageReader, source: string, system: Clocks): ClockStatus => {
  const curve = unsynchronisedCurve()
  reader.readInto(curve)
  const realtime: UnixTime = { seconds: 0, nanoseconds: 0 }
  system.wall.read(realtime)
  const monotonic = system.monotonic.seconds()
  const served = servedTimeAt(curve, monotonic)
  const synchronised = isSynchronised(curve, monotonic)
  return {
    source,
    synchronised,
    stratum: synchronised ? curve.stratum : 16,
    leap: synchronised ? curve.leap : 3,
    referenceId: formatReferenceId(curve.referenceId, curve.stratum),
    rootDelay: curve.rootDelay,
    rootDispersion: rootDispersionAt(curve, monotonic),
    offset: unixDifferenceSeconds(served, realtime),
    frequency: curve.frequency * 1e6
  }
}
