/**
 * Leap smear: instead of stepping by a second, served time runs a little slow or fast over some hours. Clients must not
 * know of the leap second then (LI=0), and must be able to see that time is smeared: the reference id becomes 254.x.y.z,
 * whose lower 24 bits are the smear so far in units of 2^-22 s, as ntpd writes it.
 *
 * The offset here is added to a time scale that knows nothing of the leap second, in place of the step by a whole second.
 */
import type { ArmedLeap } from "./leap.ts"

export interface Smear {
  /** Whether time is being smeared at this moment: show LI=0 and {@link smearReferenceId}. */
  readonly active: boolean
  /** Seconds to add to a time scale that knows nothing of the leap second. */
  readonly offset: number
  /** Its slope, seconds per second. */
  readonly frequency: number
}

const notSmeared = (offset: number): Smear => ({ active: false, offset, frequency: 0 })

/**
 * The smear at `unixSeconds` of a scale that knows nothing of the leap second: a cosine over the last `seconds` before it (ntp.conf
 * `leapsmearinterval`). Undefined where it is off (0) or nonsense.
 */
export const smearAt = (seconds: number, leap: ArmedLeap, unixSeconds: number): Smear | undefined => {
  if (!(seconds > 0 && Number.isFinite(seconds)) || !Number.isFinite(unixSeconds)) return undefined
  const done = (unixSeconds - (leap.at - seconds)) / seconds
  if (done <= 0) return notSmeared(0)
  if (done >= 1) return notSmeared(-leap.change)
  const share = (1 - Math.cos(Math.PI * done)) / 2
  const slope = (Math.PI / 2) * Math.sin(Math.PI * done)
  return { active: true, offset: -leap.change * share, frequency: (-leap.change * slope) / seconds }
}

const MARK = 254
const FRACTION = 2 ** 22

/** The reference id that marks smeared time: 254 and the offset in 2.22 fixed point. Offsets beyond ±2 s are cut. */
export const smearReferenceId = (offset: number): number => {
  const units = Math.max(-(2 ** 23), Math.min(2 ** 23 - 1, Math.round(offset * FRACTION)))
  return ((MARK << 24) | (units & 0xffffff)) >>> 0
}

/** The smear that a reference id marks, seconds, or undefined when it marks none. */
export const smearOfReferenceId = (referenceId: number): number | undefined =>
  referenceId >>> 24 === MARK ? ((referenceId << 8) >> 8) / FRACTION : undefined
