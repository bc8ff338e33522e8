/** What becomes of a request: counted by the moment at which it was sent, in slices of a run. Pure. */
import { HEADER_BYTES, leapOf, modeOf, Offset } from "@meridian/wire/ntp"

/** Answers are waited for so long. */
export const LOST_MS = 5_000
/** An answer that took longer is late. */
export const LATE_MS = 1_000
/** What a true server's time may be off by beyond what it says and the way took, seconds: reading clocks takes a moment. */
const GRACE_S = 0.001
const ERA_1970 = 2_208_988_800
const FRACTION = 4_294_967_296

/**
 * - good: time that is as right as it says
 * - unsynchronised: it says that it has none
 * - refused: a kiss, or NTS that it does not know the cookie of
 * - wrong: time that is not as right as it says, a mode or length that no answer has, an authenticator that does not fit
 */
export type Outcome = "good" | "unsynchronised" | "refused" | "wrong"

/** Seconds since 1970 by the clock that all sources have. */
interface Exchange {
  readonly sent: number
  readonly received: number
}

const timestamp = (view: DataView, at: number): number =>
  view.getUint32(at) - ERA_1970 + view.getUint32(at + 4) / FRACTION
const short = (view: DataView, at: number): number => view.getUint32(at) / 65_536

/** Judges a reply whose origin has been matched. Returns why it is wrong beside the outcome. */
export const judge = (
  reply: Uint8Array,
  requestBytes: number,
  { sent, received }: Exchange
): readonly [Outcome, string] => {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.byteLength)
  const flags = view.getUint8(Offset.flags)
  if (reply.length < HEADER_BYTES || reply.length > requestBytes) return ["wrong", `${reply.length} octets`]
  if (modeOf(flags) !== 4) return ["wrong", `mode ${modeOf(flags)}`]
  const stratum = view.getUint8(Offset.stratum)
  if (stratum === 0 && view.getUint32(Offset.referenceId) !== 0 && leapOf(flags) === 3 && isKiss(view))
    return ["refused", ""]
  if (leapOf(flags) === 3 || stratum === 0 || stratum >= 16) return ["unsynchronised", ""]
  const [arrived, left] = [timestamp(view, Offset.receive), timestamp(view, Offset.transmit)]
  const offset = (arrived - sent + (left - received)) / 2
  const way = Math.max(0, received - sent - (left - arrived))
  const claimed = short(view, Offset.rootDelay) / 2 + short(view, Offset.rootDispersion)
  return Math.abs(offset) <= claimed + way / 2 + GRACE_S
    ? ["good", ""]
    : ["wrong", `off by ${offset.toFixed(6)} s, claims ${claimed.toFixed(6)} s, way ${way.toFixed(6)} s`]
}

/** RATE, DENY, RSTR and NTSN; other codes of stratum 0 say that it is not synchronised. */
const isKiss = (view: DataView): boolean => KISSES.has(view.getUint32(Offset.referenceId))
const KISSES = new Set(["RATE", "DENY", "RSTR", "NTSN"].map((code) => Buffer.from(code, "latin1").readUInt32BE()))

/** Of one node and one slice of time. */
export interface Slice {
  sent: number
  good: number
  /** Of the good ones. */
  late: number
  unsynchronised: number
  refused: number
  wrong: number
  lost: number
}

export const emptySlice = (): Slice => ({
  sent: 0,
  good: 0,
  late: 0,
  unsynchronised: 0,
  refused: 0,
  wrong: 0,
  lost: 0
})

export const addUp = (slices: Iterable<Slice>): Slice => {
  const sum = emptySlice()
  for (const slice of slices) for (const name of Object.keys(sum) as (keyof Slice)[]) sum[name] += slice[name]
  return sum
}
