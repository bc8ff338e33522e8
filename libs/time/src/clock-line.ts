/**
 * The line on the clock page: served time over CLOCK_MONOTONIC, in integers. {@link LINE_FIELDS} is its one description: how
 * it is written, read and judged follows from it. libs/clocks/native/clock-page.h is the same for C and BPF, and what is
 * computed here gives the same bits.
 *
 * Times are counted in units of 2^-32 s since 1900, which are NTP timestamps with the era kept; rates in 2^-64.
 */
import { type ClockCurve, Leap, STRATUM_UNSYNCHRONISED } from "./clock-curve.ts"
import { fractionNanoseconds, NTP_UNIX_OFFSET_SECONDS, type UnixTime } from "./timestamp.ts"

interface Field {
  readonly at: number
  readonly kind: "u32" | "u64" | "i64"
  /** What it may be; anything its kind can hold unless told. */
  readonly least?: number
  readonly most?: number
}

const field = <Kind extends Field["kind"]>(at: number, kind: Kind, limits: { least?: number; most?: number } = {}) => ({
  at,
  kind,
  ...limits
})

/** "MC" 2; zero stands on a page that was never written. */
export const LINE_LAYOUT = 0x4d430002

/** Little-endian, at these bytes of the line. */
export const LINE_FIELDS = {
  layout: field(0, "u32", { least: LINE_LAYOUT, most: LINE_LAYOUT }),
  leap: field(4, "u32", { most: 3 }),
  /** 1 … 15, or 16 when unsynchronised. */
  stratum: field(8, "u32", { least: 1, most: STRATUM_UNSYNCHRONISED }),
  referenceId: field(12, "u32"),
  /** CLOCK_MONOTONIC at base, ns. */
  baseMonotonic: field(16, "u64"),
  /** Served time at base: seconds since 1900, and 2^-32 s. */
  baseSeconds: field(24, "u64"),
  baseFraction: field(32, "u32"),
  referenceFraction: field(36, "u32"),
  /** When the clock was last set or corrected, since 1900; 0 and 0: never. */
  referenceSeconds: field(40, "u64"),
  /** 2^-64: what a second of CLOCK_MONOTONIC is more than a second. */
  rate: field(48, "i64"),
  /** 2^-32 s */
  rootDelay: field(56, "u64"),
  /** 2^-32 s, at base */
  rootDispersion: field(64, "u64"),
  /** 2^-64 seconds per second by which it grows. */
  dispersionRate: field(72, "u64"),
  /** CLOCK_MONOTONIC past which nothing here is good time, ns; 0: it never was. */
  deadline: field(80, "u64"),
  /** Unix time at CLOCK_MONOTONIC 0 as it was when the page was made: from it the writers count their offsets. */
  originSeconds: field(88, "i64"),
  originNanoseconds: field(96, "u32", { most: 999_999_999 })
} as const

export const LINE_BYTES = 104

type Fields = typeof LINE_FIELDS
export type ClockLine = { -readonly [Name in keyof Fields]: Fields[Name]["kind"] extends "u32" ? number : bigint }

const NAMES = Object.keys(LINE_FIELDS) as (keyof Fields)[]

/** Writes a line into the bytes of a page. */
export const encodeLine = (view: DataView, line: ClockLine): void => {
  for (const name of NAMES) {
    const { at, kind } = LINE_FIELDS[name]
    if (kind === "u32") view.setUint32(at, Number(line[name]), true)
    else view.setBigInt64(at, BigInt(line[name]), true)
  }
}

/** The line that stands there, or undefined where its numbers cannot be one. */
export const decodeLine = (view: DataView): ClockLine | undefined => {
  const line: Record<string, number | bigint> = {}
  for (const name of NAMES) {
    const { at, kind, least, most }: Field = LINE_FIELDS[name]
    const value =
      kind === "u32"
        ? view.getUint32(at, true)
        : kind === "u64"
          ? view.getBigUint64(at, true)
          : view.getBigInt64(at, true)
    if ((least !== undefined && value < least) || (most !== undefined && value > most)) return undefined
    line[name] = value
  }
  return line as ClockLine
}

const NANOSECONDS = 1_000_000_000n
const SHORT_UNITS = 16n
const LOW = 0xffff_ffffn
const GREATEST = 2n ** 64n - 1n

