/** The proleptic Gregorian calendar on Unix days, as far as leap seconds need it. */

export const DAY_SECONDS = 86_400

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
