/**
 * The text of an event as `encodeEvent` writes it, its envelope read and checked by one expression: with the data left to
 * JSON.parse, two thirds of what JSON.parse and the checks take one after the other. What it returns is the event that they
 * come to; undefined says nothing, and they decide. That both agree is a property test.
 */
import { type Envelope, isNodeName } from "./event.ts"

/** What is known of a type of event. */
interface QuickEntry {
  /** The newest version of its data's schema, the only one that is read here. */
  readonly newest: number
  /** Whether data is surely of that schema. */
  readonly isSurely: (data: object) => boolean
}

/** Digits of a number that is exact whatever they are. */
const ORDINAL = "([1-9][0-9]{0,14})"
const ID = "([0-9A-Za-z_.:-]{1,128})"
/** Every day there is but the 29th of February. */
const DAY = "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
const INSTANT = `([0-9]{4}-${DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{3}Z)`

const ENVELOPE = new RegExp(
  `\\{"type":"([A-Za-z]+)","schema":${ORDINAL},"id":"${ID}","time":"${INSTANT}","node":"([0-9a-z-]+)","cause":"${ID}",` +
    `"subject":"([0-9a-z.-]+)","version":${ORDINAL},"data":(?=\\{)`,
  "y"
)

/** A reader of events of some types, from `from` up to `to` in a text. `isPlaced` says which may stand in a subject. */
export const quickReader = <Entry extends QuickEntry>(
  entries: ReadonlyMap<string, Entry>,
  isPlaced: (entry: Entry, subject: string) => boolean
): ((text: string, from: number, to: number) => (Envelope & { readonly data: object }) | undefined) => {
  // What was found good in the last event; the next one mostly has the same.
  let goodNode = ""
  let goodSubject = ""
  let goodEntry: Entry | undefined
  return (text, from, to) => {
    ENVELOPE.lastIndex = from
    const found = ENVELOPE.exec(text) as Fields | null
    if (found === null || text.charCodeAt(to - 1) !== CLOSING_BRACE) return undefined
    const entry = entries.get(found[1])
    const node = found[5]
    const subject = found[7]
    if (entry === undefined || Number(found[2]) !== entry.newest) return undefined
    if (node !== goodNode) {
      if (!isNodeName(node)) return undefined
      goodNode = node
    }
    if (entry !== goodEntry || subject !== goodSubject) {
      if (!isPlaced(entry, subject)) return undefined
      goodEntry = entry
      goodSubject = subject
    }
    const data = objectIn(text.slice(ENVELOPE.lastIndex, to - 1))
    if (data === undefined || !entry.isSurely(data)) return undefined
    return {
      type: found[1],
      schema: entry.newest,
      id: found[3],
      time: found[4],
      node,
      cause: found[6],
      subject,
      version: Number(found[8]),
      data
    }
  }
}

/** All of it, type, schema, id, time, node, cause, subject, version. */
type Fields = RegExpExecArray & readonly [string, string, string, string, string, string, string, string, string]

const CLOSING_BRACE = 125

/** What begins with a brace is an object or no JSON at all. */
const objectIn = (text: string): object | undefined => {
  try {
    return JSON.parse(text) as object
  } catch {
    return undefined
  }
}
