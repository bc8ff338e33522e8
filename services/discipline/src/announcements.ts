/** What the service tells the log, and the people who read it: commands with the measurements behind them, and warnings. */
import { type DisciplineOutcome, formatSeconds } from "@meridian/algorithms"
import type { ClockDecision, Measurement } from "@meridian/events"
import type { FromDiscipline } from "@meridian/ipc/discipline-report"
import { ClockEventOutbox } from "./clock-event-outbox.ts"
import type { ClockKeeper } from "./clock-keeper.ts"
import type { ReadClocks } from "./clocks.ts"
import { leapMoment, type LeapStanding } from "./leap-seconds.ts"
import { reasonToChoose } from "./reporting.ts"

type Send = (message: FromDiscipline<ClockDecision>) => void

/** The same sentence is not said again for so long, seconds. */
const SILENCE = 86_400
const MOST_REMEMBERED = 256

/** Says what an operator should read, the same not more than once a day. */
export class Warnings {
  private readonly send: Send
  private readonly read: ReadClocks
  private readonly said = new Map<string, number>()

  constructor(send: Send, read: ReadClocks) {
    this.send = send
    this.read = read
  }

  say(message: string): void {
    const { monotonic } = this.read()
    const before = this.said.get(message)
    if (before !== undefined && monotonic - before < SILENCE) return
    this.said.delete(message)
    const [oldest] = this.said.keys()
    if (this.said.size >= MOST_REMEMBERED && oldest !== undefined) this.said.delete(oldest)
    this.said.set(message, monotonic)
    this.send({ type: "warning", message })
  }
}

/** What announcements are about; all of it may be asked once the service stands. */
interface AnnouncedClock {
  readonly keeper: () => ClockKeeper
  readonly measurements: () => readonly Measurement[]
}

/** Said where no source would ever bring served time to what the clock was set to. */
const RESTART = ": restart the node to have it begin with the new time"

export class Announcements {
  private readonly send: Send
  private readonly outbox: ClockEventOutbox
  private readonly clock: AnnouncedClock
  private readonly read: ReadClocks
  private readonly warnings: Warnings
  private peer: string | undefined
  private leap: "none" | "insert" | "delete" = "none"
  private isHoldover = false

  constructor(send: Send, read: ReadClocks, warnings: Warnings, clock: AnnouncedClock) {
    this.send = send
    this.outbox = new ClockEventOutbox((events) => send({ type: "clock-events", events }))
    this.read = read
    this.warnings = warnings
    this.clock = clock
  }

  /** Sends what may leave by now. */
  flush(): void {
    this.outbox.flush(this.read().monotonic)
  }

  reachability(source: string, reachable: boolean, reach: number): void {
    this.outbox.add({ _tag: "SetReachability", source, reachable, reach })
  }

  passivePeer(source: string, key: number, taken: boolean, reason: string): void {
    this.outbox.add({ _tag: "SetPassivePeer", source, key, taken, reason })
  }

  /** Every decision; those that change nothing for anybody are not announced. */
  decided({ action, decision }: DisciplineOutcome): void {
    const { outbox, clock } = this
    const wasHoldover = this.isHoldover
    this.isHoldover = action._tag === "Holdover"
    const { discipline } = clock.keeper()
    switch (action._tag) {
      case "Set":
      case "Slewed":
      case "Stepped": {
        const peer = discipline.root?.peer
        if (peer !== undefined && (peer !== this.peer || wasHoldover)) {
          const reason = reasonToChoose(peer, this.peer, decision.verdicts)
          this.peer = peer
          outbox.add({ _tag: "ChoosePeer", peer, reason, measurements: clock.measurements() })
        }
        if (action._tag === "Stepped") {
          const reason = `the sources agree for long enough that the served time was off by ${formatSeconds(action.offset)}`
          outbox.add({ _tag: "Step", offset: action.offset, reason, measurements: clock.measurements() })
        }
        break
      }
      case "Holdover":
        if (wasHoldover) break
        this.peer = undefined
        outbox.add({
          _tag: "EnterHoldover",
          rootDispersion: discipline.rootDispersion(this.read().monotonic),
          reason: decision.verdicts.map(({ id, verdict }) => `${id}: ${verdict}`).join(", ") || "no source is left",
          measurements: clock.measurements()
        })
        break
      case "Panic":
        this.warnings.say(
          `the sources say that this clock is off by ${action.offset.toPrecision(3)} s, over the panic threshold: it is not followed; set the clock, or raise \`tinker panic\``
        )
        break
      case "Waiting":
      case "Spike":
    }
  }

  leapArmed(armed: LeapStanding | undefined): void {
    const leap = armed === undefined ? "none" : armed.change > 0 ? "insert" : "delete"
    if (leap === this.leap) return
    this.leap = leap
    const at = armed === undefined ? null : leapMoment(armed.at)
    const { root } = this.clock.keeper().discipline
    const source = armed?.origin === "file" ? "leap second file" : (root?.peer ?? "sources")
    this.outbox.add({ _tag: "ArmLeap", leap, at, source })
  }

  /** Each one is said: they are rare, and each is another. */
  foreignStep(seconds: number): void {
    const reason = `CLOCK_REALTIME was set by another program, by ${formatSeconds(seconds)}; served time stays what it was${this.clock.keeper().isLocal ? RESTART : ""}`
    this.send({ type: "warning", message: reason })
    this.outbox.add({ _tag: "Step", offset: seconds, reason, measurements: this.clock.measurements() })
  }
}
