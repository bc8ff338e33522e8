/** Words, lists and tables. What a node says of others is text everywhere, never markup. */

/** Seconds with the unit that suits them. */
export const seconds = (value) => {
  if (!Number.isFinite(value)) return "–"
  const size = Math.abs(value)
  if (size >= 1) return `${value.toFixed(3)} s`
  if (size >= 1e-3) return `${(value * 1e3).toFixed(3)} ms`
  return size >= 1e-6 ? `${(value * 1e6).toFixed(2)} µs` : `${(value * 1e9).toFixed(0)} ns`
}

export const age = (value) => {
  if (!Number.isFinite(value)) return "–"
  if (value < 120) return `${Math.round(value)} s`
  if (value < 7_200) return `${Math.round(value / 60)} min`
  return value < 172_800 ? `${Math.round(value / 3_600)} h` : `${Math.round(value / 86_400)} d`
}

export const count = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–")
export const bytes = (value) => (Number.isFinite(value) ? `${(value / 1e6).toFixed(1)} MB` : "–")

/** Unix seconds or ISO 8601, as UTC. */
export const utc = (when) => {
  const at = new Date(typeof when === "number" ? when * 1e3 : (when ?? Number.NaN))
  return Number.isNaN(at.getTime()) ? "–" : `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`
}

/** Unix seconds or ISO 8601, as UTC and as this browser's own time. */
export const both = (when) => {
  const at = new Date(typeof when === "number" ? when * 1e3 : (when ?? Number.NaN))
  return Number.isNaN(at.getTime()) ? "–" : `${utc(when)} (${at.toLocaleTimeString()} here)`
}

/** In which direction and how far a moment is. */
export const distance = (when, now = Date.now()) => {
  const off = (Date.parse(when) - now) / 1e3
  return off >= 0 ? `in ${age(off)}` : `${age(-off)} ago`
}

const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text
}

/** What a button of a table does, by button: rows change under it, the button stays, and with it the focus. */
const deeds = new WeakMap()

const fillCell = (element, value, isNumber) => {
  element.classList.toggle("number", isNumber === true)
  if (typeof value === "object" && value !== null) {
    let button = element.querySelector("button")
    if (button === null) {
      button = document.createElement("button")
      button.type = "button"
      button.addEventListener("click", () => deeds.get(button)?.())
      element.replaceChildren(button)
    }
    setText(button, value.label)
    button.setAttribute("aria-label", value.name)
    deeds.set(button, value.deed)
    return
  }
  const text = String(value ?? "–")
  element.classList.toggle("time", MOMENT.test(text))
  element.classList.toggle("prose", text.length > 30)
  setText(element, text)
}

/** What {@link utc} writes, which is read as a whole. */
const MOMENT = /^\d{4}-\d\d-\d\d \S+ UTC$/

const fillRow = (row, kind, values) => {
  while (row.children.length > values.length) row.lastElementChild.remove()
  while (row.children.length < values.length) {
    const cell = document.createElement(kind)
    if (kind === "th") cell.scope = "col"
    row.append(cell)
  }
  for (const [place, [value, isNumber]] of values.entries()) fillCell(row.children[place], value, isNumber)
}

/**
 * Changes what is different, so that focus, selection and what a screen reader is reading stay.
 * @param columns [title, value of an item, whether it is a number]; a value {label, name, deed} is a button
 */
export const fillTable = (id, title, columns, items) => {
  const table = document.getElementById(id)
  const caption = table.caption ?? table.createCaption()
  setText(caption, items.length === 0 ? `${title}: none` : title)
  if (items.length === 0) {
    table.tHead?.remove()
    table.tBodies[0]?.remove()
    return
  }
  const head = table.tHead ?? table.createTHead()
  fillRow(
    head.rows[0] ?? head.insertRow(),
    "th",
    columns.map(([name, , isNumber]) => [name, isNumber])
  )
  const body = table.tBodies[0] ?? table.createTBody()
  while (body.rows.length > items.length) body.lastElementChild.remove()
  for (const [place, item] of items.entries())
    fillRow(
      body.rows[place] ?? body.insertRow(),
      "td",
      columns.map(([, value, isNumber]) => [value(item), isNumber])
    )
}

export const fillFacts = (id, facts) => {
  const list = document.getElementById(id)
  while (list.children.length > facts.length) list.lastElementChild.remove()
  while (list.children.length < facts.length) {
    const pair = document.createElement("div")
    pair.append(document.createElement("dt"), document.createElement("dd"))
    list.append(pair)
  }
  for (const [place, [name, value]] of facts.entries()) {
    setText(list.children[place].children[0], name)
    setText(list.children[place].children[1], String(value ?? "–"))
  }
}
