/** The bench's result for people: figures in columns, targets beside what was found. */
import type { BenchResult, Check, Figure } from "./results.ts"
import type { Summary } from "./statistics.ts"

const value = ({ median, min, max }: Summary, digits: number): string =>
  min === max ? median.toFixed(digits) : `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`

/** Aligns rows: the first column to the left, the others to the right. */
const aligned = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd()
  )
}

const figureRows = (figures: readonly Figure[]): readonly (readonly string[])[] => {
  const columns = [...new Set(figures.flatMap((figure) => Object.keys(figure.of)))]
  return [
    ["", ...columns],
    ...figures.map(({ name, digits, of }) => [
      name,
      ...columns.map((column) => (of[column] ? value(of[column], digits) : "–"))
    ])
  ]
}

const checkRow = ({ name, found, digits, target, met }: Check): readonly string[] => [
  name,
  value(found, digits),
  target,
  target.startsWith("(") ? "" : met ? "met" : "NOT MET"
]

/** One bench as lines of text. */
export const table = ({ title, name, figures, checks, notes }: BenchResult): string =>
  [
    `${name}: ${title}`,
    ...aligned(figureRows(figures)).map((line) => `  ${line}`),
    ...(checks.length > 0
      ? ["", ...aligned([["", "found", "target", ""], ...checks.map(checkRow)]).map((line) => `  ${line}`)]
      : []),
    ...notes.map((note) => `  note: ${note}`)
  ].join("\n")
