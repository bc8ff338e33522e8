/** The few statistics that the bench needs. Every function takes at least one value and says so when it gets none. */

/** A figure measured several times: the median and how far the others lie from it. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

const sorted = (values: readonly number[]): readonly number[] => {
  if (values.length === 0) throw new RangeError("expected at least one measurement, found none")
  return values.toSorted((a, b) => a - b)
}

/** The middle value; the mean of the two middle ones when there is an even number. */
export const median = (values: readonly number[]): number => {
  const ordered = sorted(values)
  const middle = ordered.length >> 1
  const upper = ordered[middle] as number
  return ordered.length % 2 === 1 ? upper : ((ordered[middle - 1] as number) + upper) / 2
}

/** Median, smallest and largest. */
export const summary = (values: readonly number[]): Summary => {
  const ordered = sorted(values)
  return { median: median(ordered), min: ordered[0] as number, max: ordered[ordered.length - 1] as number }
}

/**
 * How many times `b` each `a` is, taken round by round and then summarised. A round's two values were measured seconds
 * apart, so what slowed the machine for a while slows both and leaves the ratio alone.
 */
export const pairedRatio = (a: readonly number[], b: readonly number[]): Summary => {
  if (a.length !== b.length) {
    throw new RangeError(`expected as many values on both sides, found ${a.length} and ${b.length}`)
  }
  return summary(a.map((value, round) => value / (b[round] as number)))
}

/**
 * The sum of all steps upwards in a series of heap sizes: what was certainly allocated while it was watched, whatever the
 * collector freed meanwhile.
 */
export const sumOfIncreases = (series: readonly number[]): number =>
  series.reduce((sum, value, i) => sum + (i === 0 ? 0 : Math.max(0, value - (series[i - 1] as number))), 0)

/** The median of the last quarter of a series less that of its first quarter (at least one value each). */
export const growth = (series: readonly number[]): number => {
  const quarter = Math.max(1, series.length >> 2)
  return median(series.slice(-quarter)) - median(series.slice(0, quarter))
}
