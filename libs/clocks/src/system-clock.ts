/**
 * The system's clocks, read into numbers without allocating. With the addon they are read as they are. Without it,
 * CLOCK_MONOTONIC comes from performance.now() and CLOCK_REALTIME from {@link RealtimeEstimate}.
 */
import type { MonotonicClock, WallClock } from "@meridian/time/clock"
import type { NativeAddon } from "@meridian/system/native"
import { loadNative } from "@meridian/system/native"

/** Positions in {@link UdpSocket.now}. */
export const NOW_REALTIME_SECONDS = 0
export const NOW_REALTIME_NANOSECONDS = 1
export const NOW_MONOTONIC_SECONDS = 2

export interface SystemClock {
  readonly kind: "native" | "fallback"
  /** Writes both clocks into `out` at NOW_REALTIME_SECONDS, NOW_REALTIME_NANOSECONDS and NOW_MONOTONIC_SECONDS. */
  readonly readClocks: (out: Float64Array) => void
  readonly wall: WallClock
  readonly monotonic: MonotonicClock
  /**
   * Precision of CLOCK_REALTIME as it stands in the NTP header, log2 seconds (RFC 5905 §7.3): the smallest step seen
   * between neighbouring readings, rounded up to a power of two. Takes about a millisecond.
   */
  readonly measurePrecision: () => number
}

const PRECISION_READS = 20_000

/** log2 of a step in seconds, rounded up: a server never claims to read its clock better than it does. */
export const precisionOf = (stepSeconds: number): number =>
  Math.max(-32, Math.min(0, Math.ceil(Math.log2(Math.max(stepSeconds, 2 ** -32)))))

/**
 * CLOCK_REALTIME finer than Date.now()'s millisecond. The two clocks run at the same rate (both are slewed alike) and
 * differ by a constant until the realtime clock is stepped. Each reading of Date.now() says that the difference lies in
 * an interval one millisecond wide; the estimate is kept inside every interval seen, so it soon lies within the time
 * between two readings of a millisecond's edge, and a step moves it at once to within a millisecond.
 */
export class RealtimeEstimate {
  /** Estimated CLOCK_REALTIME minus CLOCK_MONOTONIC, milliseconds. */
  private difference = -Infinity

  /** Takes one pair of readings, both in milliseconds, and returns the estimated CLOCK_REALTIME in milliseconds. */
  update(monotonic: number, dateNow: number): number {
    const least = dateNow - monotonic
    if (this.difference < least) this.difference = least
    else if (this.difference > least + 1) this.difference = least + 1
    return monotonic + this.difference
  }
}

const assemble = (
  kind: SystemClock["kind"],
  readClocks: SystemClock["readClocks"],
  measurePrecision: SystemClock["measurePrecision"]
): SystemClock => {
  const now = new Float64Array(3)
  return {
    kind,
    readClocks,
    measurePrecision,
    wall: {
      read: (out) => {
        readClocks(now)
        out.seconds = now[NOW_REALTIME_SECONDS]!
        out.nanoseconds = now[NOW_REALTIME_NANOSECONDS]!
      }
    },
    monotonic: {
      seconds: () => {
        readClocks(now)
        return now[NOW_MONOTONIC_SECONDS]!
      }
    }
  }
}

/** The clocks read by the addon. */
export const nativeClock = (addon: NativeAddon): SystemClock =>
  assemble(
    "native",
    (out) => addon.readClocks(out),
    () => precisionOf(addon.smallestClockStep())
  )

/** CLOCK_MONOTONIC in milliseconds when performance.now() is 0. The pair read closest together gives the greatest value. */
const monotonicOrigin = (): number => {
  let origin = -Infinity
  for (let pair = 0; pair < 20; pair++) {
    const [seconds, nanoseconds] = process.hrtime()
    origin = Math.max(origin, seconds * 1e3 + nanoseconds / 1e6 - performance.now())
  }
  return origin
}

/** The clocks read by Node alone. */
export const fallbackClock = (): SystemClock => {
  const origin = monotonicOrigin()
  const estimate = new RealtimeEstimate()
  const readClocks = (out: Float64Array): void => {
    const monotonic = origin + performance.now()
    const realtime = estimate.update(monotonic, Date.now())
    const wholeSeconds = Math.floor(realtime / 1e3)
    out[NOW_REALTIME_SECONDS] = wholeSeconds
    out[NOW_REALTIME_NANOSECONDS] = Math.min(Math.floor((realtime - wholeSeconds * 1e3) * 1e6), 999_999_999)
    out[NOW_MONOTONIC_SECONDS] = monotonic / 1e3
  }
  const now = new Float64Array(3)
  /** Two edges of Date.now()'s millisecond, so that the estimate starts out fine. */
  for (const end = performance.now() + 2; performance.now() < end;) readClocks(now)
  const measurePrecision = (): number => {
    let smallest = 1
    let before = performance.now()
    for (let reading = 0; reading < PRECISION_READS; reading++) {
      readClocks(now)
      const after = performance.now()
      if (after > before) smallest = Math.min(smallest, (after - before) / 1e3)
      before = after
    }
    return precisionOf(smallest)
  }
  return assemble("fallback", readClocks, measurePrecision)
}

/** The best clock this installation has. */
export const systemClock = (): SystemClock => {
  const { addon } = loadNative()
  return addon === undefined ? fallbackClock() : nativeClock(addon)
}

/**
 * Tells of steps of CLOCK_REALTIME within a second, for as long as what it returns is held; undefined without the addon. Whoever is told judges:
 * it may be less than it seems. See native/clock-watch.c.
 */
export const watchSteps = (onStep: () => void): { readonly close: () => void } | undefined => {
  const { addon } = loadNative()
  return addon && new addon.ClockWatch(onStep)
}
