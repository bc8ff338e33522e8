/**
 * The kernel's CLOCK_REALTIME as something to be steered: rate, steps, leap second, and what the kernel tells other
 * programs of the clock's quality. {@link kernelClock} works on any implementation of clock_adjtime(2): the kernel's, or
 * the simulated one in kernel-clock-simulated.ts. Reading needs no privilege; everything else needs CAP_SYS_TIME.
 */
import { errnoAdvice } from "@meridian/system/errno-words"
import {
  ESTIMATED_ERROR,
  FRACTION,
  FREQUENCY,
  FREQUENCY_LIMIT,
  FREQUENCY_UNITS,
  GREATEST_ERROR,
  GREATEST_TICK,
  LEAST_TICK,
  CONSTANT,
  MAX_ERROR,
  Mode,
  MODES,
  RECORD_FIELDS,
  SECONDS,
  STATE,
  Status,
  STATUS,
  TAI,
  TICK,
  TimeState
} from "./kernel-clock-record.ts"
import { errnoName, loadNative } from "@meridian/system/native"

/** A rate as the kernel holds it: the clock gains `(tick - 10000) / 10000 + frequency` seconds a second. */
export interface KernelRate {
  /** Seconds per second, a multiple of 2^-16 ppm, at most 500 ppm either way. */
  readonly frequency: number
  /** Microseconds, 9000 to 11000. */
  readonly tick: number
}

export type KernelLeap = "none" | "insert" | "delete"

export interface KernelClockState extends KernelRate {
  /** Whether the kernel tells other programs that the clock is synchronised. */
  readonly synchronised: boolean
  /** Whether the kernel's own loop is on: somebody else's doing, this program never uses it. */
  readonly ownLoop: boolean
  readonly leap: KernelLeap
  /** Where the kernel is with a leap second: nothing near, armed, in the inserted second, or past and not yet disarmed. */
  readonly leapState: "none" | "armed" | "in-progress" | "past"
  /** Seconds. */
  readonly maxError: number
  readonly estimatedError: number
  /** TAI minus UTC, seconds; 0 while nobody has said. */
  readonly taiOffset: number
}

/** What is to change; the rest stays. */
export interface KernelAdjustment {
  readonly rate?: KernelRate
  readonly status?: { readonly synchronised: boolean; readonly leap: KernelLeap }
  /** Seconds; over 16 are written as 16. */
  readonly maxError?: number
  readonly estimatedError?: number
  readonly taiOffset?: number
}

/** The kernel refused. `code` is the errno's name. */
export class KernelClockRefused extends Error {
  readonly _tag = "KernelClockRefused"
  readonly code: string

  constructor(what: string, code: string) {
    super(`${what}: ${errnoAdvice("system-clock", code)}`)
    this.code = code
  }
}

export interface KernelClock {
  readonly kind: "native" | "simulated"
  readonly read: () => KernelClockState
  /** All at once; returns what the kernel made of it. Throws {@link KernelClockRefused}. */
  readonly adjust: (adjustment: KernelAdjustment) => KernelClockState
  /** Adds seconds to CLOCK_REALTIME at once. Throws {@link KernelClockRefused}. */
  readonly step: (seconds: number) => void
  /**
   * Switches off the kernel's own loop and what another program left to be slewed, so that the rate is all there is.
   * Throws {@link KernelClockRefused}.
   */
  readonly takeOver: () => KernelClockState
}

/** One clock_adjtime(2): takes the record in, writes it back. Throws an Error whose `code` is an errno's name. */
type ClockAdjtime = (record: Float64Array) => void

const stateOf = (record: Float64Array): KernelClockState => {
  const status = record[STATUS]!
  const state = record[STATE]!
  return {
    frequency: record[FREQUENCY]! / FREQUENCY_UNITS,
    tick: record[TICK]!,
    synchronised: state !== TimeState.error,
    ownLoop: (status & Status.pll) !== 0,
    leap: (status & Status.insert) !== 0 ? "insert" : (status & Status.delete) !== 0 ? "delete" : "none",
    leapState:
      state === TimeState.leaping
        ? "in-progress"
        : state === TimeState.leapt
          ? "past"
          : state === TimeState.insert || state === TimeState.delete
            ? "armed"
            : "none",
    maxError: record[MAX_ERROR]! / 1e6,
    estimatedError: record[ESTIMATED_ERROR]! / 1e6,
    taiOffset: record[TAI]!
  }
}

const leapBits = { none: 0, insert: Status.insert, delete: Status.delete } as const

const within = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value))
const microseconds = (seconds: number): number => Math.ceil(1e6 * within(seconds, 0, GREATEST_ERROR))

/** Writes an adjustment into an empty record. */
const encode = (
  record: Float64Array,
  { rate, status, maxError, estimatedError, taiOffset }: KernelAdjustment
): void => {
  const set = (mode: number, field: number, value: number): void => {
    record[MODES]! |= mode
    record[field] = value
  }
  if (rate !== undefined) {
    const { frequency, tick } = rate
    set(Mode.frequency, FREQUENCY, Math.round(within(frequency, -FREQUENCY_LIMIT, FREQUENCY_LIMIT) * FREQUENCY_UNITS))
    set(Mode.tick, TICK, within(Math.round(tick), LEAST_TICK, GREATEST_TICK))
  }
  if (status !== undefined)
    set(Mode.status, STATUS, leapBits[status.leap] | (status.synchronised ? 0 : Status.unsynchronised))
  if (maxError !== undefined) set(Mode.maxError, MAX_ERROR, microseconds(maxError))
  if (estimatedError !== undefined) set(Mode.estimatedError, ESTIMATED_ERROR, microseconds(estimatedError))
  if (taiOffset !== undefined) set(Mode.tai, CONSTANT, taiOffset)
}

/** The clock that a clock_adjtime(2) works on. */
export const kernelClock = (kind: KernelClock["kind"], adjtime: ClockAdjtime): KernelClock => {
  const call = (what: string, fill: (record: Float64Array) => void): KernelClockState => {
    const record = new Float64Array(RECORD_FIELDS)
    fill(record)
    try {
      adjtime(record)
    } catch (error) {
      throw new KernelClockRefused(what, errnoName(error))
    }
    return stateOf(record)
  }
  const modes = (what: string, mode: number, status = 0): KernelClockState =>
    call(what, (record) => {
      record[MODES] = mode
      record[STATUS] = status
    })
  return {
    kind,
    read: () => call("the kernel's clock cannot be read", () => {}),
    adjust: (adjustment) => call("the kernel's clock cannot be steered", (record) => encode(record, adjustment)),
    step: (seconds) => {
      call(`CLOCK_REALTIME cannot be stepped by ${seconds} s`, (record) => {
        const whole = Math.floor(seconds)
        const nanoseconds = Math.round((seconds - whole) * 1e9)
        record[MODES] = Mode.setOffset | Mode.nano
        record[SECONDS] = nanoseconds === 1e9 ? whole + 1 : whole
        record[FRACTION] = nanoseconds === 1e9 ? 0 : nanoseconds
      })
    },
    takeOver: () => {
      const what = "the kernel's clock cannot be taken over"
      modes(what, Mode.singleShot)
      // The kernel takes an offset, zero too, only while its loop is on.
      modes(what, Mode.offset | Mode.status, Status.pll | Status.unsynchronised)
      return modes(what, Mode.status, Status.unsynchronised)
    }
  }
}

/** The machine's own; undefined without the addon. */
export const nativeKernelClock = (): KernelClock | undefined => {
  const { addon } = loadNative()
  return addon === undefined ? undefined : kernelClock("native", (record) => addon.clockAdjtime(record))
}
