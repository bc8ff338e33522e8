/**
 * The envelope every event travels in, and how an aggregate makes and judges events.
 *
 * An aggregate is one subject ("keys.nts", "members.node-a"): a list of events numbered 1, 2, 3 … without holes. `decide`
 * turns a command into the next events or a refusal, `evolve` folds one event into the state. Both are functions of
 * their arguments: time and identifiers come in with the command, so the same commands give the same log, byte for byte.
 *
 * Times in events are UTC, ISO 8601 with milliseconds and a Z. States hold them as milliseconds since 1970.
 */
import * as Schema from "effect/Schema"

/** Longest JSON text of one event, in UTF-8 bytes. */
export const MAX_EVENT_BYTES = 65_536

/** What stands around the data of every event. */
export interface Envelope {
  readonly type: string
  /** Version of the data's schema; see {@link EventDefinition}. */
  readonly schema: number
  /** Unique in the log; the same when a command is carried out again after a lost answer. */
  readonly id: string
  /** When it was decided. Never earlier than any event before it in the same aggregate. */
  readonly time: string
  /** The node that decided it. */
  readonly node: string
  /** Id of the event or command behind it. */
  readonly cause: string
  /** Who asked for it, where a person did: "http alice", "meridian root". Absent in what a node does by itself. */
  readonly author?: string
  readonly subject: string
  /** Place in the aggregate, from 1. */
  readonly version: number
  /** Shows that a node with the cluster key wrote it (libs/event-log/src/authenticity.ts); the log puts it on and checks it. */
  readonly mac?: string
}

/** An event of one type, its data in the newest schema version. */
interface Recorded<Type extends string, Data> extends Envelope {
  readonly type: Type
  readonly data: Data
}

/**
 * A type of event: the schema of its newest data and the way there from older data. `upcasters[i]` turns data of schema
 * version i + 1 into version i + 2, so the newest version is the number of upcasters plus one.
 */
export interface EventDefinition<Type extends string, Data> {
  readonly type: Type
  readonly schema: Schema.Codec<Data, unknown>
  readonly upcasters: ReadonlyArray<(data: unknown) => unknown>
}

/** The events that a definition describes. */
export type EventOf<D> = D extends EventDefinition<infer Type, infer Data> ? Recorded<Type, Data> : never

/** Declares a type of event. Its JSON is its data as it stands: no transformation between memory and text. */
export const defineEvent = <Type extends string, Data>(
  type: Type,
  schema: Schema.Codec<Data, unknown>,
  upcasters: ReadonlyArray<(data: unknown) => unknown> = []
): EventDefinition<Type, Data> => ({ type, schema, upcasters })

/** The newest schema version of a type. */
export const schemaVersion = (definition: { readonly upcasters: ReadonlyArray<unknown> }): number =>
  definition.upcasters.length + 1

/** What comes with every command. */
export interface CommandContext {
  /** The command's own id; its events are `<id>.0`, `<id>.1` … */
  readonly id: string
  readonly node: string
  /** UTC as the deciding node believes it, milliseconds since 1970. */
  readonly now: number
  /** Id of the event or command behind this one; the command itself when absent. */
  readonly cause?: string
  /** Who asked, for {@link Envelope.author}. */
  readonly author?: string
}

/** What an aggregate's state always holds. */
export interface AggregateState {
  /** Events folded so far. */
  readonly version: number
  /** Greatest time seen in an event, milliseconds since 1970; 0 before the first. A clock stepped back cannot undo it. */
  readonly latest: number
  /** Version of the last event that said all there was to know, and needs none before it. Absent where there was none. */
  readonly restored?: number
}

/**
 * By how much a leader's term may be above the one before. Terms grow by one a second at most, with the lease's revisions: this
 * is a hundred years of them. One that jumps further would leave no room for the terms to come.
 */
const MOST_TERM_STEP = 2 ** 32

/** Whether a term may follow another. */
export const mayFollowTerm = (term: number, before: number): boolean => term > before && term - before <= MOST_TERM_STEP

/** The command is carried out by appending these events, none when there is nothing to do. */
interface Accepted<Event> {
  readonly _tag: "Accepted"
  readonly events: ReadonlyArray<Event>
}