/** Nanoseconds as units of 2^-32 s, rounded down. */
const unitsOf = (nanoseconds: bigint): bigint => (nanoseconds << 32n) / NANOSECONDS

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value)

/** Served time at a reading of CLOCK_MONOTONIC (ns): units of 2^-32 s since 1900. */
export const lineAt = (line: ClockLine, monotonic: bigint): bigint => {
  const elapsed = monotonic - line.baseMonotonic
  const units = unitsOf(magnitude(elapsed))
  const bend = (units * magnitude(line.rate)) >> 64n
  const passed = line.rate < 0n ? units - bend : units + bend
  return (line.baseSeconds << 32n) + BigInt(line.baseFraction) + (elapsed < 0n ? -passed : passed)
}

/** Whether time may be served as good at a reading of CLOCK_MONOTONIC (ns). */
export const isLineGood = (line: ClockLine, monotonic: bigint): boolean =>
  monotonic <= line.deadline && line.leap !== Leap.unsynchronised && line.stratum < STRATUM_UNSYNCHRONISED

/** Places of a {@link ServedMoment}. */
export const SERVED = {
  /** 3 when not synchronised */
  leap: 0,
  /** As on the wire: 0 when not synchronised */
  stratum: 1,
  referenceId: 2,
  /** NTP short */
  rootDelay: 3,
  rootDispersion: 4,
  /** NTP timestamps */
  referenceSeconds: 5,
  referenceFraction: 6,
  seconds: 7,
  fraction: 8,
  /** 0 or 1 */
  synchronised: 9
} as const

/** What a reply says at a moment, each number as it stands in the header (RFC 5905 §7.3). Ten numbers; see {@link SERVED}. */
export type ServedMoment = Uint32Array

export const SERVED_NUMBERS = 10

/** The kiss code of a server that has no time to give (RFC 5905 §7.4): INIT. */
const REFERENCE_INIT = 0x494e4954

/** Units of 2^-32 s as an NTP short, rounded up: an error bound that is rounded down would claim more than is known. */
const shortOf = (units: bigint): number => {
  const short = (units + 0xffffn) >> SHORT_UNITS
  return Number(short > LOW ? LOW : short)
}

/** Evaluates the line at a reading of CLOCK_MONOTONIC (ns). */
export const serveLine = (line: ClockLine, monotonic: bigint, out: ServedMoment): void => {
  const isGood = isLineGood(line, monotonic)
  const age = monotonic > line.baseMonotonic ? unitsOf(monotonic - line.baseMonotonic) : 0n
  const dispersion = line.rootDispersion + ((age * line.dispersionRate) >> 64n)
  const time = lineAt(line, monotonic)
  out[SERVED.leap] = isGood ? line.leap : Leap.unsynchronised
  out[SERVED.stratum] = isGood ? line.stratum : 0
  out[SERVED.referenceId] = isGood ? line.referenceId : REFERENCE_INIT
  out[SERVED.rootDelay] = shortOf(line.rootDelay)
  out[SERVED.rootDispersion] = shortOf(dispersion)
  out[SERVED.referenceSeconds] = Number(line.referenceSeconds & LOW)
  out[SERVED.referenceFraction] = line.referenceFraction
  out[SERVED.seconds] = Number((time >> 32n) & LOW)
  out[SERVED.fraction] = Number(time & LOW)
  out[SERVED.synchronised] = isGood ? 1 : 0
}

/** Whole Unix seconds of a time in units of 2^-32 s since 1900. */
export const unixSecondsOf = (units: bigint): number => Number(units >> 32n) - NTP_UNIX_OFFSET_SECONDS

/** Nanoseconds of CLOCK_MONOTONIC, of a reading in seconds. */
export const monotonicNanoseconds = (seconds: number): bigint => BigInt(Math.round(seconds * 1e9))

/** The curve's own clock at a moment of CLOCK_MONOTONIC: Unix time as it would be had it only run on since the origin. */
export const timeSinceOrigin = (origin: UnixTime, monotonic: number): UnixTime => {
  const whole = Math.floor(monotonic)
  const nanoseconds = origin.nanoseconds + Math.round((monotonic - whole) * 1e9)
  const carry = Math.floor(nanoseconds / 1e9)
  return { seconds: origin.seconds + whole + carry, nanoseconds: nanoseconds - carry * 1e9 }
}

