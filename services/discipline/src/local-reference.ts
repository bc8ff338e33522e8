/** The clock curve of a node whose reference is its own system clock (ntp.conf `server 127.127.1.0`). */
import { type ClockCurve, Leap, PHI } from "@meridian/time/clock-curve"
import { LOCAL_CLOCK_REFERENCE_ID, referenceIdFromText } from "@meridian/wire/reference-id"

/** Nobody measured this clock: claim no better than what people set by hand, and say so to clients. Seconds. */
const LOCAL_ROOT_DISPERSION = 0.01

/** A page that nobody renewed for this long is not good time any more. Seconds. */
const DEADLINE_SECONDS = 5

/**
 * @param stratum 1 … 15, as served
 * @param seconds CLOCK_REALTIME, whole Unix seconds
 * @param nanoseconds its nanoseconds
 * @param monotonic CLOCK_MONOTONIC, seconds
 */
export const localReferenceCurve = (
  stratum: number,
  seconds: number,
  nanoseconds: number,
  monotonic: number
): ClockCurve => ({
  baseSeconds: seconds,
  baseNanoseconds: nanoseconds,
  baseMonotonic: monotonic,
  offset: 0,
  frequency: 0,
  leap: Leap.none,
  stratum,
  referenceId: stratum === 1 ? referenceIdFromText("LOCL") : LOCAL_CLOCK_REFERENCE_ID,
  referenceSeconds: seconds,
  referenceNanoseconds: nanoseconds,
  rootDelay: 0,
  rootDispersion: LOCAL_ROOT_DISPERSION,
  dispersionRate: PHI,
  deadline: monotonic + DEADLINE_SECONDS
})
