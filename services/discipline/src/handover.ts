/**
 * A restart of this process must not show in served time. The page that the process before left behind stays in force
 * until the clock is set anew or the page's deadline passes; the difference between the two is then worked off.
 */
import type { ClockPageReader } from "@meridian/clocks/clock-page"
import { type ClockCurve, isSynchronised, unsynchronisedCurve } from "@meridian/time/clock-curve"
import type { Reading } from "./clocks.ts"

/** Differences over this are steps, not slewed; seconds. ntp.conf `tinker step`. */
const GREATEST_BRIDGE = 0.128
const SLEW_RATE = 500e-6

/** The curve that is still in force, or undefined. */
export const inheritedCurve = (reader: ClockPageReader, now: Reading): ClockCurve | undefined => {
  const curve = unsynchronisedCurve()
  if (!reader.readInto(curve) || !isSynchronised(curve, now.monotonic)) return undefined
  return curve
}

/** A difference on its way to zero. */
export class Bridge {
  private readonly residue: number
  private readonly since: number
  private readonly seconds: number

  constructor(residue: number, now: number) {
    this.residue = residue
    this.since = now
    this.seconds = Math.max(1, Math.abs(residue) / SLEW_RATE)
  }

  /** From the old curve to a new one made now; undefined when they are too far apart, which is a step. */
  static between(old: ClockCurve, fresh: ClockCurve): Bridge | undefined {
    const age = fresh.baseMonotonic - old.baseMonotonic
    const residue = old.offset + old.frequency * age - fresh.offset
    return Math.abs(residue) > GREATEST_BRIDGE ? undefined : new Bridge(residue, fresh.baseMonotonic)
  }

  /** Changes a curve in place for what is still to be worked off. False when nothing is left. */
  apply(curve: ClockCurve): boolean {
    const share = 1 - (curve.baseMonotonic - this.since) / this.seconds
    if (!(share > 0)) return false
    const rest = this.residue * share
    curve.offset += rest
    curve.frequency -= this.residue / this.seconds
    curve.rootDispersion += Math.abs(rest)
    // Should nobody publish when it is done, the slope goes on.
    curve.dispersionRate += Math.abs(this.residue) / this.seconds
    return true
  }
}
