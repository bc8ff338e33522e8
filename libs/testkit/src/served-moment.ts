/** What a clock page with a curve says at a moment that a test chooses. */
import type { ClockCurve } from "@meridian/time/clock-curve"
import {
  lineOf,
  monotonicNanoseconds,
  originOf,
  SERVED_NUMBERS,
  serveLine,
  type ServedMoment
} from "@meridian/time/clock-line"
import type { UnixTime } from "@meridian/time/timestamp"

/**
 * @param realtime what the writer's own clock, which the curve's offset is counted from, says at that moment
 * @param monotonic CLOCK_MONOTONIC at that moment, seconds
 */
export const servedMoment = (curve: ClockCurve, realtime: UnixTime, monotonic: number): ServedMoment => {
  const moment = new Uint32Array(SERVED_NUMBERS)
  serveLine(lineOf(curve, originOf(realtime, monotonic)), monotonicNanoseconds(monotonic), moment)
  return moment
}
