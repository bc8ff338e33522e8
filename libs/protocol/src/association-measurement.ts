/** From four timestamps to a sample, and the tests a header must pass before it may be one (RFC 5905 §8, §9.2). */
import { PHI } from "@meridian/time/clock-curve"
import { shortToSeconds } from "@meridian/time/short"
import { differenceSeconds, type NtpTimestamp } from "@meridian/time/timestamp"
import type { NtpHeader } from "@meridian/wire/ntp"
import { drop, type Drop, type DropReason, type Sample, type Unusable } from "./association-action.ts"

/** The greatest dispersion, seconds; RFC 5905 MAXDISP. */
const MAXIMUM_DISPERSION = 16
/** RFC 5905 MAXSTRAT: this and above is unsynchronised. */
const MAXIMUM_STRATUM = 16
/**
 * How far below zero a round trip may come out: two clocks may differ in rate by a thousandth during the exchange, and by
 * a little more where one was slewed. Beyond that a clock was stepped in between, or the timestamps are invented.
 */
const RATE_TOLERANCE = 1e-3

/** One exchange by the clocks of both sides; see RFC 5905 figure 16. */
export interface ExchangeTimes {
  readonly t1: NtpTimestamp
  readonly t2: NtpTimestamp
  readonly t3: NtpTimestamp
  readonly t4: NtpTimestamp
  /** CLOCK_MONOTONIC at T4, seconds. */
  readonly time: number
  readonly interleaved: boolean
}

/**
 * RFC 5905 tests 3, 6 and 7: why a header says nothing of use, or undefined.
 * @param isPast a symmetric peer's interleaved packet, of whose timestamps none is of now: both the transmit timestamp, of
 * the packet before, and the receive timestamp may be older than the peer's last update.
 */
export const headerFault = (header: NtpHeader, isPast = false): DropReason | undefined => {
  if (header.receive === 0n || header.transmit === 0n) return "zero-timestamp"
  if (header.leap === 3 || header.stratum === 0 || header.stratum >= MAXIMUM_STRATUM) return "unsynchronised"
  if (shortToSeconds(header.rootDelay) / 2 + shortToSeconds(header.rootDispersion) >= MAXIMUM_DISPERSION)
    return "root-distance"
  /** An interleaved reply's transmit timestamp is of the reply before; its receive timestamp is always fresh. */
  const isAfter = (stamp: NtpTimestamp): boolean => differenceSeconds(header.reference, stamp) > 0
  if (header.reference !== 0n && !isPast && isAfter(header.transmit) && isAfter(header.receive)) return "reference-time"
  return undefined
}

/** What a header without usable time says of its source. */
export const unusable = ({ leap, stratum, rootDelay, rootDispersion }: NtpHeader): Unusable => ({
  _tag: "Unusable",
  leap,
  stratum: stratum === 0 ? MAXIMUM_STRATUM : stratum,
  rootDelay: shortToSeconds(rootDelay),
  rootDispersion: shortToSeconds(rootDispersion)
})

/**
 * The sample, or why the timestamps cannot be of one exchange.
 * @param header of the reply that told T3, for what it says of the source
 * @param precision of our clock, log2 seconds
 */
export const measureExchange = (times: ExchangeTimes, header: NtpHeader, precision: number): Sample | Drop => {
  const { t1, t2, t3, t4 } = times
  const away = differenceSeconds(t4, t1)
  const held = differenceSeconds(t3, t2)
  if (held < 0) return drop("server-timestamps")
  if (away < 0) return drop("local-timestamps")
  if (away - held < -RATE_TOLERANCE * (1 + away)) return drop("negative-delay")
  return {
    _tag: "Sample",
    ...times,
    offset: halfSum(t2 - t1, t3 - t4),
    delay: Math.max(away - held, 2 ** precision),
    dispersion: 2 ** header.precision + 2 ** precision + PHI * away,
    ...saidOf(header)
  }
}

/** What a header says of its sender, as samples have it. */
export const saidOf = (header: NtpHeader) => ({
  precision: header.precision,
  rootDelay: shortToSeconds(header.rootDelay),
  rootDispersion: shortToSeconds(header.rootDispersion),
  stratum: header.stratum,
  leap: header.leap,
  referenceId: header.referenceId,
  referenceTime: header.reference,
  poll: header.poll
})

/** Half the sum of two differences of timestamps, seconds: summed exactly, for offsets may be large and delays small. */
const halfSum = (a: bigint, b: bigint): number => Number(BigInt.asIntN(64, a) + BigInt.asIntN(64, b)) / 2 ** 33
