/** Served time as this process knows it: the system's clock and what the last picture says is to be added. */
import {
  NOW_MONOTONIC_SECONDS,
  NOW_REALTIME_NANOSECONDS,
  NOW_REALTIME_SECONDS,
  type SystemClock
} from "@meridian/clocks/system-clock"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"

/** Unix seconds. */
export const servedTime = (
  clock: Pick<SystemClock, "readClocks">,
  current: () => NodeSnapshot | undefined
): (() => number) => {
  const now = new Float64Array(3)
  return () => {
    clock.readClocks(now)
    const snapshot = current()
    const tracking = snapshot?.tracking
    const age = snapshot === undefined ? 0 : now[NOW_MONOTONIC_SECONDS]! - snapshot.monotonic
    const correction =
      tracking === null || tracking === undefined
        ? 0
        : tracking.servedOffset + tracking.servedFrequency * 1e-6 * Math.max(0, age)
    return now[NOW_REALTIME_SECONDS]! + now[NOW_REALTIME_NANOSECONDS]! / 1e9 + correction
  }
}
