/** Simulated paths: what happens to a packet. Delays are in seconds; undefined is a packet that never arrives. */
import type { RandomStream } from "./sim-random.ts"

export type Direction = "request" | "reply"

/** The fate of a packet sent at true time `t`. */
export type PathModel = (t: number, direction: Direction, random: RandomStream) => number | undefined

export interface ExponentialPath {
  /** Least delay one way, seconds. */
  readonly base: number
  /** Mean of the exponential delay on top of it, seconds. */
  readonly jitter: number
  /** -0.5 … 0.5: how much more of the jitter is on the way back than on the way there. */
  readonly asymmetry?: number
  /** Share of packets lost, each way. */
  readonly loss?: number
}

/** A base delay and exponential queues: the model of chrony's simulations. */
export const exponentialPath =
  ({ base, jitter, asymmetry = 0, loss = 0 }: ExponentialPath): PathModel =>
  (_t, direction, random) => {
    const scale = jitter * (direction === "request" ? 1 - 2 * asymmetry : 1 + 2 * asymmetry)
    const delay = base + scale * random.exponential()
    return random.uniform() < loss ? undefined : delay
  }

/** Adds to another path's delays; undefined loses the packet. */
export const changedPath =
  (path: PathModel, change: (t: number, direction: Direction, random: RandomStream) => number | undefined): PathModel =>
  (t, direction, random) => {
    const delay = path(t, direction, random)
    const extra = change(t, direction, random)
    return delay === undefined || extra === undefined ? undefined : Math.max(0, delay + extra)
  }

/**
 * Queues as on a shared access line: mostly short, for a share of the packets long (Pareto of index 1.5, cut at a hundred
 * times the scale), and longer by day than by night.
 */
export const busyPath =
  (base: number, scale: number, longShare: number): PathModel =>
  (t, _direction, random) => {
    const busy = 1 + 0.8 * Math.sin((2 * Math.PI * t) / 86_400)
    const long = random.uniform() < longShare * busy
    const queue = long ? Math.min(100, (1 - random.uniform()) ** (-1 / 1.5)) : random.exponential()
    return base + scale * queue
  }