/** The command breaks a rule; nothing is appended. */
export interface Refused {
  readonly _tag: "Refused"
  /** A short name for programs and counters. */
  readonly rule: string
  /** What was expected, what was found, what to do. */
  readonly message: string
}

export type Decision<Event> = Accepted<Event> | Refused

/** An event that does not follow from the state; it is counted and left out of the fold. */
export class EventRejected {
  readonly _tag = "EventRejected"
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

/** One aggregate's rules. `evolve` of an event already folded (version not above the state's) gives the same state. */
export interface Decider<State extends AggregateState, Command, Event extends Envelope> {
  readonly decide: (state: State, command: Command, context: CommandContext) => Decision<Event>
  readonly evolve: (state: State, event: Event) => State | EventRejected
}

export const refuse = (rule: string, message: string): Refused => ({ _tag: "Refused", rule, message })

/** Why a command under a term may not be decided on a log that is at another; undefined where it may. */
export const refuseTerm = (
  state: { readonly term: number; readonly leader: string | null },
  command: { readonly _tag: string; readonly term: number }
): Refused | undefined => {
  if (command.term < state.term)
    return refuse("fenced", `term ${command.term} is over: ${state.leader} leads with term ${state.term}; step down`)
  if (command.term > state.term && command._tag !== "TakeOver")
    return refuse(
      "not-leader",
      `term ${command.term} has not taken over (the log is at ${state.term}): take over first`
    )
  return undefined
}

/** The time a decision counts from: now, or the greatest time the log has shown where the clock has gone back. */
export const effectiveNow = (state: AggregateState, now: number): number => Math.max(now, state.latest)

/** ISO text of milliseconds since 1970. */
export const toIso = (milliseconds: number): string => new Date(milliseconds).toISOString()

/** Milliseconds since 1970 of text that {@link isInstant} has accepted; a fifth of what Date.parse takes. */
export const fromIso = (iso: string): number => {
  const month = twoDigits(iso, 5)
  // Years that begin in March have their leap day at the end, so days go by the month alone: 153 in each five months.
  const year = twoDigits(iso, 0) * 100 + twoDigits(iso, 2) - (month < 3 ? 1 : 0)
  const dayOfYear = Math.floor((153 * (month < 3 ? month + 9 : month - 3) + 2) / 5) + twoDigits(iso, 8) - 1
  const leapDays = Math.floor(year / 4) - Math.floor(year / 100) + Math.floor(year / 400)
  const days = year * 365 + leapDays + dayOfYear - MARCH_OF_YEAR_0_TO_1970
  const seconds = ((days * 24 + twoDigits(iso, 11)) * 60 + twoDigits(iso, 14)) * 60 + twoDigits(iso, 17)
  return seconds * 1_000 + twoDigits(iso, 20) * 10 + iso.charCodeAt(22) - DIGIT_0
}

/** Days from 1 March of year 0 to 1 January 1970. */
const MARCH_OF_YEAR_0_TO_1970 = 719_468

/**
 * A decision in the making: each event emitted is numbered on and folded at once, so the rules that follow see what the
 * rules before have done, and nothing is decided that the fold would reject.
 */
export class Draft<State extends AggregateState, Event extends Envelope> {
  /** The state with all events emitted so far. */
  state: State
  readonly events: Array<Event> = []
  /** The time of the decision, milliseconds since 1970: see {@link effectiveNow}. */
  readonly at: number
  readonly #evolve: (state: State, event: Event) => State | EventRejected
  readonly #subject: string
  readonly #context: CommandContext

  constructor(
    evolve: (state: State, event: Event) => State | EventRejected,
    state: State,
    subject: string,
    context: CommandContext
  ) {
    this.#evolve = evolve
    this.#subject = subject
    this.#context = context
    this.state = state
    this.at = effectiveNow(state, context.now)
  }

