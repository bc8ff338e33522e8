/** Simulated paths: what happens to a packet. Delays are in seconds; undefined is a packet that never arrives. */
import type { RandomStream } from "./sim-random.ts"

type Direction = "request" | "reply"

/** The fate of a packet sent at true time `t`. */
export interface PathModel {
  (t: number, direction: Direction, random: RandomStream): number | undefined
  /** The same as an expression of clknetsim, so that chronyd can be run through it; undefined where there is none. */
  readonly clknetsim?: ((direction: Direction) => string) | undefined
}

type Fate = (t: number, direction: Direction, random: RandomStream) => number | undefined

const path = (fate: Fate, clknetsim: PathModel["clknetsim"]): PathModel =>
  Object.assign((t: number, direction: Direction, random: RandomStream) => fate(t, direction, random), { clknetsim })

/** Happens to this share of the packets: 1, else 0. */
const chance = (share: number): string => `(equal ${share} (uniform) 0.0)`

/** Negative delays are losses in clknetsim. */
const LOST = -1e6

interface ExponentialPath {
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
export const exponentialPath = ({ base, jitter, asymmetry = 0, loss = 0 }: ExponentialPath): PathModel => {
  const scale = (direction: Direction): number =>
    jitter * (direction === "request" ? 1 - 2 * asymmetry : 1 + 2 * asymmetry)
  return path(
    (_t, direction, random) => {
      const delay = base + scale(direction) * random.exponential()
      return random.uniform() < loss ? undefined : delay
    },
    (direction) => `(+ ${base} (* ${scale(direction)} (exponential)) (* ${LOST} ${chance(loss)}))`
  )
}

/** Delays about a mean that are as often shorter as longer: a switched network, or an access line that is never idle. */
export const gaussianPath = (mean: number, deviation: number): PathModel =>
  path(
    (_t, _direction, random) => Math.max(0, mean + deviation * random.normal()),
    () => `(max 0.0 (+ ${mean} (* ${deviation} (normal))))`
  )

/**
 * Adds to another path's delays; undefined loses the packet.
 * @param expression the same in clknetsim's language
 */
export const changedPath = (of: PathModel, change: Fate, expression?: (direction: Direction) => string): PathModel =>
  path(
    (t, direction, random) => {
      const delay = of(t, direction, random)
      const extra = change(t, direction, random)
      return delay === undefined || extra === undefined ? undefined : Math.max(0, delay + extra)
    },
    of.clknetsim === undefined || expression === undefined
      ? undefined
      : (direction) => `(+ ${of.clknetsim?.(direction)} ${expression(direction)})`
  )

/** A share of the packets is late by anything up to `upTo` seconds: WiFi, and power saving. */
export const spikedPath = (of: PathModel, share: number, upTo: number): PathModel =>
  changedPath(
    of,
    (_t, _direction, random) => (random.uniform() < share ? upTo * random.uniform() : 0),
    () => `(* ${chance(share)} ${upTo} (uniform))`
  )

/** A queue one way that grows evenly to `height` seconds, drains at once and begins anew. */
export const sawtoothQueue = (of: PathModel, way: Direction, height: number, period: number): PathModel =>
  changedPath(
    of,
    (t, direction) => (direction === way ? (height * (t % period)) / period : 0),
    (direction) => (direction === way ? `(* ${height / period} (% time ${period}))` : "0.0")
  )

/** A queue one way of anything up to `height` seconds, in the first `busy` seconds of each period: an upload. */
export const busyQueue = (of: PathModel, way: Direction, height: number, busy: number, period: number): PathModel =>
  changedPath(
    of,
    (t, direction, random) => {
      const queue = height * random.uniform()
      return direction === way && t % period < busy ? queue : 0
    },
    (direction) =>
      direction === way ? `(* ${height} (uniform) (equal ${busy / 2} (% time ${period}) ${busy / 2}))` : "0.0"
  )

/** From `since` on the way there is longer by `extra` seconds: another route. */
export const reroutedPath = (of: PathModel, since: number, extra: number): PathModel =>
  changedPath(
    of,
    (t, direction) => (direction === "request" && t > since ? extra : 0),
    (direction) => (direction === "request" ? `(* ${extra} (equal 0.0 (min time ${since}) ${since}))` : "0.0")
  )

/**
 * Queues as on a shared access line: mostly short, for a share of the packets long (Pareto of index 1.5, cut at a hundred
 * times the scale), and longer by day than by night.
 */
export const busyPath = (base: number, scale: number, longShare: number): PathModel =>
  path((t, _direction, random) => {
    const busy = 1 + 0.8 * Math.sin((2 * Math.PI * t) / 86_400)
    const long = random.uniform() < longShare * busy
    const queue = long ? Math.min(100, (1 - random.uniform()) ** (-1 / 1.5)) : random.exponential()
    return base + scale * queue
  }, undefined)
