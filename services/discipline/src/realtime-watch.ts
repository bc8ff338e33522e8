/**
 * Notices that somebody else set CLOCK_REALTIME: its difference to CLOCK_MONOTONIC is constant but for slewing, which both
 * clocks share, so any change is a step.
 */
import { type ReadClocks, unixOf } from "./clocks.ts"

/** Changes up to this are noise of reading two clocks one after the other, seconds. */
const NOISE = 100e-6
/** A kernel may be told to slew faster than it admits to both clocks; what is slower than this is no step. Seconds per second. */
const SLEW = 1e-4
/** A reading is the median of so many: a process put to sleep between two clocks must not look like a step. */
const READINGS = 5

export class RealtimeWatch {
  private readonly read: ReadClocks
  private difference: number
  private checkedAt: number

  constructor(read: ReadClocks) {
    this.read = read
    this.difference = this.measure()
    this.checkedAt = read().monotonic
  }

  /** Seconds by which CLOCK_REALTIME was stepped since the last call (positive: forward); 0 when it was not. */
  check(): number {
    const difference = this.measure()
    const { monotonic } = this.read()
    const change = difference - this.difference
    const allowed = NOISE + SLEW * (monotonic - this.checkedAt)
    this.difference = difference
    this.checkedAt = monotonic
    return Math.abs(change) > allowed ? change : 0
  }

  private measure(): number {
    const differences = Array.from({ length: READINGS }, () => {
      const reading = this.read()
      return unixOf(reading) - reading.monotonic
    })
    return differences.sort((a, b) => a - b)[READINGS >> 1]!
  }
}
