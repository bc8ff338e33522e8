/**
 * What a reference clock's program leaves in a shared memory segment (struct shmTime of ntpd's driver 28), as numbers. The
 * times stand there in microseconds; newer writers add nanoseconds, which count where they agree with the microseconds.
 */
import type { UnixTime } from "@meridian/time/timestamp"

/** The fields as they stand, each a whole number. */
export interface ShmTime {
  /** 0: values stand while `valid` is set. 1: the writer counts `count` up before and after writing. */
  readonly mode: number
  readonly count: number
  /** True time, by the clock. */
  readonly clockSeconds: number
  readonly clockMicroseconds: number
  readonly clockNanoseconds: number
  /** CLOCK_REALTIME at that instant. */
  readonly receiveSeconds: number
  readonly receiveMicroseconds: number
  readonly receiveNanoseconds: number
  /** 0 … 3 as in an NTP header. */
  readonly leap: number
  /** log2 seconds */
  readonly precision: number
  /** Not used by any reader. */
  readonly samples: number
}

/** Why the fields are not two times. */
type ShmTimeProblem = "mode" | "microseconds" | "nanoseconds"

const MICROSECONDS = 1_000_000
const NANOSECONDS = 1_000_000_000

/** Whether nanoseconds only add digits to the microseconds. */
const refines = (nanoseconds: number, microseconds: number): boolean =>
  nanoseconds >= microseconds * 1_000 && nanoseconds < (microseconds + 1) * 1_000

/** The two times. Nanoseconds are taken when both fields refine their microseconds: old writers leave them 0. */
export const shmTimes = (time: ShmTime): { readonly clock: UnixTime; readonly receive: UnixTime } | ShmTimeProblem => {
  const { clockMicroseconds, clockNanoseconds, receiveMicroseconds, receiveNanoseconds } = time
  if (time.mode !== 0 && time.mode !== 1) return "mode"
  if (![clockMicroseconds, receiveMicroseconds].every((part) => part >= 0 && part < MICROSECONDS)) return "microseconds"
  if (![clockNanoseconds, receiveNanoseconds].every((part) => part >= 0 && part < NANOSECONDS)) return "nanoseconds"
  const fine = refines(clockNanoseconds, clockMicroseconds) && refines(receiveNanoseconds, receiveMicroseconds)
  return {
    clock: { seconds: time.clockSeconds, nanoseconds: fine ? clockNanoseconds : clockMicroseconds * 1_000 },
    receive: { seconds: time.receiveSeconds, nanoseconds: fine ? receiveNanoseconds : receiveMicroseconds * 1_000 }
  }
}
