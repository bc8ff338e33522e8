/**
 * The ways in which reference clocks are read, as ports: each has one adapter over the C addon, and tests have simulated
 * ones. None of them waits, and each is asked a few times a second.
 */
import type { UnixTime } from "@meridian/time/timestamp"
import type { ShmTime } from "@meridian/wire/shm-time"

export interface ShmPort {
  /** Takes what is there, once. `torn`: the writer was at work. `replaced`: the key leads to another segment now. */
  readonly take: () => ShmTime | "nothing" | "torn" | "replaced"
  readonly close: () => void
}

/** A datagram as it came; `length` is what was sent, of which `bytes` may hold the beginning only. */
interface ClockDatagram {
  readonly bytes: Uint8Array
  readonly length: number
}

export interface ClockSocketPort {
  readonly receive: () => ClockDatagram | undefined
  /** Closes the socket and removes its file, unless another has taken the path. */
  readonly close: () => void
}

/** One edge of the pulse. */
export interface Pulse {
  /** Counts the pulses; 0 while there was none. */
  readonly sequence: number
  /** CLOCK_REALTIME as the kernel stamped it. */
  readonly at: UnixTime
}

export interface PpsPort {
  /** The last pulse, which may have been told before. */
  readonly fetch: () => Pulse
  readonly close: () => void
}

/** A hardware clock, read between two readings of CLOCK_REALTIME. */
export interface PhcReading {
  readonly before: UnixTime
  readonly device: UnixTime
  readonly after: UnixTime
}

export interface PhcPort {
  /** Several in a row, at least one. */
  readonly read: () => readonly PhcReading[]
  readonly close: () => void
}

/** A reference clock that cannot be opened or read: `reason` is short and becomes a counter's name. */
export class ReferenceClockError extends Error {
  readonly _tag = "ReferenceClockError"
  /** An errno's name, or `size`, `owner`, `permissions`, `in-use`, `no-addon`. */
  readonly reason: string

  constructor(reason: string, message: string) {
    super(message)
    this.reason = reason
  }
}
