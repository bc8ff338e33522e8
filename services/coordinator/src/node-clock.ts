/**
 * The time this node decides by: its own clock, never going back ({@link ForwardClock}), unless other clocks agree that it is
 * off ({@link ClockWitnesses}); then theirs. So a clock that is set wrong neither makes the node serve with keys before or
 * after their time, nor puts times into the log that hold up everybody else. Where others confirm it, the time decided by
 * is ahead of theirs by twice the limit at most: the clock by once, what was seen before it by as much again.
 */
import { type Envelope, fromIso, memberSubject } from "@meridian/events"
import { CLOCK_LIMIT_MS, ClockWitnesses, type Verdict } from "./clock-witnesses.ts"
import { ForwardClock } from "./forward-clock.ts"

interface NodeClockPlan {
  /** This system's clock, milliseconds since 1970. */
  readonly clock: () => number
  /** Milliseconds of a clock that nobody steps. */
  readonly steady: () => number
  /** This node's name. */
  readonly node: string
  /** Whether there are others to compare with: a cluster. */
  readonly compares: boolean
}

export class NodeClock {
  readonly #plan: NodeClockPlan
  readonly #witnesses = new ClockWitnesses()
  readonly #forward: ForwardClock
  #sure = 0

  constructor(plan: NodeClockPlan) {
    this.#plan = plan
    this.#forward = new ForwardClock(() => this.#best(), plan.steady)
  }

  /** Milliseconds since 1970. */
  readonly now = (): number => {
    const confirmed = this.#isConfirmed
    const best = this.#best()
    // What this node has seen alone, or has written down while its clock was off, does not count against the others.
    if (confirmed && this.#forward.now() - best > CLOCK_LIMIT_MS) this.#forward.set(best)
    const now = this.#forward.now()
    if (confirmed || !this.#plan.compares) this.#sure = now
    return now
  }

  /** The latest that it has been for sure: fit to be kept for the next start. */
  get sure(): number {
    this.now()
    return this.#sure
  }

  /** It has been at least that late already, as this node's own records say. */
  notBefore(moment: number): void {
    this.#forward.notBefore(moment)
    this.#sure = Math.max(this.#sure, moment)
  }

  /**
   * An event has come in as it was appended. What another node says of itself bears its clock's time; elsewhere an event may
   * bear the time that those before it had.
   */
  hear({ node, subject, time }: Envelope): void {
    if (node !== this.#plan.node && subject === memberSubject(node))
      this.#witnesses.hearNode(node, fromIso(time), this.#plan.steady())
  }

  hearServer(time: number): void {
    this.#witnesses.hearServer(time, this.#plan.steady())
  }

  /** Why this node must not lead, empty when it may: a sentence. */
  get doubt(): string {
    const verdict = this.#verdict
    if (verdict._tag === "Good") return ""
    if (verdict._tag === "Alone") return "this node's clock can be compared with no other at the moment"
    const { ahead, whose } = verdict
    const by = `${Math.round(Math.abs(ahead) / 1_000)} s ${ahead > 0 ? "ahead of" : "behind"}`
    return `this node's clock is ${by} ${whose}: it does not lead until it is set right`
  }

  /** Whether to try for the lease: also where the try itself is what there is to compare with. */
  get mayCompete(): boolean {
    return this.#verdict._tag !== "Off"
  }

  /** Whether what this node writes into the log may bear its time: not while it is one clock against one. */
  get mayWrite(): boolean {
    const verdict = this.#verdict
    return verdict._tag === "Good" || (verdict._tag === "Off" && verdict.time !== undefined)
  }

  get #verdict(): Verdict {
    if (!this.#plan.compares) return { _tag: "Good", confirmed: false }
    return this.#witnesses.judge(this.#plan.clock(), this.#plan.steady())
  }

  get #isConfirmed(): boolean {
    const verdict = this.#verdict
    return verdict._tag === "Good" ? verdict.confirmed : verdict._tag === "Off" && verdict.time !== undefined
  }

  #best(): number {
    const verdict = this.#verdict
    return verdict._tag === "Off" && verdict.time !== undefined ? verdict.time : this.#plan.clock()
  }
}
