/**
 * What an operator has done once with sources that are asked, in chronyc's words: the supervisor tells the clock's process. Who is to be asked at all
 * stands in its plan.
 */
import { list, record, text, type TypeOf, whole, words } from "./shape.ts"

/** A burst may have so many requests. */
export const MOST_BURST = 1_000
export const SOURCE_ACTS = ["burst", "refresh"] as const

export const sourceCommand = record({
  type: words("source-command"),
  /** `refresh` looks every name up again and is about no address. */
  act: words(...SOURCE_ACTS),
  /** Numeric. */
  addresses: list(text(1, 64), 65_536),
  /** Of a burst: it ends after so many good answers, or after so many requests. */
  good: whole(0, MOST_BURST),
  total: whole(0, MOST_BURST)
})
export type SourceCommand = TypeOf<typeof sourceCommand>
