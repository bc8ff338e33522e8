/** What the process that answers Autokey's requests tells its supervisor. Counts are totals since it started and only grow. */
import { type FromService, readerOf } from "../channel/service-messages.ts"
import { count, counts, record, type TypeOf, words } from "../channel/shape.ts"

const figures = {
  /** Packets by what became of them; the reasons are in services/autokey/src/answering.ts. */
  outcomes: counts,
  received: count,
  replied: count
}
export const autokeyFigures = record(figures)

const autokeyReport = record({
  type: words("report"),
  ...figures,
  /** bytes */
  rss: count
})
export type AutokeyReport = TypeOf<typeof autokeyReport>

export type FromAutokey = FromService<AutokeyReport>

/** Reads a message from the process; undefined when it is none of ours. @throws InvalidMessage */
export const parseFromAutokey = readerOf(autokeyReport)
