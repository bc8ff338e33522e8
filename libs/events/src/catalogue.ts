/**
 * Every type of event there is, and how events are read from text and written to it. Text comes from disks and from other machines:
 * whatever is not an event of a known type and version, whole and within bounds, is refused here with a reason and never
 * reaches a fold.
 */
import "effect/schema/SchemaJITCompiler/enable"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { clockDefinitions, type ClockEvent } from "./clock.ts"
import { CLUSTER_KEY_SUBJECT, clusterKeyDefinitions, type ClusterKeyEvent } from "./cluster-key.ts"
import {
  type Envelope,
  type EventDefinition,
  isAuthor,
  isInstant,
  isNodeName,
  MAX_EVENT_BYTES,
  schemaVersion
} from "./event.ts"
import { type MemberEvent, membersDefinitions } from "./members.ts"
import { NTS_KEYS_SUBJECT, ntsKeysDefinitions, type NtsKeysEvent } from "./nts-keys-events.ts"
import { POLICY_SUBJECT, policyDefinitions, type PolicyEvent } from "./policy.ts"
import { isQuickId, quickChecks } from "./quick-checks.ts"
import { quickReader } from "./quick-event.ts"
import { SYMMETRIC_KEYS_SUBJECT, symmetricKeysDefinitions, type SymmetricKeysEvent } from "./symmetric-keys-state.ts"

export type AnyEvent = NtsKeysEvent | SymmetricKeysEvent | ClusterKeyEvent | MemberEvent | PolicyEvent | ClockEvent

/** What subjects are kept and dropped by. */
export type Family = "keys" | "members" | "policy" | "clock"

export type RefusalReason =
  /** Not JSON, or an envelope or data that breaks its schema. */
  | "malformed"
  /** Longer than {@link MAX_EVENT_BYTES}. */
  | "oversized"
  | "unknown-type"
  | "unknown-version"
  /** Of a type that has no place in this subject. */
  | "wrong-subject"

interface Refusal {
  readonly _tag: "Refusal"
  readonly reason: RefusalReason
  /** What is wrong where. Never holds data of the event. */
  readonly detail: string
}

export type AnyDefinition = EventDefinition<string, unknown>

/** Whether an event may stand in a subject. `fixed` is one subject; `per` a family with one subject a node. */
type Place = { readonly fixed: string } | { readonly per: "members" | "clock" }

interface Entry {
  readonly definition: AnyDefinition
  readonly newest: number
  readonly place: Place
  readonly is: (data: unknown) => boolean
  /** True only where `is` would be; the schema itself where there is no quicker check. */
  readonly isSurely: (data: object) => boolean
}

/** Some definitions and where their events may stand. */
interface Section {
  readonly definitions: ReadonlyArray<unknown>
  readonly place: Place
}

/** A judge of parsed values over some sections; {@link judgeEvent} is the one over all there is. */
export const openCatalogue = (
  sections: ReadonlyArray<Section>
): { readonly entries: ReadonlyMap<string, Entry>; readonly judge: (value: unknown) => AnyEvent | Refusal } => {
  const entries = new Map(
    sections.flatMap(({ definitions, place }) =>
      (definitions as ReadonlyArray<AnyDefinition>).map((definition): readonly [string, Entry] => {
        const is = Schema.is(definition.schema)
        const isSurely = quickChecks[definition.type] ?? is
        return [definition.type, { definition, newest: schemaVersion(definition), place, is, isSurely }]
      })
    )
  )
  return { entries, judge: (value) => judgeBy(entries, value) }
}

const catalogue = openCatalogue([
  { definitions: ntsKeysDefinitions, place: { fixed: NTS_KEYS_SUBJECT } },
  { definitions: symmetricKeysDefinitions, place: { fixed: SYMMETRIC_KEYS_SUBJECT } },
  { definitions: clusterKeyDefinitions, place: { fixed: CLUSTER_KEY_SUBJECT } },
  { definitions: policyDefinitions, place: { fixed: POLICY_SUBJECT } },
  { definitions: membersDefinitions, place: { per: "members" } },
  { definitions: clockDefinitions, place: { per: "clock" } }
])

