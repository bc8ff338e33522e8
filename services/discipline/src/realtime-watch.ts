/**
 * Watches CLOCK_REALTIME, by which the kernel stamps packets, from CLOCK_MONOTONIC, by which time is served: their difference
 * is constant, as both are slewed alike, so any change is a step of somebody else's. Or the machine slept, when CLOCK_MONOTONIC stood still: that is told apart by the
 * uptime, which counts sleep in.
 */
import { readFileSync } from "@meridian/system/files"
import type { UnixTime } from "@meridian/time/timestamp"
import type { ReadClocks } from "./clocks.ts"

/** Changes up to this are noise of reading two clocks one after the other, seconds. */
const NOISE = 100e-6
/** What changes no faster than this is no step. Seconds per second. */
const SLEW = 1e-4
/** A reading is the median of so many: a process put to sleep between two clocks must not look like a step. */
const READINGS = 5
/** Sleep shorter than this cannot be seen: the uptime is told in hundredths of a second. */
const LEAST_SLEEP = 0.1

export type RealtimeChange =
  | { readonly _tag: "Steady" }
  /** Positive seconds: forward. */
  | { readonly _tag: "Stepped"; readonly seconds: number }
  /** The same before the clock was ever served as good: whoever set it may have been asked to, so the page begins anew from there. */
  | { readonly _tag: "Reset"; readonly seconds: number }
  /** In kernel mode: the kernel carried out the leap second that it was told of. */
  | { readonly _tag: "Leapt"; readonly seconds: number }
  /** Nobody watched the clock meanwhile: nothing that was known of it counts any more. */
  | { readonly _tag: "Slept"; readonly seconds: number }

/** Seconds since boot, sleep included; NaN where the system does not tell. */
export const systemUptime = (): number => {
  try {
    return Number(readFileSync("/proc/uptime", "ascii").split(" ")[0])
  } catch {
    return NaN
  }
}

export class RealtimeWatch {
  private readonly read: ReadClocks
  private readonly uptime: () => number
  private origin: UnixTime
  /** What CLOCK_REALTIME has been stepped by since the origin, seconds, by the last look at it. */
  difference: number
  private checkedAt: number
  /** Seconds that the machine slept since it was started. */
  private slept: number

  /** @param origin Unix time at CLOCK_MONOTONIC 0 that differences are counted from */
  constructor(read: ReadClocks, origin: UnixTime, uptime: () => number = systemUptime) {
    this.read = read
    this.origin = origin
    this.uptime = uptime
    this.difference = this.measure()
    this.checkedAt = read().monotonic
    this.slept = uptime() - this.checkedAt
  }

  /** What happened to CLOCK_REALTIME since the last call. */
  check(): RealtimeChange {
    const difference = this.measure()
    const { monotonic } = this.read()
    const seconds = difference - this.difference
    const allowed = NOISE + SLEW * (monotonic - this.checkedAt)
    this.difference = difference
    this.checkedAt = monotonic
    if (Math.abs(seconds) <= allowed) return { _tag: "Steady" }
    const slept = this.uptime() - monotonic
    const sleep = slept - this.slept
    this.slept = slept
    return sleep > LEAST_SLEEP ? { _tag: "Slept", seconds: sleep } : { _tag: "Stepped", seconds }
  }

  /** What happened to CLOCK_REALTIME since the last call was our own doing. */
  rebase(): void {
    this.difference = this.measure()
  }

  /** Differences are counted from another origin from now on. */
  countFrom(origin: UnixTime): void {
    this.origin = origin
    this.rebase()
  }

  private measure(): number {
    const differences = Array.from({ length: READINGS }, () => {
      const { seconds, nanoseconds, monotonic } = this.read()
      // Whole seconds first: Unix time as one number is good to a quarter of a microsecond only.
      return seconds - this.origin.seconds - monotonic + (nanoseconds - this.origin.nanoseconds) / 1e9
    })
    return differences.sort((a, b) => a - b)[READINGS >> 1]!
  }
}
