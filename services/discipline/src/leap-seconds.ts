/** Leap seconds: what the file and the sources say, the moment one takes effect, and the smear. */
import { statSync } from "@meridian/system/files"
import type { ArmedLeap, Smear } from "@meridian/algorithms"
import { ANNOUNCE_SECONDS, decideLeap, smearAt } from "@meridian/algorithms"
import {
  type LeapFile,
  leapFileExpired,
  parseLeapFile,
  taiOffsetAt,
  verifyLeapFile
} from "@meridian/algorithms/leap-file"
import type { LeapTableReport } from "@meridian/ipc/discipline-report"
import { reasonOf } from "@meridian/system/errno-words"
import * as onUse from "@meridian/system/on-use"
import { readRegularFile } from "@meridian/system/regular-file"
import { Leap } from "@meridian/time/clock-curve"

/** The official file has some ten thousand bytes. */
const LONGEST_FILE = 1_048_576

/** How often the file is looked at, seconds. */
const FILE_INTERVAL = 3_600

export interface LeapStanding extends ArmedLeap {
  readonly origin: "file" | "sources"
}

export class LeapSeconds {
  private readonly path: string | null
  private readonly hashIgnored: boolean
  private readonly smearSeconds: number
  private readonly warn: (message: string) => void
  private file: LeapFile | undefined
  private fileRead = ""
  private checkedAt = -Infinity
  private votes: readonly Leap[] = []
  private standing: LeapStanding | undefined
  /** The one that was carried out last: file and sources go on naming it while the inserted second runs. */
  private passedAt: number | undefined

  /** @param hashIgnored whether the file is taken without its hash, or in spite of it */
  constructor(path: string | null, smearSeconds: number, warn: (message: string) => void, hashIgnored = false) {
    this.path = path
    this.hashIgnored = hashIgnored
    this.smearSeconds = smearSeconds
    this.warn = warn
  }

  /** The leap second that is coming. */
  get armed(): LeapStanding | undefined {
    return this.standing
  }

  /** TAI minus UTC by the file, seconds; an expired one still says what it was. Undefined without a file. */
  taiOffset(unix: number): number | undefined {
    return this.file === undefined ? undefined : taiOffsetAt(this.file, unix)
  }

  /** The file as windows show it; undefined without one. */
  table(unix: number): LeapTableReport | undefined {
    const taiOffset = this.taiOffset(unix)
    const last = this.file?.entries.at(-1)
    return this.file === undefined || taiOffset === undefined || last === undefined
      ? undefined
      : { taiOffset, last: last.at, expires: this.file.expiresAt }
  }

  /** What the sources that agree on the time announce. */
  hear(leaps: readonly number[]): void {
    if (leaps.length > 0) this.votes = leaps.map((leap) => leap as Leap)
  }

  /**
   * Brings the decision up to date. Returns a leap second that has just taken effect: time scales move by it now.
   * @param unix served time, Unix seconds, before that leap second is applied
   */
  update(unix: number): ArmedLeap | undefined {
    this.readFile(unix)
    const { standing } = this
    if (standing !== undefined && this.isDue(unix)) {
      this.standing = undefined
      this.passedAt = standing.at
      // What the sources announced is over; those that go on saying so are asked again.
      this.votes = []
      return standing
    }
    const { leap, at, origin } = decideLeap(unix, this.votes, this.file)
    this.standing =
      at === undefined || at === this.passedAt || origin === "none"
        ? undefined
        : { at, change: leap === Leap.delete ? -1 : 1, origin }
    return undefined
  }

  /** Whether the one that is coming takes effect at `unix`: an inserted second after the day's end, a deleted one before it. */
  isDue(unix: number): boolean {
    const { standing } = this
    return standing !== undefined && unix >= standing.at - (standing.change < 0 ? 1 : 0)
  }

  /** The leap indicator to show: in the last day, and never beside a smear. */
  indicator(unix: number): Leap {
    const { standing } = this
    if (standing === undefined || standing.at - unix > ANNOUNCE_SECONDS) return Leap.none
    return standing.change > 0 ? Leap.insert : Leap.delete
  }

  /** What the smear adds at this moment; undefined when no leap second is near or it is off. It ends with the leap second. */
  smearNow(unix: number): Smear | undefined {
    return this.standing === undefined ? undefined : smearAt(this.smearSeconds, this.standing, unix)
  }

  private readFile(unix: number): void {
    if (this.path === null || unix - this.checkedAt < FILE_INTERVAL) return
    this.checkedAt = unix
    try {
      const { mtimeMs, size } = statSync(this.path)
      const mark = `${mtimeMs} ${size}`
      if (mark !== this.fileRead) {
        this.fileRead = mark
        this.file = undefined
        const parsed = parseLeapFile(readRegularFile(this.path, LONGEST_FILE).toString("utf8"), !this.hashIgnored)
        const verified = "_tag" in parsed || this.hashIgnored ? parsed : verifyLeapFile(parsed, sha1)
        if ("_tag" in verified) this.warn(`leap second file ${this.path} is not used: ${verified.message}`)
        else this.file = verified
      }
    } catch (error) {
      this.file = undefined
      this.fileRead = ""
      this.warn(`leap second file ${this.path} cannot be read: ${reasonOf(error)}`)
    }
    if (this.file !== undefined && leapFileExpired(this.file, unix))
      this.warn(`leap second file ${this.path} has expired: the sources' word counts; fetch the file anew`)
  }
}

/** The moment of a leap second as events write it. @param at Unix seconds */
export const leapMoment = (at: number): string => new Date(at * 1e3).toISOString()

const sha1 = (bytes: Uint8Array): Uint8Array => new Uint8Array(onUse.crypto().createHash("sha1").update(bytes).digest())
