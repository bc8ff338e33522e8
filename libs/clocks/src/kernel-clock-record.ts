/**
 * struct timex of clock_adjtime(2) as a Float64Array: where each member lies, and the bits of `modes` and `status` that
 * are used here. Units are the kernel's: microseconds, and 2^-16 ppm for frequencies.
 */
export const RECORD_FIELDS = 12
export const MODES = 0
export const OFFSET = 1
export const FREQUENCY = 2
export const MAX_ERROR = 3
export const ESTIMATED_ERROR = 4
export const STATUS = 5
export const CONSTANT = 6
export const TICK = 7
export const SECONDS = 8
/** Microseconds, or nanoseconds where `modes` has Mode.nano or `status` has Status.nano. */
export const FRACTION = 9
export const TAI = 10
/** What the call returns: a {@link TimeState}. */
export const STATE = 11

export const Mode = {
  offset: 0x0001,
  frequency: 0x0002,
  maxError: 0x0004,
  estimatedError: 0x0008,
  status: 0x0010,
  tai: 0x0080,
  setOffset: 0x0100,
  nano: 0x2000,
  tick: 0x4000,
  /** adjtime(3)'s slewing; alone. */
  singleShot: 0x8001
} as const

export const Status = {
  /** The kernel's own phase-locked loop. */
  pll: 0x0001,
  insert: 0x0010,
  delete: 0x0020,
  unsynchronised: 0x0040,
  nano: 0x2000
} as const
/** Bits of `status` that the kernel alone sets. */
export const STATUS_READ_ONLY = 0xff00

export const TimeState = { ok: 0, insert: 1, delete: 2, leaping: 3, leapt: 4, error: 5 } as const

/** Kernel units in one second per second. */
export const FREQUENCY_UNITS = 1e6 * 2 ** 16
export const FREQUENCY_LIMIT = 500e-6
/** Microseconds that each of the hundred ticks of a second (USER_HZ) adds, and how far that may be changed. */
export const NOMINAL_TICK = 10_000
export const LEAST_TICK = 9_000
export const GREATEST_TICK = 11_000
/** The kernel counts its error bound no further, seconds. */
export const GREATEST_ERROR = 16
