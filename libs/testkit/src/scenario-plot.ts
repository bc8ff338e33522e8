/** One scenario as an SVG picture: the error of served time against the bound that was claimed, both in logarithm. */
import type { SimulationTrace } from "./sim-judge.ts"

const WIDTH = 900
const HEIGHT = 420
const LEFT = 70
const RIGHT = 20
const TOP = 50
const BOTTOM = 50

const escape = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)

/** A power of ten of seconds, for people. */
const label = (exponent: number): string => {
  const units = ["s", "ms", "µs", "ns", "ps"]
  const unit = Math.max(0, Math.min(units.length - 1, Math.ceil(-exponent / 3)))
  return `${10 ** (exponent + 3 * unit)} ${units[unit] ?? "s"}`
}

const timeLabel = (seconds: number): string => {
  if (seconds >= 2 * 86_400) return `${(seconds / 86_400).toFixed(1)} d`
  if (seconds >= 2 * 3600) return `${(seconds / 3600).toFixed(1)} h`
  return `${seconds.toFixed(0)} s`
}

/** The picture as text. Steps in which nothing was claimed have no bound drawn. */
export const scenarioPlot = (title: string, trace: SimulationTrace): string => {
  const errors = trace.error.map((it) => Math.max(1e-12, Math.abs(it)))
  const bounds = trace.bound.map((it) => (Number.isFinite(it) ? Math.max(1e-12, it) : undefined))
  const all = [...errors, ...bounds.filter((it) => it !== undefined)]
  const lowest = Math.floor(Math.log10(Math.min(1, ...all)))
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(1e-12, ...all))))
  const end = trace.time.at(-1) ?? 1
  const x = (t: number): number => LEFT + (t / end) * (WIDTH - LEFT - RIGHT)
  const y = (value: number): number =>
    TOP + ((highest - Math.log10(value)) / (highest - lowest)) * (HEIGHT - TOP - BOTTOM)
  const path = (values: readonly (number | undefined)[]): string => {
    let pen = "M"
    return values
      .map((value, i) => {
        if (value === undefined) {
          pen = "M"
          return ""
        }
        const point = `${pen}${x(trace.time[i] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`
        pen = "L"
        return point
      })
      .join("")
  }
  const decades = Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i)
  const times = Array.from({ length: 6 }, (_, i) => (end * i) / 5)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="24" font-size="14">${escape(title)}</text>`,
    `<text x="${LEFT}" y="42" fill="#555">time error, absolute (dark), and claimed root distance (orange)</text>`,
    ...decades.map(
      (exponent) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(10 ** exponent).toFixed(1)}" y2="${y(10 ** exponent).toFixed(1)}" stroke="#ddd"/>` +
        `<text x="${LEFT - 8}" y="${(y(10 ** exponent) + 4).toFixed(1)}" text-anchor="end">${label(exponent)}</text>`
    ),
    ...times.map(
      (t) => `<text x="${x(t).toFixed(1)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${timeLabel(t)}</text>`
    ),
    `<path d="${path(bounds)}" fill="none" stroke="#e07b00" stroke-width="1.5"/>`,
    `<path d="${path(errors)}" fill="none" stroke="#1f3b73" stroke-width="1"/>`,
    "</svg>",
    ""
  ].join("\n")
}
