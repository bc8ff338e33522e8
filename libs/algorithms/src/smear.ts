/**
 * Leap smear: instead of stepping by a second, served time runs a little slow or fast over some hours. Clients must not
 * know of the leap second then (LI=0), and must be able to see that time is smeared: the reference id becomes 254.x.y.z,
 * whose lower 24 bits are the smear so far in units of 2^-22 s, as ntpd writes it.
 *
 * The offset here replaces {@link leapOffset}: it is added to a time scale that knows nothing of the leap second.
 */
import type { ArmedLeap } from "./leap.ts"

export type SmearShape = "linear" | "cosine"

export type SmearOptions =
  | { readonly shape: "off" }
  | {
      readonly shape: SmearShape
      /** Seconds before the leap second at which it begins, and after it at which it ends. */
      readonly before: number
      readonly after: number
    }

export const smearOff: SmearOptions = { shape: "off" }

/** ntp.conf `leapsmearinterval`: a cosine over the last `seconds` before the leap second. */
export const smearBefore = (seconds: number): SmearOptions => ({ shape: "cosine", before: seconds, after: 0 })

/** Noon to noon, linear: what the large public services do. */
export const smearNoonToNoon: SmearOptions = { shape: "linear", before: 43_200, after: 43_200 }

export interface Smear {
  /** Whether time is being smeared at this moment: show LI=0 and {@link smearReferenceId}. */
  readonly active: boolean
  /** Seconds to add to a time scale that knows nothing of the leap second. */
  readonly offset: number
  /** Its slope, seconds per second. */
  readonly frequency: number
}

const notSmeared = (offset: number): Smear => ({ active: false, offset, frequency: 0 })

/** The smear at `unixSeconds` of a scale that knows nothing of the leap second. Undefined with smearing off or nonsense. */
export const smearAt = (options: SmearOptions, leap: ArmedLeap, unixSeconds: number): Smear | undefined => {
  if (options.shape === "off") return undefined
  const { shape, before, after } = options
  const length = before + after
  if (!(before >= 0 && after >= 0 && length > 0 && Number.isFinite(length)) || !Number.isFinite(unixSeconds))
    return undefined
  const done = (unixSeconds - (leap.at - before)) / length
  if (done <= 0) return notSmeared(0)
  if (done >= 1) return notSmeared(-leap.change)
  const share = shape === "linear" ? done : (1 - Math.cos(Math.PI * done)) / 2
  const slope = shape === "linear" ? 1 : (Math.PI / 2) * Math.sin(Math.PI * done)
  return { active: true, offset: -leap.change * share, frequency: (-leap.change * slope) / length }
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
