/**
 * Commits: the unit that stores keep. A commit's body is a JSON array of its events, so that several events of one
 * decision are stored whole or not at all on every store, whatever it knows of transactions.
 */
import type { AnyEvent } from "@meridian/events"
import {
  encodeEvent,
  familyOf,
  judgeEvent,
  readEventQuickly,
  MAX_EVENT_BYTES,
  MOST_LIVE_GENERATIONS
} from "@meridian/events"
import type { Authenticity } from "./authenticity.ts"
import { EventRefused, type QuarantineReason } from "./event-log.ts"

/** Longest body, in UTF-8 bytes; well under the 1 MB that a NATS message may have. */
const MAX_COMMIT_BYTES = 262_144

/** Most events in a commit: one for each generation that there can be. */
const MAX_COMMIT_EVENTS = MOST_LIVE_GENERATIONS

/** A commit about to be stored. */
export interface Commit {
  readonly subject: string
  /** Versions of its first and last event. */
  readonly first: number
  readonly last: number
  /** Id of its first event; tells a repetition from a rival. */
  readonly id: string
  readonly body: string
  /** It may stand after any earlier version: what was between is lost. */
  readonly overHole?: boolean | undefined
}

/** Whether a commit may stand after a version of its subject. */
export const mayFollow = ({ first, overHole }: Commit, version: number): boolean =>
  version === first - 1 || (version < first && overHole === true)

/** A commit as a store hands it back: nothing in it can be relied on yet. */
export interface RawCommit {
  readonly seq: number
  readonly subject: string
  readonly body: string
  /** What was stored had another sum. */
  readonly damaged?: boolean
}

/**
 * A raw commit of a reader. A class and not a literal: V8 may move the literals of a place to the old generation for good
 * ("pretenuring"), and there each dead one keeps its body alive until the next full collection: a fifth of a replay's time.
 */
export class FoundCommit implements RawCommit {
  readonly seq: number
  readonly subject: string
  readonly body: string
  readonly damaged: boolean
  constructor(seq: number, subject: string, body: string, damaged = false) {
    this.seq = seq
    this.subject = subject
    this.body = body
    this.damaged = damaged
  }
}

/** Looks at an event more deeply than its schema can; says what is wrong, if anything. Must not throw. */
export type Inspect = (event: AnyEvent) => string | undefined

const TOO_LONG = `an event is at most ${MAX_EVENT_BYTES} bytes`
const isOversized = (text: string): boolean => Buffer.byteLength(text) > MAX_EVENT_BYTES

/** The commit of some events, or why they cannot be one. */
export const makeCommit = (
  subject: string,
  events: ReadonlyArray<AnyEvent>,
  expectedVersion: number,
  inspect: Inspect | undefined,
  authenticity?: Authenticity
): Commit | EventRefused => {
  const refused = (reason: QuarantineReason, detail: string): EventRefused =>
    new EventRefused({ subject: subject.slice(0, 128), reason, detail })
  const [head] = events
  if (familyOf(subject) === undefined) return refused("wrong-subject", "no such subject")
  if (head === undefined || events.length > MAX_COMMIT_EVENTS)
    return refused("malformed", `a commit has 1 to ${MAX_COMMIT_EVENTS} events, this one has ${events.length}`)
  const texts = events.map((event) => encodeEvent(authenticity?.sign(event) ?? event))
  if (texts.some(isOversized)) return refused("oversized", TOO_LONG)
  const body = `[${texts.join(",")}]`
  const opened = openCommit({ seq: 0, subject, body }, inspect)
  if (opened._tag === "Bad") return refused(opened.reason, opened.detail)
  if (head.version !== expectedVersion + 1)
    return refused("out-of-order", `the first event has version ${head.version}, expected ${expectedVersion + 1}`)
  return { subject, first: head.version, last: expectedVersion + events.length, id: head.id, body }
}

type OpenedCommit =
  | { readonly _tag: "Good"; readonly events: ReadonlyArray<AnyEvent> }
  | { readonly _tag: "Bad"; readonly reason: QuarantineReason; readonly detail: string }

const bad = (reason: QuarantineReason, detail: string): OpenedCommit => ({ _tag: "Bad", reason, detail })

/** The events of a commit, or why it must be put aside. One bad event condemns its commit. Does not throw. */
export const openCommit = (
  { seq, subject, body, damaged }: RawCommit,
  inspect: Inspect | undefined,
  authenticity?: Authenticity
): OpenedCommit => {
  if (damaged === true) return bad("damaged", "it is not what was stored: its sum is another; look at the disk")
  if (
    body.length > MAX_COMMIT_BYTES ||
    (body.length * 3 > MAX_COMMIT_BYTES && Buffer.byteLength(body) > MAX_COMMIT_BYTES)
  )
    return bad("oversized", `a commit is at most ${MAX_COMMIT_BYTES} bytes`)
  // A UTF-16 unit is at most three bytes, so only a long body can hold an event that is too long.
  const long = body.length * 3 > MAX_EVENT_BYTES
  const only = long ? undefined : onlyEventOf(body)
  if (only?.subject === subject) {
    const doubt = authenticity?.doubt(subject, only, seq)
    if (doubt !== undefined) return bad(doubt.reason, doubt.detail)
    const wrong = inspect?.(only)
    return wrong === undefined ? { _tag: "Good", events: [only] } : bad("wrongly-sealed", wrong)
  }
  const values = parse(body)
  if (values === undefined) return bad("malformed", "not a JSON array of events")
  if (values.length === 0 || values.length > MAX_COMMIT_EVENTS)
    return bad("malformed", `a commit has 1 to ${MAX_COMMIT_EVENTS} events, this one has ${values.length}`)
  let previous: AnyEvent | undefined
  for (let index = 0; index < values.length; index++) {
    const doubt = authenticity?.doubt(subject, values[index], seq)
    if (doubt !== undefined) return bad(doubt.reason, doubt.detail)
    const event = judgeEvent(values[index])
    if ("_tag" in event) return bad(event.reason, event.detail)
    if (long && isOversized(encodeEvent(event))) return bad("oversized", TOO_LONG)
    if (event.subject !== subject) return bad("wrong-subject", `an event of ${event.subject} in ${subject}`)
    if (previous !== undefined && event.version !== previous.version + 1)
      return bad("out-of-order", `version ${event.version} follows ${previous.version}`)
    const wrong = inspect?.(event)
    if (wrong !== undefined) return bad("wrongly-sealed", wrong)
    values[index] = previous = event
  }
  return { _tag: "Good", events: values as ReadonlyArray<AnyEvent> }
}

/** The one event of a commit that surely has no other, which is what nearly all are. */
const onlyEventOf = (body: string): AnyEvent | undefined =>
  body.startsWith("[") && body.endsWith("]") ? readEventQuickly(body, 1, body.length - 1) : undefined

const parse = (body: string): Array<unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(body)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** What a body says of versions and identity, even where its events are of a release we do not know. */
export interface CommitClaim {
  readonly first: number
  readonly last: number
  readonly id: string
}

/** The versions a body lays claim to, or undefined where it has none that can be believed. */
export const claimOf = (subject: string, body: string): CommitClaim | undefined => {
  const values = parse(body) as ReadonlyArray<Partial<AnyEvent> | null> | undefined
  const [first, last] = [values?.[0], values?.at(-1)]
  if (values === undefined || !isOrdinal(first?.version) || !isOrdinal(last?.version)) return undefined
  if (first.subject !== subject || last.version - first.version !== values.length - 1) return undefined
  return { first: first.version, last: last.version, id: String(first.id) }
}

const isOrdinal = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1
