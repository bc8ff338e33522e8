/**
 * The least delay of a path: what a packet needs that met no queue. A packet's delay over it bounds how wrong its offset
 * can be. Routes change, so it is the least of the last samples only; and when eight in a row stay above it by more than
 * they scatter, the route has changed and the old value is forgotten.
 */
export const FLOOR_WINDOW = 32
const ROUTE_WINDOW = 8

/** What the newest sample did to the floor: `change` is the new floor less the old one, seconds. */
export interface FloorChange {
  readonly change: number
  readonly route: boolean
}

export class DelayFloor {
  /** Seconds; 0 until the first sample. */
  least = 0
  /** Mean of the delays over the least, seconds. */
  meanExtra = 0
  #delays: number[] = []

  /** Takes a delay in (seconds, not negative). */
  add(delay: number): FloorChange {
    const before = this.#delays.length === 0 ? delay : this.least
    this.#delays.push(delay)
    if (this.#delays.length > FLOOR_WINDOW) this.#delays.shift()
    const recent = this.#delays.slice(-ROUTE_WINDOW)
    const leastRecent = Math.min(...recent)
    const spread = Math.max(...recent) - leastRecent
    const route = this.#delays.length > ROUTE_WINDOW && leastRecent - before > 2 * spread
    if (route) this.#delays = recent
    this.least = Math.min(...this.#delays)
    this.meanExtra = this.#delays.reduce((sum, it) => sum + it, 0) / this.#delays.length - this.least
    return { change: this.least - before, route }
  }
}
