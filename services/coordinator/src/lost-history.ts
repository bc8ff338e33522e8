/**
 * A node that knows no key of the cluster does not lead over a log that has lost its own: it would begin the keys anew and shred
 * those of the others. They lay in again what they know; where nobody does so for a minute, it leads after all.
 */
import type { ClusterFold } from "./cluster-fold.ts"

/** Longer than the others take to notice and to lay in: see log-watch.ts and laying-in.ts. */
export const HISTORY_WAIT_MS = 60_000

/** How the log stands, and what tells of an earlier time. */
interface Traces {
  /** Version that the log has of the NTS keys; asked last. */
  readonly version: number
  /** First place of the log that may still hold something. */
  readonly beginsAt: number
  /** Slots in the key store that hold keys. */
  readonly storedKeys: number
}

/** A cluster's first leader writes a term into the log before it mints its first key, and keys are kept in it for ever. */
const isBeheaded = ({ version, beginsAt, storedKeys }: Traces): boolean =>
  version === 0 && (beginsAt > 1 || storedKeys > 0)

export class LostHistory {
  readonly #steady: () => number
  /** Until then others may lay it in; undefined as long as nobody has looked. */
  #until: number | undefined

  /** @param steady milliseconds of a clock that nobody steps */
  constructor(steady: () => number) {
    this.#steady = steady
  }

  /** How the log stands once it has been folded to its end: the first look counts. Returns whether it has lost its keys. */
  look(traces: Traces): boolean {
    const isLost = isBeheaded(traces)
    this.#until ??= isLost ? this.#steady() + HISTORY_WAIT_MS : Number.NEGATIVE_INFINITY
    return isLost
  }

  /** Whether leading is left to others: until it is known how the log stands, and while they may lay it in. */
  isAwaited({ nts }: ClusterFold): boolean {
    return nts.version === 0 && this.#steady() < (this.#until ?? Infinity)
  }
}

/** What a node says that waits. */
export const lostHistory = (beginsAt: number, storedKeys: number): string =>
  `the log begins at place ${beginsAt} and has no keys, and the key store has ${storedKeys}: it has lost what was in it. This node knows none of it, and for a minute leaves leading to those that do`