/** Every definition, in the order of the aggregates. */
export const definitions: ReadonlyArray<AnyDefinition> = [...catalogue.entries.values()].map((it) => it.definition)

/** The family of a subject, or undefined where it is no subject of ours. */
export const familyOf = (subject: string): Family | undefined => {
  if (subject === NTS_KEYS_SUBJECT || subject === SYMMETRIC_KEYS_SUBJECT || subject === CLUSTER_KEY_SUBJECT)
    return "keys"
  if (subject === POLICY_SUBJECT) return "policy"
  if (subject.startsWith("members.") && isNodeName(subject, 8)) return "members"
  if (subject.startsWith("clock.") && isNodeName(subject, 6)) return "clock"
  return undefined
}

const RESTORATIONS: ReadonlySet<string> = new Set([
  "NtsKeysRestored",
  "SymmetricKeysRestored",
  "ClusterKeyRestored",
  "PolicyRestored"
])

/** Whether an event of this type lays in again what a log has lost: only who has the cluster key may. */
export const isRestoration = (type: string): boolean => RESTORATIONS.has(type)

const refusal = (reason: RefusalReason, detail: string): Refusal => ({ _tag: "Refusal", reason, detail })

/** The JSON text of an event. */
export const encodeEvent = (event: AnyEvent): string => JSON.stringify(event)

/**
 * An event of JSON text, brought up to the newest version of its schema. Refused with a reason where it is none; it does
 * not throw.
 */
