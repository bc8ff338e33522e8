/**
 * What other clocks say about this node's: those of the other nodes, by the times of their events as they come in, and that
 * of NATS, by the time it gives the lease. A clock that is far off must not lead, or keys would rotate and end before their
 * time, for everybody. Pure: every reading comes with a moment of a clock that nobody steps.
 *
 * The nodes decide, this one among them, where more than half of at least two agree; else NATS does. Times are in
 * milliseconds, those of clocks since 1970.
 */

/** Clocks this far apart agree: far more than any two that are kept right, and more than an event takes to get here. */
export const CLOCK_LIMIT_MS = 10_000
/** Readings kept of a witness. The latest of what they come to counts: what delays an event makes its clock seem late. */
const READINGS_KEPT = 4
/** What was read longer ago is no witness. */
const READING_LIFE_MS = 600_000
/** An event tells its node's time only if it came at once: NATS was in reach for this long, and no longer ago than this. */
const CONTACT_MS = 5_000

interface Reading {
  /** What the witness's clock showed, at least. */
  readonly time: number
  /** When that was, by the steady clock. */
  readonly steady: number
}

export type Verdict =
  /** `confirmed`: some other clock says so. */
  | { readonly _tag: "Good"; readonly confirmed: boolean }
  /** Nobody to compare with yet. */
  | { readonly _tag: "Alone" }
  /**
   * This clock is `ahead` of `whose` by so many milliseconds, behind where negative. `time`: what the others agree on;
   * undefined where it is one clock against one.
   */
  | { readonly _tag: "Off"; readonly ahead: number; readonly whose: string; readonly time: number | undefined }

export class ClockWitnesses {
  readonly #nodes = new Map<string, Array<Reading>>()
  #server: Array<Reading> = []
  #serverTime = 0
  #heardAt = Number.NEGATIVE_INFINITY
  #inReachSince = Number.NEGATIVE_INFINITY

  /** An event of another node has come in; `time` is the event's. */
  hearNode(node: string, time: number, steady: number): void {
    const atOnce = steady - this.#heardAt <= CONTACT_MS && steady - this.#inReachSince >= CONTACT_MS
    if (atOnce) this.#nodes.set(node, kept(this.#nodes.get(node) ?? [], { time, steady }))
  }

  /** NATS has shown the time at which it stored something a moment ago. A time it has shown before says nothing new. */
  hearServer(time: number, steady: number): void {
    if (time === this.#serverTime) return
    this.#serverTime = time
    if (steady - this.#heardAt > CONTACT_MS) this.#inReachSince = steady
    this.#heardAt = steady
    this.#server = kept(this.#server, { time, steady })
  }

  /** Judges the node's clock, which shows `own`. */
  judge(own: number, steady: number): Verdict {
    const others = [...this.#nodes].flatMap(([name, readings]) => {
      const time = shown(readings, steady)
      return time === undefined ? [] : [{ name, time }]
    })
    const near = (a: number, b: number): boolean => Math.abs(a - b) <= CLOCK_LIMIT_MS
    const against = others.filter(({ time }) => !near(time, own))
    const withUs = others.length - against.length + 1
    if (withUs >= 2 && withUs > against.length) return { _tag: "Good", confirmed: true }
    const off = (whose: string, by: number, time: number | undefined): Verdict => ({
      _tag: "Off",
      ahead: own - by,
      whose,
      time
    })
    const middle = against.toSorted((a, b) => a.time - b.time)[against.length >> 1]?.time ?? own
    const united = against.filter(({ time }) => near(time, middle))
    if (united.length >= 2 && united.length > withUs)
      return off(
        `nodes ${united
          .map(({ name }) => name)
          .toSorted()
          .join(", ")}`,
        middle,
        middle
      )
    const server = shown(this.#server, steady)
    if (server === undefined) return { _tag: "Alone" }
    if (near(server, own)) return { _tag: "Good", confirmed: true }
    const ally = against.find(({ time }) => near(time, server))
    return ally === undefined ? off("NATS", server, undefined) : off(`NATS and node ${ally.name}`, server, server)
  }
}

const kept = (readings: ReadonlyArray<Reading>, fresh: Reading): Array<Reading> => [
  ...readings.slice(1 - READINGS_KEPT),
  fresh
]

/** What the clock shows now, as far as its readings tell. */
const shown = (readings: ReadonlyArray<Reading>, steady: number): number | undefined => {
  const valid = readings.filter((it) => steady - it.steady <= READING_LIFE_MS)
  return valid.length === 0 ? undefined : Math.max(...valid.map((it) => it.time + steady - it.steady))
}
