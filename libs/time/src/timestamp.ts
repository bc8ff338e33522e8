/**
 * NTP timestamps (RFC 5905 §6): 32 bits of seconds and 32 bits of fraction. The seconds count from 1900-01-01 and wrap
 * every 136 years; each turn is an era. Era 0 ends on 2036-02-07T06:28:16Z, era 1 on 2172-03-15.
 *
 * Two shapes are used. The packet path works on plain numbers (Unix seconds and nanoseconds, both exact in a double) and
 * allocates nothing. Everything else may use {@link NtpTimestamp}, a 64-bit bigint.
 */

/** Seconds from the NTP epoch (1900) to the Unix epoch (1970), RFC 5905 §6. */
export const NTP_UNIX_OFFSET_SECONDS = 2_208_988_800

const FRACTIONS_PER_NANOSECOND = 2 ** 32 / 1e9
const NANOSECONDS_PER_SECOND = 1e9

/** A moment of UTC: whole seconds since 1970 (may be negative) and nanoseconds in 0 … 999 999 999. */
export interface UnixTime {
  seconds: number
  nanoseconds: number
}

/** The 64-bit value as it stands on the wire: seconds of the era in the high half, 2^-32 s in the low half. */
export type NtpTimestamp = bigint & { readonly NtpTimestamp: unique symbol }

/** The era's seconds (0 … 2^32-1) that a Unix second is written as. The era itself is not on the wire. */
export const ntpSeconds = (unixSeconds: number): number => (unixSeconds + NTP_UNIX_OFFSET_SECONDS) >>> 0

/** The 32-bit fraction for nanoseconds in 0 … 999 999 999, rounded to nearest and never carrying into the seconds. */
export const ntpFraction = (nanoseconds: number): number =>
  Math.min(Math.round(nanoseconds * FRACTIONS_PER_NANOSECOND), 0xffffffff) >>> 0

/** Nanoseconds (0 … 999 999 999) of a 32-bit fraction, rounded to nearest. */
export const fractionNanoseconds = (fraction: number): number =>
  Math.min(Math.round(fraction / FRACTIONS_PER_NANOSECOND), NANOSECONDS_PER_SECOND - 1)

/**
 * The Unix second that 32 bits of NTP seconds mean, in whichever era lies nearest to `pivotUnixSeconds` (within 68 years
 * of it). The pivot is the reader's own idea of now, so 2036 and 2104 need no special case; the sign of the field is
 * never consulted.
 */
export const unixSeconds = (eraSeconds: number, pivotUnixSeconds: number): number => {
  const pivotNtp = pivotUnixSeconds + NTP_UNIX_OFFSET_SECONDS
  const distance = (eraSeconds - pivotNtp) | 0
  return pivotUnixSeconds + distance
}

/** Joins the two 32-bit halves. */
export const ntpTimestamp = (seconds: number, fraction: number): NtpTimestamp =>
  ((BigInt(seconds >>> 0) << 32n) | BigInt(fraction >>> 0)) as NtpTimestamp

/** The timestamp of a moment of UTC; the era is dropped. */
export const fromUnix = (time: UnixTime): NtpTimestamp =>
  ntpTimestamp(ntpSeconds(time.seconds), ntpFraction(time.nanoseconds))

/** `a - b` in seconds, right for any two timestamps less than 68 years apart whatever their eras (RFC 5905 §6). */
export const differenceSeconds = (a: NtpTimestamp, b: NtpTimestamp): number =>
  Number(BigInt.asIntN(64, a - b)) / 2 ** 32

/** `a - b` in seconds. Exact to a nanosecond for moments less than 104 days apart. */
export const unixDifferenceSeconds = (a: UnixTime, b: UnixTime): number =>
  a.seconds - b.seconds + (a.nanoseconds - b.nanoseconds) / NANOSECONDS_PER_SECOND

/** Moves `time` by a number of seconds, in place, keeping nanoseconds in range. Allocates nothing. */
export const shiftInPlace = (time: UnixTime, seconds: number): void => {
  const whole = Math.floor(seconds)
  const nanoseconds = time.nanoseconds + Math.round((seconds - whole) * NANOSECONDS_PER_SECOND)
  const carry = nanoseconds >= NANOSECONDS_PER_SECOND ? 1 : 0
  time.seconds += whole + carry
  time.nanoseconds = nanoseconds - carry * NANOSECONDS_PER_SECOND
}

/** Longest time by which a stamp is moved on; clocks that seem further apart are not believed. */
const LONGEST_HELD_SECONDS = 1

/**
 * Moves a transmit timestamp on by the time that the reply was held, so that it says when it left or was sealed. One that is 0
 * says that there is no time to tell, and stays 0; so does any when the readings are not in order and within a second.
 * @param packets holds the 64-bit timestamp at offset `at`
 * @param stampedAt CLOCK_MONOTONIC, seconds, of the reading that the timestamp was made of
 * @param now the same clock, seconds
 */
export const moveTimestamp = (packets: DataView, at: number, stampedAt: number, now: number): void => {
  const held = now - stampedAt
  const timestamp = packets.getBigUint64(at)
  if (timestamp === 0n || !(held > 0 && held < LONGEST_HELD_SECONDS)) return
  packets.setBigUint64(at, timestamp + BigInt(Math.floor(held * 2 ** 32)))
}
