/**
 * Commands for the clock's aggregate, on their way to whoever owns the log. A source that flaps must not fill it: of
 * commands about one thing only the newest waits, and so many a minute leave at most.
 */
import type { ClockDecision, Measurement } from "@meridian/events"

/** Events at once, and how long each takes to be allowed again, seconds. */
const BURST = 20
const REFILL_SECONDS = 5
const MOST_WAITING = 128
const LONGEST_REASON = 256

/** What a command is about. */
const topicOf = (command: ClockDecision): string => {
  switch (command._tag) {
    case "SetReachability":
      return `reach ${command.source}`
    case "SetPassivePeer":
      return `passive ${command.source}`
    case "ChoosePeer":
    case "EnterHoldover":
      return "peer"
    case "ArmLeap":
      return "leap"
    case "Step":
      return `step ${command.reason}`
  }
}

export class ClockEventOutbox {
  private readonly send: (events: readonly ClockDecision[]) => void
  private readonly waiting = new Map<string, ClockDecision>()
  private allowance = BURST
  private flushedAt = 0
  /** Commands that were overtaken by a newer one about the same thing, or for which there was no room. */
  suppressed = 0

  constructor(send: (events: readonly ClockDecision[]) => void) {
    this.send = send
  }

  add(command: ClockDecision): void {
    const topic = topicOf(command)
    if (this.waiting.has(topic)) this.suppressed += 1
    else if (this.waiting.size >= MOST_WAITING) {
      this.suppressed += 1
      return
    }
    this.waiting.delete(topic)
    this.waiting.set(topic, withinBounds(command))
  }

  /** Sends what may leave now. @param now CLOCK_MONOTONIC, seconds */
  flush(now: number): void {
    this.allowance = Math.min(BURST, this.allowance + (now - this.flushedAt) / REFILL_SECONDS)
    this.flushedAt = now
    const leaving = [...this.waiting].slice(0, Math.floor(this.allowance))
    if (leaving.length === 0) return
    this.allowance -= leaving.length
    for (const [topic] of leaving) this.waiting.delete(topic)
    this.send(leaving.map(([, command]) => command))
  }
}

const MOST_MEASUREMENTS = 64

/** The aggregate refuses longer ones. */
const withinBounds = (command: ClockDecision): ClockDecision => {
  const reason = "reason" in command ? { reason: command.reason.slice(0, LONGEST_REASON) } : {}
  const measurements: { measurements?: readonly Measurement[] } =
    "measurements" in command ? { measurements: command.measurements.slice(0, MOST_MEASUREMENTS) } : {}
  return { ...command, ...reason, ...measurements } as ClockDecision
}
