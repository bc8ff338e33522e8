/**
 * What the process that answers Windows clients tells its supervisor each second. Counts are totals since it started and only grow.
 */
import { addCounts, isRecord } from "./message.ts"
import { counts, finite, nullable, read, record, text, type TypeOf, whole, words } from "./shape.ts"

const count = whole(0, Number.MAX_SAFE_INTEGER)
/** Milliseconds, from a request's arrival in the process to its end. */
const times = record({ total: finite(0), slowest: finite(0) })

export const signdFiguresShape = record({
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
export type SigndFigures = TypeOf<typeof signdFiguresShape>

const reportShape = record({
  type: words("report"),
  figures: signdFiguresShape,
  /** Connections to the signing daemon, and requests that wait for one. */
  connections: count,
  queued: count,
  /** Why the signing daemon cannot be asked, and what mends it; null while it can. */
  trouble: nullable(text(1, 4_096)),
  /** bytes */
  rss: count
})
export type SigndReport = TypeOf<typeof reportShape>

export interface SigndReady {
  readonly type: "ready"
}
/** It stopped reading, its last figures inside; it exits by itself. */
export interface SigndDrained {
  readonly type: "drained"
  readonly report: SigndReport
}
/** Something an operator should read. */
export interface SigndWarning {
  readonly type: "warning"
  readonly message: string
}
export type FromSignd = SigndReady | SigndReport | SigndDrained | SigndWarning

/** Take nothing more in, finish what is on its way, report, exit. */
export interface DrainSignd {
  readonly type: "drain"
}

/** @throws InvalidMessage for a report that cannot be one */
export const parseFromSignd = (message: unknown): FromSignd | undefined => {
  if (!isRecord(message)) return undefined
  const { type } = message
  if (type === "ready") return { type }
  if (type === "warning" && typeof message["message"] === "string") return { type, message: message["message"] }
  if (type === "report") return read(reportShape, "report", message)
  if (type === "drained") return { type, report: read(reportShape, "report", message["report"]) }
  return undefined
}

export const parseToSignd = (message: unknown): DrainSignd | undefined =>
  isRecord(message) && message["type"] === "drain" ? { type: "drain" } : undefined

export const noSigndFigures: SigndFigures = {
  received: 0,
  replied: 0,
  unsent: 0,
  dropped: {},
  signedTimes: { total: 0, slowest: 0 },
  unsignedTimes: { total: 0, slowest: 0 }
}

export const addSigndFigures = (a: SigndFigures, b: SigndFigures): SigndFigures => ({
  received: a.received + b.received,
  replied: a.replied + b.replied,
  unsent: a.unsent + b.unsent,
  dropped: addCounts(a.dropped, b.dropped),
  signedTimes: addTimes(a.signedTimes, b.signedTimes),
  unsignedTimes: addTimes(a.unsignedTimes, b.unsignedTimes)
})

const addTimes = (a: TypeOf<typeof times>, b: TypeOf<typeof times>): TypeOf<typeof times> => ({
  total: a.total + b.total,
  slowest: Math.max(a.slowest, b.slowest)
})
