/**
 * What is known of the clock, in a file of the state directory, so that a restart need not show in served time. It is the
 * line over CLOCK_MONOTONIC, so it means something only while that clock runs on undisturbed: the same boot, nobody who set
 * CLOCK_REALTIME, no sleep, and no other program that changed the kernel's rate. Of an older boot it says one thing: it is
 * later than that.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "@meridian/system/files"
import { type KeptClock, movedKept } from "@meridian/algorithms"
import { finite, fits, flag, nullable, record, text, type TypeOf, whole } from "@meridian/ipc/shape"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import type { UnixTime } from "@meridian/time/timestamp"

const LONGEST_FILE = 65_536
const seconds = finite()
const unixTime = record({ seconds: whole(-(2 ** 40), 2 ** 40), nanoseconds: whole(0, 999_999_999) })

const keptFile = record({
  format: whole(1, 1),
  boot: text(1, 64),
  /** CLOCK_REALTIME less CLOCK_MONOTONIC. */
  realtimeOrigin: unixTime,
  /** The kernel's rate; null where it cannot be read. */
  rate: nullable(record({ frequency: seconds, tick: seconds })),
  /** The uncorrected clock: Unix time at CLOCK_MONOTONIC 0, less what steering has slewed by `at`, and its slope from there. */
  origin: unixTime,
  slewed: seconds,
  slope: seconds,
  at: seconds,
  /** Served time at `at`, Unix seconds. */
  unix: seconds,
  /** Nothing was being slewed any more: written by an orderly end. */
  rests: flag,
  line: record({ base: seconds, offset: seconds, frequency: seconds, residue: seconds, slewing: finite(0) }),
  root: record({
    peer: text(0, 255),
    stratum: whole(1, 16),
    leap: whole(0, 3),
    rootDelay: finite(0),
    dispersion: finite(0),
    at: seconds
  }),
  estimate: record({
    offset: seconds,
    frequency: seconds,
    offsetVariance: finite(0),
    covariance: seconds,
    frequencyVariance: finite(0),
    wander: finite(0)
  }),
  estimatedAt: seconds,
  since: seconds
})
type KeptFile = TypeOf<typeof keptFile>

/** Readings of one and the same difference between two clocks vary by this, on a busy machine; seconds. */
const SAME = 5e-3
/** The kernel's rate is told in units of 1.5e-11. */
const SAME_RATE = 1e-12
/** A clock that nobody watched for longer may be off by more than is slewed: it is set anew. Seconds. */
const LONGEST_ABSENCE = 3_600

/** The frame that offsets are counted in, at a start and at a save. */
interface ClockFrame {
  /** Unix time at CLOCK_MONOTONIC 0 that offsets are counted from. */
  readonly origin: UnixTime
  /** CLOCK_REALTIME less what the origin has come to, seconds. */
  readonly difference: number
  /** CLOCK_MONOTONIC, seconds. */
  readonly now: number
}

export interface KeptMoment extends ClockFrame {
  readonly kept: KeptClock
  readonly unix: number
  /** What steering has slewed by now, and how fast that grows. */
  readonly slewed: number
  readonly slope: number
  readonly rests: boolean
}

/** What a start finds. */
export interface FoundClock {
  /** What to go on from; undefined where it does not hold any more. */
  readonly kept: KeptClock | undefined
  /** Why it does not, for people. */
  readonly problem: string | undefined
  /** It is later than that, Unix seconds; undefined where nothing is known. */
  readonly lastKnown: number | undefined
}

const nothing = { kept: undefined, problem: undefined, lastKnown: undefined }

/** Names this boot; undefined where the system does not say. */
const bootId = (): string | undefined => {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "ascii").trim() || undefined
  } catch {
    return undefined
  }
}

const moved = ({ seconds: whole, nanoseconds }: UnixTime, by: number): { seconds: number; nanoseconds: number } => {
  const nanos = nanoseconds + Math.round(by * 1e9)
  const carry = Math.floor(nanos / 1e9)
  return { seconds: whole + carry, nanoseconds: nanos - carry * 1e9 }
}

/** Seconds from one to the other; exact for such as are near each other. */
const between = (from: UnixTime, to: UnixTime): number =>
  to.seconds - from.seconds + (to.nanoseconds - from.nanoseconds) / 1e9

export class KeptClockFile {
  private readonly path: string
  private readonly boot: string | undefined
  private readonly rate: () => { readonly frequency: number; readonly tick: number } | undefined

  /** @param rate the kernel's, undefined where it cannot be read */
  constructor(path: string, rate: KeptClockFile["rate"], boot: string | undefined = bootId()) {
    this.path = path
    this.rate = rate
    this.boot = boot
  }

  read(frame: ClockFrame): FoundClock {
    let file: unknown
    try {
      file = JSON.parse(readRegularFile(this.path, LONGEST_FILE).toString("utf8"))
    } catch (error) {
      if (error instanceof FileNotRead && error.reason === "ENOENT") return nothing
      return { ...nothing, problem: error instanceof FileNotRead ? error.message : `${this.path} is not JSON` }
    }
    if (!fits(keptFile, file)) return { ...nothing, problem: `${this.path} does not say what a clock was` }
    if (file.boot !== this.boot) return { ...nothing, lastKnown: file.unix }
    const problem = this.disturbance(file, frame)
    if (problem !== undefined) return { kept: undefined, problem, lastKnown: file.unix }
    const slewed = file.slewed + file.slope * (frame.now - file.at)
    const kept = movedKept(file, between(frame.origin, file.origin) - slewed)
    return { kept, problem: undefined, lastKnown: file.unix }
  }

  /** Replaces the file. Throws the file system's error. */
  save({ kept, origin, difference, now, unix, slewed, slope, rests }: KeptMoment): void {
    if (this.boot === undefined) return
    const { frequency, tick } = this.rate() ?? {}
    const rate = frequency === undefined || tick === undefined ? null : { frequency, tick }
    const realtimeOrigin = moved(origin, difference)
    const clock = { origin: { seconds: origin.seconds, nanoseconds: origin.nanoseconds }, slewed, slope, at: now }
    const file: KeptFile = { format: 1, boot: this.boot, realtimeOrigin, rate, ...clock, unix, rests, ...kept }
    const fresh = `${this.path}.new`
    // Made new each time: what somebody else put there is not written into.
    rmSync(fresh, { force: true })
    writeFileSync(fresh, `${JSON.stringify(file)}\n`, { mode: 0o644, flag: "wx" })
    renameSync(fresh, this.path)
  }

  /** What stands there is worth nothing. */
  remove(): void {
    rmSync(this.path, { force: true })
  }

  /** What happened since that makes the line worthless; undefined where nothing did. */
  private disturbance(file: KeptFile, frame: ClockFrame): string | undefined {
    const stepped = between(file.realtimeOrigin, moved(frame.origin, frame.difference))
    if (Math.abs(stepped) > SAME)
      return "the system's clock was set, or the machine slept, since the last process ended"
    const rate = this.rate()
    const sameRate =
      file.rate === null
        ? rate === undefined
        : rate !== undefined &&
          file.rate.tick === rate.tick &&
          Math.abs(file.rate.frequency - rate.frequency) < SAME_RATE
    if (!sameRate) return "another program changed the rate of the system's clock since the last process ended"
    if (file.slope !== 0 && !file.rests) return "the process before was ended while it steered the system's clock"
    if (file.root.leap === 1 || file.root.leap === 2) return "a leap second was near"
    if (file.at > frame.now) return "it is of a time to come"
    return frame.now - file.at > LONGEST_ABSENCE ? "the last process ended more than an hour ago" : undefined
  }
}