export const decodeEvent = (text: string): AnyEvent | Refusal => {
  // A UTF-16 unit is at most three bytes, so only long text needs counting.
  if (text.length * 3 > MAX_EVENT_BYTES && utf8Length(text) > MAX_EVENT_BYTES)
    return refusal("oversized", `an event is at most ${MAX_EVENT_BYTES} bytes, this one has ${utf8Length(text)}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refusal("malformed", "not JSON")
  }
  return judgeEvent(value)
}

/** {@link decodeEvent} for what is already parsed. */
export const judgeEvent = (value: unknown): AnyEvent | Refusal => judgeBy(catalogue.entries, value)

/** The same verdict without the quick checks: what {@link judgeEvent} is held against. */
export const judgeEventBySchema = (value: unknown): AnyEvent | Refusal => judgeAtLength(catalogue.entries, value)

const judgeBy = (entries: ReadonlyMap<string, Entry>, value: unknown): AnyEvent | Refusal =>
  isSurelyEvent(entries, value) ? value : judgeAtLength(entries, value)

/** Whether a value is an event beyond doubt: what a log holds but for old versions and damage. Quick, and says no reason. */
const isSurelyEvent = (entries: ReadonlyMap<string, Entry>, value: unknown): value is AnyEvent => {
  if (typeof value !== "object" || value === null) return false
  const { type, schema, id, time, node, cause, author, subject, version, data } = value as {
    readonly [Name in keyof Envelope | "data"]?: unknown
  }
  const entry = typeof type === "string" ? entries.get(type) : undefined
  if (entry === undefined || schema !== entry.newest || !isQuickId(id) || !isQuickId(cause)) return false
  if (typeof time !== "string" || !isInstant(time) || typeof node !== "string" || !isNodeName(node)) return false
  if (author !== undefined && !isAuthor(author)) return false
  if (typeof subject !== "string" || !isOrdinal(version) || !isPlaced(entry.place, subject)) return false
  return typeof data === "object" && data !== null && !Array.isArray(data) && entry.isSurely(data)
}

const isPlaced = (place: Place, subject: string): boolean =>
  "fixed" in place ? subject === place.fixed : familyOf(subject) === place.per

const readQuickly = quickReader(catalogue.entries, (entry, subject) => isPlaced(entry.place, subject))

/**
 * The event that stands in a text from one place up to another, where {@link decodeEvent} would surely come to it as well.
 * Undefined says nothing. Does not look at its length.
 */
export const readEventQuickly = (text: string, from: number, to: number): AnyEvent | undefined =>
  readQuickly(text, from, to) as AnyEvent | undefined

/** Every field in turn, so that a refusal has its reason. */
const judgeAtLength = (entries: ReadonlyMap<string, Entry>, value: unknown): AnyEvent | Refusal => {
  const envelope = value as Partial<Envelope> & { readonly data?: unknown }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refusal("malformed", "not an object")
  const wrong = wrongField(envelope)
  if (wrong !== undefined) return refusal("malformed", `${wrong} is missing or malformed`)
  const { type, schema, subject } = envelope as Envelope
  const entry = entries.get(type)
  if (entry === undefined) return refusal("unknown-type", `no event is of type ${type}: this release may be too old`)
  if (schema > entry.newest)
    return refusal("unknown-version", `${type} is known up to version ${entry.newest}, this is ${schema}: upgrade`)
  if (!belongs(entry.place, subject)) return refusal("wrong-subject", `${type} has no place in ${subject}`)
  if (schema === entry.newest)
    return entry.is(envelope.data)
      ? (value as AnyEvent)
      : refusal("malformed", `${type}: ${explain(entry, envelope.data)}`)
  return upcast(entry, value as Envelope & { readonly data: unknown })
}

const upcast = (entry: Entry, event: Envelope & { readonly data: unknown }): AnyEvent | Refusal => {
  let data = event.data
  try {
    for (const step of entry.definition.upcasters.slice(event.schema - 1)) data = step(data)
  } catch {
    return refusal("malformed", `${event.type} of version ${event.schema} cannot be brought up to ${entry.newest}`)
  }
  return entry.is(data)
    ? ({ ...event, schema: entry.newest, data } as Envelope as AnyEvent)
    : refusal("malformed", `${event.type} of version ${event.schema}: ${explain(entry, data)}`)
}

const TYPE = /^[A-Z][A-Za-z]{2,63}$/
const ID = /^[0-9A-Za-z_.:-]{1,128}$/

/** The first field of the envelope that is not as it should be. */
const wrongField = (it: Partial<Envelope>): keyof Envelope | undefined => {
  if (typeof it.type !== "string" || !TYPE.test(it.type)) return "type"
  if (!isOrdinal(it.schema)) return "schema"
  if (typeof it.id !== "string" || !ID.test(it.id)) return "id"
  if (typeof it.time !== "string" || !isInstant(it.time)) return "time"
  if (typeof it.node !== "string" || !isNodeName(it.node)) return "node"
  if (typeof it.cause !== "string" || !ID.test(it.cause)) return "cause"
  if (it.author !== undefined && !isAuthor(it.author)) return "author"
  if (typeof it.subject !== "string" || familyOf(it.subject) === undefined) return "subject"
  if (!isOrdinal(it.version)) return "version"
  return undefined
}

const isOrdinal = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1

const belongs = (place: Place, subject: string): boolean =>
  "fixed" in place ? subject === place.fixed : subject.startsWith(`${place.per}.`)

/** Where the data breaks its schema; paths only, since values may be secret. */
const explain = (entry: Entry, data: unknown): string => {
  const result = Schema.decodeUnknownResult(entry.definition.schema)(data)
  return Result.isFailure(result) ? pathOf(String(result.failure)) : "the data is malformed"
}

const pathOf = (message: string): string => {
  const path = /at (\[.*\])\s*$/m.exec(message)?.[1]
  return path === undefined ? "the data is malformed" : `the data is malformed at ${path.slice(0, 200)}`
}

const utf8Length = (text: string): number => new TextEncoder().encode(text).length
