/** What the log makes of this service's commands: decided, written, read back and folded as its owner does. */
import { judgeEvent, clock, type ClockDecision, clockInitial, type ClockState } from "@meridian/events"

interface FoldedClock {
  readonly state: ClockState
  /** Types of the events, or why one is not taken. */
  readonly judged: readonly string[]
}

export const foldClock = (commands: readonly ClockDecision[]): FoldedClock => {
  let state = clockInitial("node-a")
  const judged: string[] = []
  for (const [index, command] of commands.entries()) {
    const decision = clock.decide(state, command, { id: `command-${index}`, node: "node-a", now: 1_767_225_600_000 })
    if (decision._tag === "Refused") {
      judged.push(decision.message)
      continue
    }
    for (const event of decision.events) {
      const read = judgeEvent(JSON.parse(JSON.stringify(event)))
      judged.push("type" in read ? read.type : JSON.stringify(read))
      const next = clock.evolve(state, event)
      if ("_tag" in next) judged.push(next.reason)
      else state = next
    }
  }
  return { state, judged }
}
