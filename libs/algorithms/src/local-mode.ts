/**
 * What to serve when there is nothing to follow: the local clock, where the configuration says that it is good enough
 * (`server 127.127.1.0` with `fudge stratum`, or `local`), or orphan mode, in which islands of servers keep together by
 * following the one with the lowest number (`tos orphan`).
 */
import { MAXSTRAT } from "./parameters.ts"

export interface LocalOptions {
  /** Stratum of the local clock, or undefined when it must not be served. */
  readonly localStratum: number | undefined
  /** Stratum of orphans, or undefined when orphan mode is off. */
  readonly orphanStratum: number | undefined
  /** Seconds without a source after which orphan mode begins (`tos orphanwait`). */
  readonly orphanWait: number
}

export const noLocalMode: LocalOptions = { localStratum: undefined, orphanStratum: undefined, orphanWait: 300 }

export type LocalMode =
  | { readonly _tag: "None" }
  /** Serve our own clock at this stratum. */
  | { readonly _tag: "Local"; readonly stratum: number }
  /** Serve as the island's parent: nobody with a lower number is in sight. */
  | { readonly _tag: "OrphanParent"; readonly stratum: number }
  /** Follow this source although it is at the orphan stratum. */
  | { readonly _tag: "OrphanChild"; readonly parent: string; readonly stratum: number }

export interface OrphanPeer {
  readonly id: string
  readonly stratum: number
  /** What orphans are ordered by: a hash of the address, as the association computes it. */
  readonly number: number
}

/**
 * @param without seconds since there was last something to follow, from the start on
 * @param ourNumber our own number in the order of orphans
 * @param peers reachable sources at the orphan stratum
 */
export const localMode = (
  options: LocalOptions,
  without: number,
  ourNumber: number,
  peers: readonly OrphanPeer[]
): LocalMode => {
  const { localStratum, orphanStratum, orphanWait } = options
  if (orphanStratum !== undefined && orphanStratum < MAXSTRAT && without >= orphanWait) {
    const best = peers
      .filter((peer) => peer.stratum === orphanStratum && peer.number < ourNumber)
      .toSorted((a, b) => a.number - b.number)[0]
    return best === undefined
      ? { _tag: "OrphanParent", stratum: orphanStratum }
      : { _tag: "OrphanChild", parent: best.id, stratum: orphanStratum + 1 }
  }
  return localStratum === undefined || localStratum >= MAXSTRAT
    ? { _tag: "None" }
    : { _tag: "Local", stratum: localStratum }
}
