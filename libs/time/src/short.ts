/** The NTP short format (RFC 5905 §6): 16 bits of seconds, 16 of fraction, for root delay and root dispersion. */

const UNITS_PER_SECOND = 2 ** 16

/** The largest value the format holds, just under 65 536 s. Larger inputs saturate to it. */
export const SHORT_MAX = 0xffffffff

/**
 * Seconds to NTP short, rounded up: an error bound that is rounded down would claim more than is known. Negative and NaN
 * give 0, anything over the range gives {@link SHORT_MAX}.
 */
export const secondsToShort = (seconds: number): number =>
  seconds > 0 ? Math.min(Math.ceil(seconds * UNITS_PER_SECOND), SHORT_MAX) : 0

/** NTP short (unsigned 32 bits) to seconds. */
export const shortToSeconds = (short: number): number => (short >>> 0) / UNITS_PER_SECOND
