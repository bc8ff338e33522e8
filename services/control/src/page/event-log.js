/** The events that the page knows: the last ones when it is opened, then each new one. Heartbeats are left out. */
import { ask } from "/node-api.js"
import { utc } from "/rows.js"

const MOST = 2_000

const events = []
let next

/** Reads what is new; returns all that are known, the oldest first. */
export const readEvents = async () => {
  const query = next === undefined ? "last=1000" : `from=${next}&limit=500`
  const { lines } = await ask(`/api/v1/log?quiet=1&${query}`)
  for (const { seq, event } of lines) {
    if (event === undefined || (next !== undefined && seq < next)) continue
    events.push({ ...event, seq, at: Date.parse(event.time) })
  }
  const last = lines.at(-1)?.seq
  if (last !== undefined) next = last + 1
  events.splice(0, events.length - MOST)
  return events
}

export const knownEvents = () => events

const ISO = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/

/** A value in words: lists by their members, records by what they hold, `predecessorUntil` as two words. */
const valueOf = (value) => {
  if (Array.isArray(value)) return value.map(valueOf).join("; ")
  if (typeof value === "object" && value !== null) return fieldsOf(value)
  return ISO.test(value) ? utc(value) : String(value ?? "none")
}

const fieldsOf = (record) =>
  Object.entries(record)
    .filter(([name]) => name !== "measurements")
    .map(([name, value]) => `${name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${valueOf(value)}`)
    .join(", ")

/** An event's data in words. */
export const dataOf = ({ data }) => fieldsOf(data ?? {})

export const eventColumns = (utc) => [
  ["Time", ({ time }) => utc(time)],
  ["Event", ({ type }) => type],
  ["Of", ({ subject, version }) => `${subject} ${version}`],
  ["By", ({ author, node }) => (author === undefined ? node : `${author}, on ${node}`)],
  ["What", dataOf]
]
