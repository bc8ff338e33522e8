/**
 * What to serve when there is nothing to follow: the local clock, where the configuration says that it is good enough
 * (`server 127.127.1.0` with `fudge stratum`, or `local`), or orphan mode (`tos orphan`), as the parent whom the others of
 * an island follow; see orphan.ts.
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

type LocalMode =
  | { readonly _tag: "None" }
  /** Serve our own clock at this stratum. */
  | { readonly _tag: "Local"; readonly stratum: number }
  /** Serve as the island's parent: there is no orphan to follow. */
  | { readonly _tag: "OrphanParent"; readonly stratum: number }

/** @param without seconds since there was last something to follow, from the start on */
export const localMode = (options: LocalOptions, without: number): LocalMode => {
  const { localStratum, orphanStratum, orphanWait } = options
  if (orphanStratum !== undefined && orphanStratum < MAXSTRAT && without >= orphanWait)
    return { _tag: "OrphanParent", stratum: orphanStratum }
  return localStratum === undefined || localStratum >= MAXSTRAT
    ? { _tag: "None" }
    : { _tag: "Local", stratum: localStratum }
}
