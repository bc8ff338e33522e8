/**
 * The clocks that pure code is handed. Wall time can be stepped and may run backwards; monotonic time cannot, but has no
 * meaning outside this boot. They are separate interfaces so that neither is passed where the other is meant.
 */
import type { UnixTime } from "./timestamp.ts"

/** UTC as the system believes it (CLOCK_REALTIME). */
export interface WallClock {
  /** Writes the present moment into `out`; allocates nothing. */
  readonly read: (out: UnixTime) => void
}

/** Seconds since an arbitrary moment of this boot (CLOCK_MONOTONIC). Never goes back. */
export interface MonotonicClock {
  readonly seconds: () => number
}
