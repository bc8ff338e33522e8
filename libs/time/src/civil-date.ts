/** The proleptic Gregorian calendar on Unix days, as far as leap seconds and certificates need it. */

const DAY_SECONDS = 86_400

/** Days from 1970-01-01 to the first of a month (1 … 12; 13 is January of the next year). */
export const daysToMonth = (year: number, month: number): number => {
  const years = year + Math.floor((month - 1) / 12)
  const position = (month - 1) % 12
  // Years are counted from March, so that the leap day is the last of its year.
  const shifted = position < 2 ? years - 1 : years
  const fromMarch = (position + 10) % 12
  const days = Math.floor((153 * fromMarch + 2) / 5)
  return (
    365 * shifted + Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400) + days - 719_468
  )
}

/** Unix seconds at which the UTC month after the one that holds `unixSeconds` begins. */
export const nextMonth = (unixSeconds: number): number => {
  const day = Math.floor(unixSeconds / DAY_SECONDS)
  let year = 1970 + Math.floor(day / 365.2425)
  if (daysToMonth(year, 1) > day) year -= 1
  if (daysToMonth(year + 1, 1) <= day) year += 1
  let month = 1
  while (daysToMonth(year, month + 1) <= day) month += 1
  return daysToMonth(year, month + 1) * DAY_SECONDS
}

/** A UTC date and time, month and day from 1. */
interface CivilTime {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

/** The UTC date and time of a Unix second. */
export const civilTime = (unixSeconds: number): CivilTime => {
  const days = Math.floor(unixSeconds / DAY_SECONDS)
  const seconds = unixSeconds - days * DAY_SECONDS
  let year = 1970 + Math.floor(days / 365.2425)
  if (daysToMonth(year, 1) > days) year -= 1
  if (daysToMonth(year + 1, 1) <= days) year += 1
  let month = 1
  while (daysToMonth(year, month + 1) <= days) month += 1
  return {
    year,
    month,
    day: days - daysToMonth(year, month) + 1,
    hour: Math.floor(seconds / 3_600),
    minute: Math.floor(seconds / 60) % 60,
    second: Math.floor(seconds) % 60
  }
}

/** The Unix second of a UTC date and time; undefined when there is no such date. A second of 60 is the next minute's first. */
export const unixSecondsOf = ({ year, month, day, hour, minute, second }: CivilTime): number | undefined => {
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60) return undefined
  const first = daysToMonth(year, month)
  if (day > daysToMonth(year, month + 1) - first) return undefined
  return (first + day - 1) * DAY_SECONDS + hour * 3_600 + minute * 60 + second
}
