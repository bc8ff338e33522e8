/** What a simulation drives: a clock client that is handed replies and asked for the time. */
import type { ClockSample, SourceReport } from "@meridian/algorithms"

export interface SimulatedReply {
  /** Offset against the client's uncorrected wall clock; time on its monotonic clock. */
  readonly sample: ClockSample
  readonly report: SourceReport
}

/** All times are readings of the client's monotonic clock, in seconds. */
export interface SimulatedClient {
  readonly name: string
  /** A request to this source was just sent. */
  readonly polled: (source: number, now: number) => void
  readonly answered: (source: number, reply: SimulatedReply, now: number) => void
  /** Somebody stepped the wall clock, as was noticed now. */
  readonly wallStepped: (seconds: number, now: number) => void
  /** A second has passed. */
  readonly tick?: (now: number) => void
  /** log2 of the seconds until the next request to this source. */
  readonly pollExponent: (source: number) => number
  /** Seconds to add to the wall clock. */
  readonly correction: (now: number) => number
  /** Slope of the correction. */
  readonly slope: (now: number) => number
  /** Most by which corrected time is wrong, as it claims; Infinity while it claims nothing. */
  readonly rootDistance: (now: number) => number
  /** What it takes for the standard deviation of its error, seconds; undefined while it has no idea. */
  readonly deviation?: (now: number) => number | undefined
  /** What it would say of itself as a server: seconds, and stratum 16 while it claims nothing. */
  readonly root: (now: number) => { readonly delay: number; readonly dispersion: number; readonly stratum: number }
  /** The source it follows, by position. */
  readonly followed: () => number | undefined
}

export interface SimulatedSourceOptions {
  readonly prefer?: boolean
  readonly noselect?: boolean
  readonly alwaysTrue?: boolean
  readonly minpoll?: number
  readonly maxpoll?: number
  readonly iburst?: boolean
}
