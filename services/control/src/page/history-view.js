/** The log as a slider: each moment between the first event that is known and now, and what was true then. */
import { eventColumns, knownEvents } from "/event-log.js"
import { generationColumns } from "/keys-view.js"
import { ask } from "/node-api.js"
import { both, fillFacts, fillTable, utc } from "/rows.js"

const element = (id) => document.getElementById(id)
const REST_MS = 200
const SHOWN = 15
/** Kinds of events by subject, each with a lane of its own above the slider. */
const LANES = ["keys", "members", "clock", "policy"]

const moment = () => (element("at").value === "" ? Date.now() : Date.parse(`${element("at").value}Z`))

const setMoment = (at) => {
  element("at").value = new Date(at).toISOString().slice(0, 19)
  element("slider").value = String(Math.round(at / 1e3))
  element("slider").setAttribute("aria-valuetext", utc(at / 1e3))
}

let asked = 0

const explain = async () => {
  const at = moment()
  asked += 1
  const mine = asked
  element("moment-state").textContent = "asking"
  try {
    const found = await ask(`/api/v1/explain?at=${encodeURIComponent(new Date(at).toISOString())}`)
    // Whoever moves on quickly wants the last answer, not each.
    if (mine !== asked) return
    show(found, at)
  } catch (error) {
    if (mine === asked) element("moment-state").textContent = error.message
  }
}

const show = (found, at) => {
  const gaps = found.dropped.filter(({ matters }) => matters).map(({ subject, events }) => `${events} of ${subject}`)
  element("moment-state").textContent =
    `At ${both(found.at)}${found.future ? ", which is still to come" : ""}` +
    (gaps.length === 0 ? "" : `; events are gone that may matter: ${gaps.join(", ")}`)
  fillFacts("moment-facts", [
    ["Leader", found.leader === null ? "none" : `${found.leader.node}, term ${found.leader.term}`],
    ["Since event", found.leader?.event]
  ])
  fillTable("moment-keys", "NTS master keys then", generationColumns, found.generations)
  fillTable(
    "moment-clocks",
    "Clocks then",
    [
      ["Node", ({ node }) => node],
      ["Followed", ({ peer }) => peer ?? "nobody"],
      ["Why", ({ reason }) => reason],
      ["Holdover", ({ holdover }) => (holdover ? "yes" : "no")],
      ["Event", ({ event }) => event]
    ],
    found.clocks
  )
  const before = knownEvents().filter((event) => event.at <= at)
  fillTable("moment-events", "Events up to then", eventColumns(utc), before.slice(-SHOWN).toReversed())
}

let marked = ""

/** Ends of the slider, and a mark for each event. */
export const showMarks = (events) => {
  const slider = element("slider")
  const now = Date.now()
  const first = events[0]?.at ?? now - 3_600_000
  const isAtEnd = slider.value === slider.max
  slider.min = String(Math.floor(first / 1e3))
  slider.max = String(Math.ceil(now / 1e3))
  if (isAtEnd && document.activeElement !== element("at") && asked === 0) setMoment(now)
  const key = `${events.length} ${events.at(-1)?.id}`
  if (key === marked) return
  marked = key
  element("marks").replaceChildren(
    ...events.map((event) => {
      const mark = document.createElement("i")
      mark.className = event.subject.split(".")[0]
      mark.style.left = `${((event.at - first) / Math.max(1, now - first)) * 100}%`
      mark.style.top = `${LANES.indexOf(mark.className) * 6}px`
      return mark
    })
  )
}

const step = (direction) => {
  const at = moment()
  const events = knownEvents()
  const to = direction < 0 ? events.findLast((event) => event.at < at - 999) : events.find((event) => event.at > at)
  if (to === undefined) return
  // The field holds whole seconds: the next one has this event behind it.
  setMoment(Math.ceil(to.at / 1e3) * 1e3)
  void explain()
}

/** What is true now, where nobody has asked for another moment yet. */
export const openHistory = () => {
  if (asked === 0) void explain()
}

export const startHistory = () => {
  let resting
  element("moment").addEventListener("submit", (event) => {
    event.preventDefault()
    setMoment(moment())
    void explain()
  })
  element("slider").addEventListener("input", () => {
    setMoment(Number(element("slider").value) * 1e3)
    clearTimeout(resting)
    resting = setTimeout(() => void explain(), REST_MS)
  })
  element("before").addEventListener("click", () => step(-1))
  element("after").addEventListener("click", () => step(1))
  setMoment(Date.now())
}
