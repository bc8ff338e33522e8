/**
 * The clock curve of a node whose reference is its own system clock (ntp.conf `server 127.127.1.0`, or orphan mode), and
 * when it is served: at once where nothing else is configured, else only when no source was ever reachable, or when
 * nothing is left of what the sources once said.
 */
import { localMode, type LocalOptions, type ServedLine } from "@meridian/algorithms"
import { type ClockCurve, Leap, PHI } from "@meridian/time/clock-curve"
import { LOCAL_CLOCK_REFERENCE_ID, referenceIdFromText } from "@meridian/wire/reference-id"
import { shiftInPlace, type UnixTime } from "@meridian/time/timestamp"

/** Nobody measured this clock: claim no better than what people set by hand, and say so to clients. Seconds. */
const LOCAL_ROOT_DISPERSION = 0.01
/** A page that nobody renewed for this long is not good time any more: at rest it is each four seconds. Seconds. */
const DEADLINE_SECONDS = 9
/** Configured sources are given so long to answer before this machine's own clock takes their place, seconds. */
const SOURCES_PATIENCE = 20

interface LocalQuestion {
  readonly hasSources: boolean
  /** Whether a source ever answered. */
  readonly everReached: boolean
  /** Whether the clock was ever set by sources. */
  readonly everSet: boolean
  /** Seconds since there was time to vouch for, or an orphan to follow, from the start on. */
  readonly without: number
}

/** The stratum to serve our own clock at, or undefined when it is not to be served. */
export const localStratum = (options: LocalOptions, question: LocalQuestion): number | undefined => {
  const { hasSources, everReached, everSet, without } = question
  const mode = localMode(options, without)
  // The orphans of an island are each other's sources: that they answer says nothing of better ones.
  if (mode._tag === "OrphanParent") return mode.stratum
  // Sources that answer and disagree are no reason to make up a third opinion.
  if (hasSources && everReached && !everSet) return undefined
  if (hasSources && !everSet && without < SOURCES_PATIENCE) return undefined
  return mode._tag === "Local" ? mode.stratum : undefined
}

/**
 * @param stratum 1 … 15, as served
 * @param base Unix time that the page's origin has come to at `monotonic` (CLOCK_MONOTONIC, seconds)
 * @param line what sources said last, still the best guess; undefined for CLOCK_REALTIME as it was at the origin
 */
export const localReferenceCurve = (
  stratum: number,
  base: UnixTime,
  monotonic: number,
  line: Pick<ServedLine, "offset" | "frequency"> = { offset: 0, frequency: 0 }
): ClockCurve => {
  const reference = { ...base }
  shiftInPlace(reference, line.offset)
  return {
    baseSeconds: base.seconds,
    baseNanoseconds: base.nanoseconds,
    baseMonotonic: monotonic,
    offset: line.offset,
    frequency: line.frequency,
    leap: Leap.none,
    stratum,
    referenceId: stratum === 1 ? referenceIdFromText("LOCL") : LOCAL_CLOCK_REFERENCE_ID,
    referenceSeconds: reference.seconds,
    referenceNanoseconds: reference.nanoseconds,
    rootDelay: 0,
    rootDispersion: LOCAL_ROOT_DISPERSION,
    dispersionRate: PHI,
    deadline: monotonic + DEADLINE_SECONDS
  }
}
