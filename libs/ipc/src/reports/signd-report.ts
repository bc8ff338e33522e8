/**
 * What the process that answers Windows clients tells its supervisor each second. Counts are totals since it started and only grow.
 */
import { type FromService, readerOf } from "../channel/service-messages.ts"
import { count, counts, finite, greatest, nullable, record, text, type TypeOf, words } from "../channel/shape.ts"

/** Milliseconds, from a request's arrival in the process to its end. */
const times = record({ total: finite(0), slowest: greatest(finite(0)) })

export const signdFigures = record({
  /** Datagrams read. Equals replied + unsent + dropped, and those on their way. */
  received: count,
  /** Signed replies that the kernel took. */
  replied: count,
  /** Signed replies that it refused. */
  unsent: count,
  /** By reason. */
  dropped: counts,
  signedTimes: times,
  /** Of those that were to be signed and were not. */
  unsignedTimes: times
})
export type SigndFigures = TypeOf<typeof signdFigures>

const reportShape = record({
  type: words("report"),
  figures: signdFigures,
  /** Connections to the signing daemon, and requests that wait for one. */
  connections: count,
  queued: count,
  /** Why the signing daemon cannot be asked, and what mends it; null while it can. */
  trouble: nullable(text(1, 4_096)),
  /** bytes */
  rss: count
})
export type SigndReport = TypeOf<typeof reportShape>

export type FromSignd = FromService<SigndReport>

/** @throws InvalidMessage for a report that cannot be one */
export const parseFromSignd = readerOf(reportShape)
