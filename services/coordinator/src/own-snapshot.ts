/**
 * This node's snapshot: the fold as text, how far it goes, the latest time that was seen, and the last event folded into it.
 * By that event a log that has been replaced is told from the one that the snapshot is of.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { EventLog, LogUnavailable, Snapshot } from "@meridian/event-log/event-log"
import { ClusterFold, SNAPSHOT_FORMAT } from "./cluster-fold.ts"

/** An event and its place. */
export interface LastEvent {
  readonly seq: number
  readonly id: string
}

export interface OwnSnapshot {
  /** The place up to which events are folded in. */
  readonly seq: number
  /** The latest time that it was for sure, milliseconds since 1970. */
  readonly seen: number
  readonly fold: ClusterFold
  /** Absent where nothing was folded, and in what an earlier release has saved. */
  readonly last: LastEvent | undefined
}

export const writeSnapshot = ({ seq, seen, fold, last }: OwnSnapshot): Snapshot => ({
  seq,
  format: SNAPSHOT_FORMAT,
  state: JSON.stringify({ seen, fold: fold.toText(), ...(last === undefined ? {} : { last }) })
})

/** What a snapshot holds, or why it cannot be used. */
export const readSnapshot = ({ seq, format, state }: Snapshot): OwnSnapshot | string => {
  if (format !== SNAPSHOT_FORMAT)
    return `the snapshot has format ${format}, this release knows ${SNAPSHOT_FORMAT}: it is not used, the log is folded from its start`
  try {
    const {
      seen,
      fold: text,
      last
    } = JSON.parse(state) as {
      readonly seen: number
      readonly fold: string
      readonly last?: LastEvent
    }
    const fold = ClusterFold.fromText(text)
    if (fold !== undefined && Number.isFinite(seen)) return { seq, seen, fold, last }
  } catch {
    // Said below.
  }
  return "the snapshot does not hold what this release expects: it is not used, the log is folded from its start"
}

/** Why the snapshot cannot be of this log, undefined where it may be. What retention has dropped says nothing. */
export const foreignness = (
  log: EventLog["Service"],
  seq: number,
  last: LastEvent | undefined
): Effect.Effect<string | undefined, LogUnavailable> =>
  Effect.gen(function* () {
    const { lastSeq } = yield* log.status
    if (lastSeq < seq) return `the log ends at ${lastSeq}, before the ${seq} that this node knows`
    if (last === undefined) return undefined
    const first = yield* Stream.runHead(log.read({ from: last.seq }))
    const there = Option.isSome(first) ? first.value.events.filter((it) => it.seq === last.seq) : []
    return there.length === 0 || there.some(({ event }) => event.id === last.id)
      ? undefined
      : `the log has another event at ${last.seq} than the one that this node knows`
  })
