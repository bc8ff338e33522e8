/**
 * Orphan mode (`tos orphan`): servers of an island that have nobody to follow keep together by following one of them. All
 * must come to the same choice without asking each other, so they order themselves by address, as ntpd does: an orphan
 * follows the lowest of those below itself, and who finds none below is the parent.
 */

/** Addresses as reference ids: IPv4 as it is, the first 32 bits of an IPv6 address's MD5. */
export interface OrphanRank {
  readonly theirs: number
  /** Ours, towards them. */
  readonly ours: number
}

/** The one to follow, or undefined where we are the parent ourselves. Orphans of unknown rank are not followed. */
export const orphanParent = <A extends { readonly source: { readonly rank?: OrphanRank } }>(
  orphans: readonly A[]
): A | undefined =>
  orphans
    .flatMap((orphan) => {
      const { rank } = orphan.source
      return rank === undefined || rank.theirs >= rank.ours ? [] : [{ orphan, number: rank.theirs }]
    })
    .toSorted((a, b) => a.number - b.number)[0]?.orphan
