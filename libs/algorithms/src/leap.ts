/**
 * Whether a leap second is coming. A verified file that has not expired knows; without one, a majority of the sources that
 * agree on the time does, and what they announce happens at the end of the running UTC month (RFC 5905 §7.3, §5).
 */
import { Leap } from "@meridian/time/clock-curve"
import { nextMonth } from "@meridian/time/civil-date"
import { type LeapFile, leapFileExpired, nextLeap } from "./leap-file.ts"

/** How long before the leap second the leap indicator is shown, seconds: the last day, as stratum 1 servers do. */
export const ANNOUNCE_SECONDS = 86_400

/** How long before the month's end the sources' word is taken at all, seconds. */
const BELIEVE_SECONDS = 28 * 86_400

interface LeapDecision {
  /** What to show and to do. Never `unsynchronised`. */
  readonly leap: Leap
  /** Unix second that follows the leap second, when one is armed. */
  readonly at: number | undefined
  readonly origin: "file" | "sources" | "none"
  /** Sources that announce something else than what was decided. */
  readonly dissent: number
}

/**
 * @param unixSeconds now, UTC
 * @param sources the leap indicators of the sources that agree on the time (not of falsetickers)
 * @param file a verified file, or undefined
 */
export const decideLeap = (unixSeconds: number, sources: readonly Leap[], file: LeapFile | undefined): LeapDecision => {
  const dissentFrom = (leap: Leap): number => sources.filter((it) => it !== leap && it !== Leap.unsynchronised).length
  if (file !== undefined && !leapFileExpired(file, unixSeconds)) {
    const next = nextLeap(file, unixSeconds)
    const armed = next !== undefined && next.at - unixSeconds <= ANNOUNCE_SECONDS
    const leap = !armed ? Leap.none : next.change > 0 ? Leap.insert : Leap.delete
    return { leap, at: armed ? next.at : undefined, origin: "file", dissent: dissentFrom(leap) }
  }
  const voters = sources.filter((it) => it !== Leap.unsynchronised)
  const votes = (leap: Leap): number => voters.filter((it) => it === leap).length
  const announced = ([Leap.insert, Leap.delete] as const).find((leap) => 2 * votes(leap) > voters.length)
  const at = nextMonth(unixSeconds)
  if (announced === undefined || at - unixSeconds > BELIEVE_SECONDS)
    return { leap: Leap.none, at: undefined, origin: "none", dissent: dissentFrom(Leap.none) }
  return { leap: announced, at, origin: "sources", dissent: dissentFrom(announced) }
}

/** A leap second that will be, or has just been, carried out. */
export interface ArmedLeap {
  /** Unix second that follows it. */
  readonly at: number
  /** +1 inserts a second: the clock goes back by one. -1 deletes one. */
  readonly change: 1 | -1
}