  emit<Type extends string, Data>(
    definition: EventDefinition<Type, Data> & (Recorded<Type, Data> extends Event ? unknown : never),
    data: NoInfer<Data>
  ): void {
    const event: Recorded<Type, Data> = {
      type: definition.type,
      schema: schemaVersion(definition),
      id: `${this.#context.id}.${this.events.length}`,
      time: toIso(this.at),
      node: this.#context.node,
      cause: this.#context.cause ?? this.#context.id,
      ...(this.#context.author === undefined ? {} : { author: this.#context.author }),
      subject: this.#subject,
      version: this.state.version + 1,
      data
    }
    const next = this.#evolve(this.state, event as Envelope as Event)
    if (next instanceof EventRejected)
      throw new Error(`a rule decided ${event.type} that its fold rejects: ${next.reason}`)
    this.state = next
    this.events.push(event as Envelope as Event)
  }

  accept(): Accepted<Event> {
    return { _tag: "Accepted", events: this.events }
  }
}

/** A fold's outcome: the state and what was left out of it, with reasons. */
interface Folded<State> {
  readonly state: State
  readonly rejected: ReadonlyArray<{ readonly event: Envelope; readonly reason: string }>
}

/** Folds events in the order given. */
export const fold = <State extends AggregateState, Event extends Envelope>(
  decider: Pick<Decider<State, never, Event>, "evolve">,
  initial: State,
  events: Iterable<Event>
): Folded<State> => {
  let state = initial
  const rejected: Array<{ event: Envelope; reason: string }> = []
  for (const event of events) {
    const next = decider.evolve(state, event)
    if (next instanceof EventRejected) rejected.push({ event, reason: next.reason })
    else state = next
  }
  return { state, rejected }
}

const ISO_UTC = "0000-00-00T00:00:00.000Z"
const DIGIT_0 = 48
const DIGIT_9 = 57
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/**
 * Whether text is a moment as events write it: ISO 8601, UTC, milliseconds, and a date that exists. By arithmetic,
 * because Date would take longer than all other checks of an event together.
 */
export const isInstant = (text: string): boolean => {
  if (text.length !== ISO_UTC.length) return false
  for (let at = 0; at < ISO_UTC.length; at++) {
    const expected = ISO_UTC.charCodeAt(at)
    const found = text.charCodeAt(at)
    if (expected === DIGIT_0 ? found < DIGIT_0 || found > DIGIT_9 : found !== expected) return false
  }
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const leapDay = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0
  const last = (MONTH_DAYS[month - 1] ?? 0) + leapDay
  return day >= 1 && day <= last && twoDigits(text, 11) < 24 && twoDigits(text, 14) < 60 && twoDigits(text, 17) < 60
}

const twoDigits = (text: string, at: number): number => text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 528

const LONGEST_NODE_NAME = 63
const HYPHEN = 45

/**
 * A node's name: a DNS label, so that it fits a subject and a file name. `from`: where in the text the name begins. A loop,
 * because it runs twice for every event that is read and a regular expression takes three times as long.
 */
export const isNodeName = (text: string, from = 0): boolean => {
  const length = text.length - from
  if (length < 1 || length > LONGEST_NODE_NAME) return false
  if (text.charCodeAt(from) === HYPHEN || text.charCodeAt(text.length - 1) === HYPHEN) return false
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (!((code >= 97 && code <= 122) || (code >= DIGIT_0 && code <= DIGIT_9) || code === HYPHEN)) return false
  }
  return true
}

/** Who may stand in {@link Envelope.author}: 1 to 128 printable characters of ASCII. */
export const isAuthor = (text: unknown): text is string => typeof text === "string" && /^[\x20-\x7e]{1,128}$/.test(text)

export const Instant = Schema.String.check(
  Schema.makeFilter((text: string) => isInstant(text), { expected: "a UTC time such as 2026-11-21T12:00:00.000Z" })
)

export const NodeName = Schema.String.check(
  Schema.makeFilter((text: string) => isNodeName(text), {
    expected: "a node name: a-z, 0-9 and inner hyphens, at most 63"
  })
)

/** Free text for operators. */
export const Reason = Schema.String.check(Schema.isBetweenLength(1, 256))

/** A whole number from 1. */
export const Ordinal = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }))

/** Milliseconds, from 0 to a hundred years. */
export const Milliseconds = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3_155_760_000_000 }))
