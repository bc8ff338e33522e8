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

const cell = (name, text, isNumber) => {
  const element = document.createElement(name)
  element.textContent = String(text ?? "–")
  if (isNumber) element.className = "number"
  return element
}

/** @param columns [title, value of an item, whether it is a number] */
export const fillTable = (id, title, columns, items) => {
  const table = document.getElementById(id)
  const caption = document.createElement("caption")
  caption.textContent = items.length === 0 ? `${title}: none` : title
  if (items.length === 0) return table.replaceChildren(caption)
  const head = document.createElement("thead")
  const titles = document.createElement("tr")
  for (const [name, , isNumber] of columns) {
    const one = cell("th", name, isNumber)
    one.scope = "col"
    titles.append(one)
  }
  head.append(titles)
  const body = document.createElement("tbody")
  for (const item of items) {
    const row = document.createElement("tr")
    row.append(...columns.map(([, value, isNumber]) => cell("td", value(item), isNumber)))
    body.append(row)
  }
  return table.replaceChildren(caption, head, body)
}

export const fillFacts = (id, facts) =>
  document.getElementById(id).replaceChildren(
    ...facts.map(([name, value]) => {
      const pair = document.createElement("div")
      pair.append(cell("dt", name), cell("dd", value))
      return pair
    })
  )
