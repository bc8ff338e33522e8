/** How long to wait before what failed is tried again: the first time a little, then twice as long each time, up to a bound. */
interface Backoff {
  readonly first: number
  readonly longest: number
}

/** The wait after so many failures in a row (1 for the first), in the unit of the bounds. */
export const backoff = ({ first, longest }: Backoff, failures: number): number =>
  Math.min(longest, first * 2 ** Math.min(20, Math.max(0, failures - 1)))
