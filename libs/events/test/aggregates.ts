/** given / when / then for aggregates: fold what was, decide, look at what follows. */
import { expect } from "vitest"
import {
  type AggregateState,
  type CommandContext,
  type Decider,
  type Envelope,
  EventRejected,
  fold,
  toIso
} from "../src/event.ts"

export const START = Date.parse("2026-11-21T00:00:00.000Z")
export const HOUR = 3_600_000
export const DAY = 24 * HOUR

let commands = 0

/** A context at some hours after {@link START}. */
export const at = (hours: number, node = "node-a"): CommandContext => ({
  id: `cmd-${(commands += 1)}`,
  node,
  now: START + hours * HOUR
})

export const iso = (hours: number): string => toIso(START + hours * HOUR)

/** An aggregate's life in a test: every command it is given is folded in. */
export class Story<State extends AggregateState, Command, Event extends Envelope & { readonly data: unknown }> {
  state: State
  readonly events: Array<Event> = []
  readonly #decider: Decider<State, Command, Event>

  constructor(decider: Decider<State, Command, Event>, initial: State) {
    this.#decider = decider
    this.state = initial
  }

  /** Carries out a command that must be accepted; returns the types of its events. */
  when(command: Command, context: CommandContext): ReadonlyArray<string> {
    const decision = this.#decider.decide(this.state, command, context)
    if (decision._tag === "Refused") throw new Error(`refused: ${decision.rule}: ${decision.message}`)
    const { state, rejected } = fold(this.#decider, this.state, decision.events)
    if (rejected.length > 0) throw new Error(`decided and then rejected: ${rejected.map((it) => it.reason).join()}`)
    this.state = state
    this.events.push(...decision.events)
    return decision.events.map(({ type }) => type)
  }

  /** The rule that a command is refused by; the state stays. */
  refused(command: Command, context: CommandContext): string {
    const decision = this.#decider.decide(this.state, command, context)
    return decision._tag === "Refused" ? decision.rule : `accepted: ${decision.events.map(({ type }) => type).join()}`
  }

  /** Why an event that nobody decided is left out of the fold. */
  rejected(type: string, data: unknown, over: Partial<Envelope> = {}): string {
    const last = this.events.at(-1) as Event
    const forged = { ...last, version: this.state.version + 1, id: "forged", type, data, ...over }
    const next = this.#decider.evolve(this.state, forged)
    return next instanceof EventRejected ? next.reason : "folded"
  }
}

/** Folding is deterministic, may be cut anywhere, and takes no harm from hearing a prefix again. */
export const foldsWell = <State extends AggregateState, Event extends Envelope>(
  decider: Pick<Decider<State, never, Event>, "evolve">,
  initial: State,
  events: ReadonlyArray<Event>,
  cut: number
): void => {
  const whole = fold(decider, initial, events)
  expect(whole.rejected).toEqual([])
  expect(fold(decider, initial, events)).toEqual(whole)
  const prefix = fold(decider, initial, events.slice(0, cut))
  expect(fold(decider, prefix.state, events.slice(cut)).state).toEqual(whole.state)
  expect(fold(decider, prefix.state, events).state).toEqual(whole.state)
  expect(fold(decider, whole.state, events.slice(0, cut)).state).toBe(whole.state)
  expect(fold(decider, JSON.parse(JSON.stringify(prefix.state)) as State, events.slice(cut)).state).toEqual(whole.state)
}
