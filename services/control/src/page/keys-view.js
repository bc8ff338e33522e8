/** The keys: generations on a time line, which node holds which, what is ahead and what is behind. */
import { mayAct, proposal } from "/acts.js"
import { eventColumns } from "/event-log.js"
import { distance, fillTable, utc } from "/rows.js"

const SVG = "http://www.w3.org/2000/svg"
const LANE = 28
const SHOWN = 8
const BEHIND = 12
const ENDED = ["retired", "revoked"]

const shape = (name, attributes, text) => {
  const element = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  if (text !== undefined) element.textContent = text
  return element
}

/** A lane for each generation: light from when it opens cookies, full while it seals them, light again until it retires. */
export const drawTimeLine = (generations, now = Date.now()) => {
  const lanes = generations.filter(({ activation }) => activation !== null).slice(-SHOWN)
  const figure = document.getElementById("time-line")
  const words = lanes.map(({ generation, status, activation, retirement }) => {
    return `generation ${generation} ${status}, takes over ${utc(activation)}, retires ${utc(retirement)}`
  })
  const key = `${JSON.stringify(lanes)} ${Math.floor(now / 10_000)}`
  if (figure.dataset.key === key) return
  figure.dataset.key = key
  const caption = document.createElement("figcaption")
  if (lanes.length === 0) {
    caption.textContent = "There are no NTS master keys."
    return figure.replaceChildren(caption)
  }
  const times = lanes.flatMap(({ notBefore, activation, retirement }) => [notBefore ?? activation, retirement])
  const [first, last] = [Math.min(now, ...times.map(Date.parse)), Math.max(now, ...times.map(Date.parse))]
  const x = (at) => ((at - first) / Math.max(1, last - first)) * 100
  const height = lanes.length * LANE + 20
  const picture = shape("svg", { class: "time-line", role: "img", "aria-label": words.join("; ") })
  picture.style.height = `${height}px`
  for (const [lane, it] of lanes.entries()) {
    const [from, active, until] = [it.notBefore ?? it.activation, it.activation, it.retirement].map(Date.parse)
    const successor = lanes[lane + 1]
    const sealsUntil = Math.min(until, successor === undefined ? until : Date.parse(successor.activation))
    const bar = (begin, end, kind) =>
      shape("rect", {
        class: kind,
        x: `${x(begin)}%`,
        width: `${Math.max(0.2, x(end) - x(begin))}%`,
        y: lane * LANE + 4,
        height: LANE - 8
      })
    picture.append(bar(from, until, `opens ${it.status}`), bar(active, sealsUntil, `seals ${it.status}`))
    // Words stand where there is room: at the left of a bar that begins in the first half, else at its end.
    const isLeft = x(from) < 60
    picture.append(
      shape(
        "text",
        {
          class: "label",
          x: `${isLeft ? x(from) + 0.5 : x(from) - 0.5}%`,
          y: lane * LANE + LANE / 2 + 5,
          "text-anchor": isLeft ? "start" : "end"
        },
        `${it.generation} ${it.status}`
      )
    )
  }
  picture.append(
    shape("line", { class: "now", x1: `${x(now)}%`, x2: `${x(now)}%`, y1: 0, y2: height - 16 }),
    shape(
      "text",
      {
        class: "label",
        x: `${x(now)}%`,
        y: height - 3,
        "text-anchor": x(now) < 10 ? "start" : x(now) > 90 ? "end" : "middle"
      },
      "now"
    )
  )
  caption.textContent = `Generations of the NTS master key from ${utc(first / 1e3)} to ${utc(last / 1e3)}: light while cookies under one are opened, full while new ones are sealed under it.`
  figure.replaceChildren(picture, caption)
}

/** Names of the members that say they hold it, and of those that live and do not. */
const holders = (members, number, name) => {
  const living = members.filter(({ live, health }) => live && health !== null)
  const has = living.filter(({ health }) => health[name] >= number).map(({ node }) => node)
  const lacks = living.filter(({ health }) => health[name] < number).map(({ node }) => node)
  return `${has.join(", ") || "nobody"}${lacks.length === 0 ? "" : `; not yet ${lacks.join(", ")}`}`
}

const revocable = (path, of) =>
  mayAct() ? [["Act", (one) => (ENDED.includes(one.status) ? "" : proposal(path, of(one)))]] : []

export const generationColumns = [
  ["Generation", ({ generation }) => generation],
  ["State", ({ status }) => status],
  ["From", ({ activation }) => utc(activation)],
  ["Until", ({ retirement }) => utc(retirement)],
  ["Event", ({ event }) => event]
]

const ahead = ({ ntsKeys, symmetricSets }, now) =>
  [
    ...ntsKeys.flatMap(({ generation, status, activation, retirement }) =>
      ENDED.includes(status)
        ? []
        : [
            { at: activation, what: `Generation ${generation} takes over` },
            { at: retirement, what: `Generation ${generation} retires: its cookies are opened no more` }
          ]
    ),
    ...symmetricSets.flatMap(({ set, trustedFrom, until }) => [
      { at: trustedFrom, what: `Set ${set} is trusted` },
      { at: until, what: `Set ${set} ends` }
    ])
  ]
    .filter(({ at }) => at !== null && Date.parse(at) > now)
    .toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))

export const showKeys = (cluster, events, now = Date.now()) => {
  const { members, ntsKeys, symmetricSets } = cluster
  drawTimeLine(ntsKeys, now)
  const heldBy = (one) => (ENDED.includes(one.status) ? "destroyed" : holders(members, one.generation, "ntsGeneration"))
  fillTable(
    "generations",
    "NTS master keys",
    [
      ...generationColumns.slice(0, 4),
      ["Held by", heldBy],
      ...revocable("/keys/revoke", ({ generation }) => ({ generation }))
    ],
    ntsKeys
  )
  fillTable(
    "sets",
    "Symmetric keys",
    [
      ["Set", ({ set }) => set],
      ["State", ({ status }) => status],
      ["Keys", ({ keys }) => keys.map(({ id, type }) => `${id} ${type}`).join(", ")],
      ["Trusted from", ({ trustedFrom }) => utc(trustedFrom)],
      ["Until", ({ until }) => utc(until)],
      ["Held by", ({ set }) => holders(members, set, "symmetricSet")],
      ...revocable("/keys/revoke", ({ set }) => ({ set }))
    ],
    symmetricSets
  )
  fillTable(
    "ahead",
    "Ahead",
    [
      ["When", ({ at }) => utc(at)],
      ["In", ({ at }) => distance(at, now)],
      ["What", ({ what }) => what]
    ],
    ahead(cluster, now)
  )
  fillTable(
    "behind",
    "Behind",
    eventColumns(utc),
    events
      .filter(({ subject }) => subject.startsWith("keys."))
      .slice(-BEHIND)
      .toReversed()
  )
}
