/** Statistics files in the formats that NTPsec writes and ntpviz reads. One line an event; a full disk costs lines, no more. */
import type { FilegenConfiguration, StatisticsName, SystemCounters } from "@meridian/ipc/discipline-report"
import type { Sample } from "@meridian/protocol/associations"
import { reasonOf } from "@meridian/system/errno-words"
import { fractionNanoseconds, type NtpTimestamp } from "@meridian/time/timestamp"
import { formatReferenceId } from "@meridian/wire/reference-id"
import { GenerationFile } from "./file-generations.ts"

const DAY = 86_400
/** Modified Julian day of 1970-01-01. */
const MJD_UNIX = 40_587

/** Modified Julian day and seconds of the UTC day. */
export const mjdTime = (unix: number): string => {
  const milliseconds = Math.floor(unix * 1e3)
  const day = Math.floor(milliseconds / (DAY * 1e3))
  return `${day + MJD_UNIX} ${((milliseconds - day * DAY * 1e3) / 1e3).toFixed(3)}`
}

interface LoopFigures {
  /** The last correction, seconds. */
  readonly offset: number
  /** Seconds per second. */
  readonly frequency: number
  /** Seconds. */
  readonly jitter: number
  /** Seconds per second. */
  readonly wander: number
  /** log2 seconds */
  readonly timeConstant: number
}

export const loopLine = (unix: number, figures: LoopFigures): string =>
  [
    mjdTime(unix),
    figures.offset.toFixed(9),
    (figures.frequency * 1e6).toFixed(6),
    figures.jitter.toFixed(9),
    (figures.wander * 1e6).toFixed(6),
    figures.timeConstant
  ].join(" ")

interface PeerFigures {
  readonly address: string
  readonly status: number
  /** All in seconds. */
  readonly offset: number
  readonly delay: number
  readonly dispersion: number
  readonly jitter: number
}

export const peerLine = (unix: number, figures: PeerFigures): string =>
  [
    mjdTime(unix),
    figures.address,
    figures.status.toString(16),
    ...[figures.offset, figures.delay, figures.dispersion, figures.jitter].map((seconds) => seconds.toFixed(9))
  ].join(" ")

const stampText = (stamp: NtpTimestamp): string =>
  `${stamp >> 32n}.${String(fractionNanoseconds(Number(stamp & 0xffffffffn))).padStart(9, "0")}`

/**
 * @param packet mode of what came, version as sent
 * @param lost requests in the last eight that had no answer
 */
export const rawLine = (
  unix: number,
  address: string,
  sample: Sample,
  { mode, version }: { readonly mode: number; readonly version: number },
  lost: number
): string =>
  [
    mjdTime(unix),
    address,
    // The socket is bound to no address of ours.
    "-",
    ...[sample.t1, sample.t2, sample.t3, sample.t4].map(stampText),
    sample.leap,
    version,
    mode,
    sample.stratum,
    sample.poll,
    sample.precision,
    sample.rootDelay.toFixed(6),
    sample.rootDispersion.toFixed(6),
    formatReferenceId(sample.referenceId, sample.stratum),
    lost
  ].join(" ")

export const clockLine = (unix: number, source: string, text: string): string => `${mjdTime(unix)} ${source} ${text}`

/** @param seconds since the counters were last written */
export const systemLine = (unix: number, seconds: number, counters: SystemCounters): string =>
  [
    mjdTime(unix),
    Math.round(seconds),
    counters.received,
    counters.processed,
    counters.currentVersion,
    counters.oldVersion,
    counters.restricted,
    counters.badLength,
    counters.badAuthentication,
    counters.declined,
    counters.rateLimited,
    counters.kissesSent
  ].join(" ")

export class Statistics {
  private readonly files = new Map<StatisticsName, GenerationFile>()
  private readonly uptime: () => number
  private readonly warn: (message: string) => void

  /** @param statsdir a prefix; a folder's name gets its slash */
  constructor(
    statsdir: string | null,
    filegen: readonly FilegenConfiguration[],
    uptime: () => number,
    warn: (message: string) => void
  ) {
    this.uptime = uptime
    this.warn = warn
    if (statsdir === null) return
    const prefix = statsdir.endsWith("/") ? statsdir : `${statsdir}/`
    for (const { name, file, type, link } of filegen)
      this.files.set(name, new GenerationFile(prefix + file, type, link))
  }

  /** Whether lines of this name go anywhere. */
  has(name: StatisticsName): boolean {
    return this.files.has(name)
  }

  /** @param unix Unix seconds: the moment the line is of */
  write(name: StatisticsName, unix: number, line: string): void {
    try {
      this.files.get(name)?.append(line, { unix, uptime: this.uptime(), pid: process.pid })
    } catch (error) {
      this.warn(`${name} cannot be written: ${reasonOf(error)}`)
    }
  }
}
