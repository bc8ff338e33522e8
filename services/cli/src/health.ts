/** How good a clock is said to be, and whether that is good enough: what `query` and `status` end with. */
import type { CheckLimits } from "@meridian/config/check-limits"

/** It answered, but its time is not good: unsynchronised, or beyond a limit of `--check`. */
export const NOT_GOOD = 3

export interface Health {
  readonly synchronised: boolean
  readonly stratum: number
  /** Seconds; undefined: not known. */
  readonly offset: number | undefined
  readonly rootDistance: number
  /** Unix seconds until which the certificate is valid; undefined: none was seen. */
  readonly certificateUntil: number | undefined
}

const SECONDS_OF_A_DAY = 86_400

/** What is not as it should be, a sentence each; empty where all is well. Without synchronisation nothing else is known. */
export const healthProblems = (health: Health, limits: CheckLimits, unixSeconds: number): readonly string[] => {
  if (!health.synchronised) return ["not synchronised"]
  const { offset, rootDistance, stratum, certificateUntil } = health
  const days = certificateUntil === undefined ? undefined : (certificateUntil - unixSeconds) / SECONDS_OF_A_DAY
  return [
    ...above("offset", offset === undefined ? undefined : Math.abs(offset), limits.offset, " s"),
    ...above("root distance", rootDistance, limits["root-distance"], " s"),
    ...above("stratum", stratum, limits.stratum, ""),
    ...below("certificate", days, limits["certificate-days"])
  ]
}

const above = (what: string, value: number | undefined, most: number | undefined, unit: string): readonly string[] => {
  if (most === undefined) return []
  if (value === undefined) return [`${what} is not known, at most ${most}${unit} was asked for`]
  return value <= most ? [] : [`${what} ${short(value)}${unit}, at most ${most}${unit} was asked for`]
}

const below = (what: string, days: number | undefined, least: number | undefined): readonly string[] => {
  if (least === undefined) return []
  if (days === undefined) return [`no ${what} was seen, one valid for ${least} days was asked for`]
  const left = days < 0 ? "has expired" : `is valid for ${Math.floor(days)} days`
  return days >= least ? [] : [`${what} ${left}, at least ${least} were asked for`]
}

const short = (value: number): string => String(Number(value.toPrecision(3)))
