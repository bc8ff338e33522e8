/**
 * This node's snapshot: the fold as text, how far it goes, the latest time that was seen, and the last event folded into it.
 * By that event a log that has been replaced is told from the one that the snapshot is of.
 */
import * as Effect from "effect/Effect"
import type { AuthenticityState, EventLog, LogUnavailable, Snapshot } from "@meridian/event-log"
import { ClusterFold, keptAggregates, SNAPSHOT_FORMAT } from "./cluster-fold.ts"
import { eventThere, type LastEvent, lossesOf } from "./log-watch.ts"

export interface OwnSnapshot {
  /** The place up to which events are folded in. */
  readonly seq: number
  /** The latest time that it was for sure, milliseconds since 1970. */
  readonly seen: number
  readonly fold: ClusterFold
  /** Absent where nothing was folded, and in what an earlier release has saved. */
  readonly last: LastEvent | undefined
  /** When the log was made that it is of. Absent where the store does not tell, and in what an earlier release has saved. */
  readonly created?: string | undefined
  /** Absent in what an earlier release has saved. */
  readonly authenticity?: AuthenticityState | undefined
}

/** Terms beyond this leave no room for those to come: an older release could be made to fold one. */
const MOST_TERM = 2 ** 48

export const writeSnapshot = ({ seq, seen, fold, last, created, authenticity }: OwnSnapshot): Snapshot => ({
  seq,
  format: SNAPSHOT_FORMAT,
  state: JSON.stringify({ seen, fold: fold.toText(), last, created, authenticity })
})

/** What a snapshot holds, or why it cannot be used. */
export const readSnapshot = ({ seq, format, state }: Snapshot): OwnSnapshot | string => {
  if (format !== SNAPSHOT_FORMAT)
    return `the snapshot has format ${format}, this release knows ${SNAPSHOT_FORMAT}: it is not used, the log is folded from its start`
  try {
    const {
      seen,
      fold: text,
      last,
      created,
      authenticity
    } = JSON.parse(state) as {
      readonly seen: number
      readonly fold: string
      readonly last?: LastEvent
      readonly created?: string
      readonly authenticity?: AuthenticityState
    }
    const fold = ClusterFold.fromText(text)
    if (fold !== undefined && Math.max(fold.nts.term, fold.symmetric.term) > MOST_TERM)
      return "the snapshot has a term after which none can follow: it is not used, the log is folded from its start"
    if (fold !== undefined && Number.isFinite(seen)) return { seq, seen, fold, last, created, authenticity }
  } catch {
    // Said below.
  }
  return "the snapshot does not hold what this release expects: it is not used, the log is folded from its start"
}

/** A log that is not the one that a snapshot is of. */
interface Foreign {
  /** What shows it. */
  readonly why: string
  /** Subjects of which the snapshot knows more than the log holds; none where the log has all, if other, of it. */
  readonly lost: ReadonlyArray<string>
}

/** Why the snapshot cannot be of this log, undefined where it may be. What retention has dropped says nothing. */
export const foreignness = (
  log: EventLog["Service"],
  node: string,
  { seq, last, fold, created }: Pick<OwnSnapshot, "seq" | "last" | "fold" | "created">
): Effect.Effect<Foreign | undefined, LogUnavailable> =>
  Effect.gen(function* () {
    const status = yield* log.status
    const { lastSeq } = status
    const kept = new Set<string>(keptAggregates.map(({ subject }) => subject))
    const foreign = (why: string): Foreign => ({
      why,
      lost: [...lossesOf(status, { fold, node }).keys()].filter((subject) => kept.has(subject))
    })
    if (lastSeq < seq) return foreign(`the log ends at ${lastSeq}, before the ${seq} that this node knows`)
    if (last === undefined) return undefined
    const there = yield* eventThere(log, last)
    if (there === "other") return foreign(`the log has another event at ${last.seq} than the one that this node knows`)
    const isNew = created !== undefined && status.created !== undefined && created !== status.created
    return there === "gone" && isNew
      ? foreign(`the log was made at ${status.created}, and the one that this node knows at ${created}`)
      : undefined
  })
