/** How values stand in the text of control messages. */
import { fromUnix, type NtpTimestamp, unixSeconds } from "@meridian/time/timestamp"

/** Milliseconds of seconds, with so many decimals. */
export const milliseconds = (seconds: number, decimals = 3): string => fixed(seconds * 1e3, decimals)

/** -0.000 reads as 0.000, and what is no number as 0. */
export const fixed = (value: number, decimals: number): string => {
  const text = Number.isFinite(value) ? value.toFixed(decimals) : (0).toFixed(decimals)
  return /^-0\.?0*$/.test(text) ? text.slice(1) : text
}

export const whole = (value: number): string => String(Math.trunc(Number.isFinite(value) ? value : 0))

export const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`

/** 0xSSSSSSSS.FFFFFFFF of 16 hexadecimal digits. */
export const stampValue = (digits: string): string => `0x${digits.slice(0, 8)}.${digits.slice(8)}`

const ZERO = "0".repeat(16)

/** Unix seconds of 16 hexadecimal digits. @param now Unix seconds, from which the era is told */
export const unixOf = (digits: string, now: number): number => {
  const seconds = unixSeconds(Number.parseInt(digits.slice(0, 8), 16), Math.trunc(now))
  return seconds + Number.parseInt(digits.slice(8), 16) / 2 ** 32
}

/** The same of a moment; zeros for none. @param unix seconds */
export const momentValue = (unix: number | null): string => {
  if (unix === null) return stampValue(ZERO)
  const seconds = Math.floor(unix)
  const stamp: NtpTimestamp = fromUnix({ seconds, nanoseconds: Math.min(999_999_999, (unix - seconds) * 1e9) })
  return stampValue(stamp.toString(16).padStart(16, "0"))
}

/** As NTPsec has the dates of the leap second file: 2017-01-01T00:00Z. @param unix seconds */
export const minuteValue = (unix: number): string => `${new Date(unix * 1e3).toISOString().slice(0, 16)}Z`