/** Unix time at CLOCK_MONOTONIC 0, by readings of CLOCK_REALTIME and CLOCK_MONOTONIC (seconds) of one moment. */
export const originOf = (realtime: UnixTime, monotonic: number): UnixTime => {
  const whole = Math.floor(monotonic)
  const nanoseconds = realtime.nanoseconds - Math.round((monotonic - whole) * 1e9)
  const borrow = nanoseconds < 0 ? 1 : 0
  return { seconds: realtime.seconds - whole - borrow, nanoseconds: nanoseconds + borrow * 1e9 }
}

const NTP_EPOCH = BigInt(NTP_UNIX_OFFSET_SECONDS)

const originUnits = (originSeconds: bigint, originNanoseconds: bigint, monotonic: bigint): bigint =>
  ((NTP_EPOCH + originSeconds) << 32n) + unitsOf(originNanoseconds + monotonic)

/** A rate or a length as an integer of 2^-bits; what does not fit is as great as can be. */
const rounded = (value: number, bits: 32 | 64, round: (value: number) => number): bigint => {
  const scaled = round(value * 2 ** bits)
  return scaled < 2 ** 63 ? BigInt(scaled) : GREATEST >> 1n
}

/** The line of a curve whose offset is counted from the page's origin (see {@link timeSinceOrigin}). */
export const lineOf = (curve: ClockCurve, origin: UnixTime): ClockLine => {
  const baseMonotonic = monotonicNanoseconds(curve.baseMonotonic)
  const originSeconds = BigInt(origin.seconds)
  const base =
    originUnits(originSeconds, BigInt(origin.nanoseconds), baseMonotonic) + rounded(curve.offset, 32, Math.round)
  const wasNeverSet = curve.referenceSeconds === 0 && curve.referenceNanoseconds === 0
  return {
    layout: LINE_LAYOUT,
    leap: curve.leap,
    stratum: curve.stratum,
    referenceId: curve.referenceId,
    baseMonotonic,
    baseSeconds: base >> 32n,
    baseFraction: Number(base & LOW),
    referenceSeconds: wasNeverSet ? 0n : NTP_EPOCH + BigInt(curve.referenceSeconds),
    referenceFraction: Number(unitsOf(BigInt(curve.referenceNanoseconds))),
    rate: rounded(curve.frequency, 64, Math.round),
    rootDelay: rounded(curve.rootDelay, 32, Math.ceil),
    rootDispersion: rounded(curve.rootDispersion, 32, Math.ceil),
    dispersionRate: rounded(curve.dispersionRate, 64, Math.ceil),
    deadline: curve.deadline > 0 ? rounded(Math.min(curve.deadline * 1e9, 2 ** 63) / 2 ** 32, 32, Math.floor) : 0n,
    originSeconds,
    originNanoseconds: origin.nanoseconds
  }
}

/** Reads a line back into a curve, in place. */
export const curveOf = (line: ClockLine, curve: ClockCurve): void => {
  const { baseMonotonic, originSeconds, originNanoseconds } = line
  const base = (line.baseSeconds << 32n) + BigInt(line.baseFraction)
  const monotonic = Number(baseMonotonic) / 1e9
  const start = timeSinceOrigin({ seconds: Number(originSeconds), nanoseconds: originNanoseconds }, monotonic)
  curve.baseSeconds = start.seconds
  curve.baseNanoseconds = start.nanoseconds
  curve.baseMonotonic = monotonic
  curve.offset = Number(base - originUnits(originSeconds, BigInt(originNanoseconds), baseMonotonic)) / 2 ** 32
  curve.frequency = Number(line.rate) / 2 ** 64
  curve.leap = line.leap as Leap
  curve.stratum = line.stratum
  curve.referenceId = line.referenceId
  curve.referenceSeconds = line.referenceSeconds === 0n ? 0 : Number(line.referenceSeconds - NTP_EPOCH)
  curve.referenceNanoseconds = fractionNanoseconds(line.referenceFraction)
  curve.rootDelay = Number(line.rootDelay) / 2 ** 32
  curve.rootDispersion = Number(line.rootDispersion) / 2 ** 32
  curve.dispersionRate = Number(line.dispersionRate) / 2 ** 64
  curve.deadline = line.deadline === 0n ? -Infinity : Number(line.deadline) / 1e9
}
