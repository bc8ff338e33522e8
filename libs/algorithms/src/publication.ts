/** From the discipline's state to the curve that workers serve by (see time/clock-curve.ts). */
import { type ClockCurve, Leap, STRATUM_UNSYNCHRONISED, unsynchronisedCurve } from "@meridian/time/clock-curve"
import type { ClockDiscipline } from "./discipline.ts"
import type { Smear } from "./smear.ts"
import { smearReferenceId } from "./smear.ts"

interface PublicationMoment {
  /** CLOCK_REALTIME, Unix. */
  readonly seconds: number
  readonly nanoseconds: number
  /** CLOCK_MONOTONIC at the same instant, seconds: the discipline's time. */
  readonly monotonic: number
}

interface PublicationOptions {
  /** Of the system peer (RFC 5905 §7.3). */
  readonly referenceId: number
  readonly leap: Leap
  /** Seconds for which the curve may be served when no newer one comes. */
  readonly horizon: number
  /** Root distance past which time is no longer vouched for, seconds. */
  readonly distanceLimit: number
  /** From smearAt, or undefined without smearing. With it no client is ever told of the leap second. */
  readonly smear: Smear | undefined
}

/**
 * The curve at a moment. Its dispersion rate covers what the discipline's bound grows by until the horizon, and a slew that
 * would run on past its end because nobody published in time.
 */
export const publishedCurve = (
  discipline: ClockDiscipline,
  at: PublicationMoment,
  options: PublicationOptions
): ClockCurve => {
  const { root } = discipline
  const distance = discipline.rootDistance(at.monotonic)
  if (root === undefined || !(distance <= options.distanceLimit) || root.stratum >= STRATUM_UNSYNCHRONISED)
    return {
      ...unsynchronisedCurve(),
      baseSeconds: at.seconds,
      baseNanoseconds: at.nanoseconds,
      baseMonotonic: at.monotonic
    }
  const line = discipline.served(at.monotonic)
  const slew = Math.abs(line.frequency - (discipline.tracking(at.monotonic)?.frequency ?? 0))
  const smear = options.smear
  const sinceUpdate = Math.max(0, at.monotonic - root.at)
  const [referenceSeconds, referenceNanoseconds] = before(at, sinceUpdate)
  return {
    baseSeconds: at.seconds,
    baseNanoseconds: at.nanoseconds,
    baseMonotonic: at.monotonic,
    offset: line.offset + (smear?.offset ?? 0),
    frequency: line.frequency + (smear?.frequency ?? 0),
    leap: smear === undefined ? options.leap : Leap.none,
    stratum: root.stratum,
    referenceId: smear?.active === true ? smearReferenceId(smear.offset) : options.referenceId,
    referenceSeconds,
    referenceNanoseconds,
    rootDelay: root.rootDelay,
    rootDispersion: discipline.rootDispersion(at.monotonic),
    dispersionRate: discipline.dispersionRate(at.monotonic, options.horizon) + slew,
    deadline: at.monotonic + options.horizon
  }
}

const before = (at: PublicationMoment, seconds: number): readonly [number, number] => {
  const whole = Math.floor(seconds)
  const nanoseconds = at.nanoseconds - Math.round((seconds - whole) * 1e9)
  return nanoseconds < 0 ? [at.seconds - whole - 1, nanoseconds + 1e9] : [at.seconds - whole, nanoseconds]
}
