/** Both clocks of the system as the parts of this service want them. */
import type { SystemClock } from "@meridian/clocks/system-clock"
import { NOW_MONOTONIC_SECONDS, NOW_REALTIME_NANOSECONDS, NOW_REALTIME_SECONDS } from "@meridian/clocks/system-clock"
import { fromUnix, type NtpTimestamp, shiftInPlace, type UnixTime } from "@meridian/time/timestamp"

/** One reading of both clocks. */
export interface Reading {
  /** CLOCK_REALTIME, whole Unix seconds and nanoseconds. */
  readonly seconds: number
  readonly nanoseconds: number
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: number
}

export type ReadClocks = () => Reading

export const readingsOf = (clock: Pick<SystemClock, "readClocks">): ReadClocks => {
  const now = new Float64Array(3)
  return () => {
    clock.readClocks(now)
    return {
      seconds: now[NOW_REALTIME_SECONDS]!,
      nanoseconds: now[NOW_REALTIME_NANOSECONDS]!,
      monotonic: now[NOW_MONOTONIC_SECONDS]!
    }
  }
}

/** Unix seconds with their fraction, good to a quarter of a microsecond. */
export const unixOf = ({ seconds, nanoseconds }: UnixTime): number => seconds + nanoseconds / 1e9

/** The NTP timestamp of a moment of CLOCK_REALTIME, corrected by a number of seconds. */
export const correctedStamp = (time: UnixTime, correction: number): NtpTimestamp => {
  const moved = { seconds: time.seconds, nanoseconds: time.nanoseconds }
  shiftInPlace(moved, correction)
  return fromUnix(moved)
}
