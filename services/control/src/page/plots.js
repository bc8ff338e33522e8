/** A moving plot of the last minutes as SVG: one line, and a band around nought where there is a bound. */

const SVG = "http://www.w3.org/2000/svg"
const MOST_POINTS = 600
/** What the width stands for at first. */
const LEAST_POINTS = 60
const [WIDTH, HEIGHT] = [600, 100]

const shape = (name, attributes) => {
  const element = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}

/**
 * Keeps its own points: `add` one for each picture.
 * @param figure element that holds it
 * @param name what is plotted, with its unit
 * @param write a value in words
 * @param least what the scale spans at least
 */
export const movingPlot = (figure, name, write, { isCentred, least }) => {
  const points = []
  const caption = document.createElement("figcaption")
  const picture = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" })
  figure.replaceChildren(picture, caption)
  return {
    /** @param bound seconds on both sides of nought, or undefined */
    add(value, bound) {
      points.push({ value, bound })
      if (points.length > MOST_POINTS) points.shift()
      const heights = points.map(({ value: at, bound: of }) =>
        Math.max(Number.isFinite(at) ? Math.abs(at) : 0, of ?? 0)
      )
      const most = Math.max(least, ...heights) * 1.05
      const span = Math.max(LEAST_POINTS, points.length)
      const x = (place) => ((place - points.length + 1) * WIDTH) / (span - 1) + WIDTH
      const y = (height) =>
        isCentred ? HEIGHT / 2 - (height / most) * (HEIGHT / 2) : HEIGHT - (height / most) * HEIGHT
      const path = (of) => {
        let text = ""
        let isOn = false
        for (const [place, point] of points.entries()) {
          const height = of(point)
          if (Number.isFinite(height)) text += `${isOn ? "L" : "M"}${x(place).toFixed(1)},${y(height).toFixed(1)}`
          isOn = Number.isFinite(height)
        }
        return text
      }
      const parts = []
      const bounded = points.flatMap((point, place) => (point.bound === undefined ? [] : [[place, point.bound]]))
      if (isCentred && bounded.length > 1) {
        const above = bounded.map(([place, height]) => `${x(place).toFixed(1)},${y(height).toFixed(1)}`)
        const below = bounded.map(([place, height]) => `${x(place).toFixed(1)},${y(-height).toFixed(1)}`).reverse()
        parts.push(shape("polygon", { class: "band", points: [...above, ...below].join(" ") }))
      }
      if (isCentred) parts.push(shape("line", { class: "zero", x1: 0, x2: WIDTH, y1: y(0), y2: y(0) }))
      parts.push(shape("path", { class: "line", d: path((point) => point.value) }))
      picture.replaceChildren(...parts)
      const now = Number.isFinite(value) ? write(value) : "not known"
      const words = `${name}, last ${Math.max(1, Math.round(points.length / 60))} min: now ${now}, scale ${isCentred ? "±" : "0 to "}${write(most)}`
      picture.setAttribute("aria-label", words)
      caption.textContent = words
    }
  }
}
