/** What the system process thinks of each source, as named values with the figures behind them. */

/**
 * - `invalid`: a number of the source's is not finite or is negative where that is impossible
 * - `noselect`: configured to be watched only
 * - `unreachable`: the last eight polls had no answer (RFC 5905 A.5.5.3)
 * - `unsynchronised`: the source itself says that it has no time (leap 3)
 * - `stratum`: outside the strata that are wanted
 * - `loop`: the source follows us, or both of us follow the same server as one another
 * - `distance`: its root distance is over the limit
 * - `jitter`: its offsets scatter more than is allowed
 * - `falseticker`: outside the intersection of the majority, at odds with one of several majorities, or no majority was found
 * - `excess`: fit, but over the number of sources that take part (`tos maxclock`)
 * - `outlier`: dropped by clustering
 * - `backup`: survives, and is not used because a preferred source alone is followed
 * - `candidate`: survives, and its offset is combined
 * - `system-peer`: survives, and gives stratum, reference id, root delay and root dispersion
 */
export type Verdict =
  | "invalid"
  | "noselect"
  | "unreachable"
  | "unsynchronised"
  | "stratum"
  | "loop"
  | "distance"
  | "jitter"
  | "falseticker"
  | "excess"
  | "outlier"
  | "backup"
  | "candidate"
  | "system-peer"

const agreeing: ReadonlySet<Verdict> = new Set<Verdict>(["system-peer", "candidate", "backup", "outlier", "excess"])

/** Whether this is the verdict on a source that agrees with the majority, followed or not. */
export const agrees = (verdict: Verdict): boolean => agreeing.has(verdict)

export interface SourceVerdict {
  readonly id: string
  readonly verdict: Verdict
  /** One sentence for people, with the figures it was decided on. */
  readonly reason: string
}

/** Seconds for people: three significant digits in the unit that fits. */
export const formatSeconds = (seconds: number): string => {
  const size = Math.abs(seconds)
  if (!Number.isFinite(seconds)) return String(seconds)
  if (size >= 1) return `${seconds.toPrecision(4)} s`
  if (size >= 1e-3) return `${(seconds * 1e3).toPrecision(3)} ms`
  if (size >= 1e-6) return `${(seconds * 1e6).toPrecision(3)} µs`
  return `${(seconds * 1e9).toPrecision(3)} ns`
}
