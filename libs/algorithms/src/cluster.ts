/**
 * Clustering (RFC 5905 §11.2.2): among truechimers, the one that differs most from the rest is dropped, again and again,
 * while dropping it makes the ensemble better than its best member can be measured.
 */

export interface ClusterCandidate {
  /** Seconds. */
  readonly offset: number
  /** The peer's own jitter psi, seconds. */
  readonly jitter: number
  /** Root distance lambda, seconds. */
  readonly distance: number
  readonly stratum: number
  /** Kept whatever the statistics say: `prefer` and `true` of ntp.conf. */
  readonly keep: boolean
}

interface Outlier {
  readonly index: number
  /** Its distance from the others when it was dropped: selection jitter phi, seconds. */
  readonly selectionJitter: number
}

interface ClusterOutcome {
  /** Positions of the survivors in order of merit: lower stratum first, then least root distance. */
  readonly survivors: readonly number[]
  /** In the order in which they were dropped. */
  readonly outliers: readonly Outlier[]
}

/** Root mean square distance of one candidate from the others, seconds (RFC 5905 §11.2.2, phi). */
const selectionJitter = (of: ClusterCandidate, among: readonly ClusterCandidate[]): number =>
  among.length < 2
    ? 0
    : Math.sqrt(among.reduce((sum, other) => sum + (of.offset - other.offset) ** 2, 0) / (among.length - 1))

/**
 * @param maxdist the weight of one stratum against distance, seconds (MAXDIST)
 * @param minclock survivors at which dropping stops (NMIN)
 */
export const cluster = (candidates: readonly ClusterCandidate[], maxdist: number, minclock: number): ClusterOutcome => {
  const at = (index: number): ClusterCandidate => candidates[index] as ClusterCandidate
  const merit = (index: number): number => at(index).stratum * maxdist + at(index).distance
  let survivors = candidates
    .map((_, index) => index)
    .toSorted((a, b) => merit(a) - merit(b) || at(a).offset - at(b).offset)
  const outliers: Outlier[] = []
  while (survivors.length > Math.max(1, minclock)) {
    const members = survivors.map(at)
    const leastJitter = Math.min(...members.map((member) => member.jitter))
    let worst: Outlier | undefined
    for (const index of survivors) {
      const jitter = selectionJitter(at(index), members)
      // Of equals the one of less merit goes: `>=`, since survivors are in order of merit.
      if (worst === undefined || jitter >= worst.selectionJitter) worst = { index, selectionJitter: jitter }
    }
    if (worst === undefined || worst.selectionJitter <= leastJitter || at(worst.index).keep) break
    const dropped = worst.index
    outliers.push(worst)
    survivors = survivors.filter((index) => index !== dropped)
  }
  return { survivors, outliers }
}
