/** Tables for people: columns as wide as they need to be, colours only on a terminal. */

export type Colour = "plain" | "bold" | "dim" | "good" | "warn" | "bad"

const CODES: Readonly<Record<Colour, string>> = { plain: "", bold: "1", dim: "2", good: "32", warn: "33", bad: "31" }

/** Whether standard output is a terminal whose owner has not asked for none (no-color.org). */
export const coloursWanted = (): boolean => process.stdout.isTTY && process.env["NO_COLOR"] === undefined

export const paint = (text: string, colour: Colour, colours = coloursWanted()): string =>
  colours && colour !== "plain" ? `\u001B[${CODES[colour]}m${text}\u001B[0m` : text

export interface Cell {
  readonly text: string
  readonly colour: Colour
}

export const cell = (text: string, colour: Colour = "plain"): Cell => ({ text: printable(text), colour })

/** What comes over the socket may have come from another machine: nothing of it may steer the terminal. */
export const printable = (text: string): string => text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\uFFFD")

/**
 * Rows side by side, two blanks between columns and none at the ends of lines.
 * @param isRight whether a column's text stands to the right
 */
export const inColumns = (
  rows: readonly (readonly (string | Cell)[])[],
  isRight: (column: number) => boolean = () => false,
  colours = coloursWanted()
): readonly string[] => {
  const all = rows.map((row) => row.map((it) => (typeof it === "string" ? cell(it) : it)))
  const widths: number[] = []
  for (const row of all)
    for (const [column, { text }] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, text.length)
  return all.map((row) => {
    const last = row.findLastIndex(({ text }) => text !== "")
    const cells = row.slice(0, last + 1).map(({ text, colour }, column) => {
      const padding = " ".repeat((widths[column] ?? 0) - text.length)
      const painted = paint(text, colour, colours)
      return isRight(column) ? `${padding}${painted}` : column === last ? painted : `${painted}${padding}`
    })
    return cells.join("  ")
  })
}

/** Rows under a head. Ends with a newline. */
export const table = (
  head: readonly string[],
  rows: readonly (readonly (string | Cell)[])[],
  colours = coloursWanted()
): string =>
  inColumns([head.map((text) => cell(text, "dim")), ...rows], undefined, colours)
    .map((line) => `  ${line}\n`)
    .join("")

/** Names and values, a line each. */
export const nameValues = (rows: readonly (readonly [name: string, value: string])[]): readonly string[] =>
  inColumns(rows, undefined, false)

/** `2026-11-21 12:00:00Z`, short of the fraction; a dash for none. */
export const shortTime = (iso: string | null): string =>
  iso === null ? "-" : iso.replace("T", " ").replace(/(\.\d+)?Z$/, "Z")

/** Columns that a line has at most: what a window of a usual width shows. */
const WIDTH = 100

/** The columns to fill: those of a narrower terminal, else {@link WIDTH}. */
export const lineWidth = (): number => (process.stdout.isTTY ? Math.min(WIDTH, process.stdout.columns || WIDTH) : WIDTH)

/**
 * Breaks a line that is longer than asked: between its columns where it has any, two blanks apart, else between words.
 * What follows is indented.
 */
export const wrapped = (line: string, indent = "    ", width = lineWidth()): string => {
  const lead = /^ */.exec(line)![0]
  const [first = "", ...pieces] = line.trimStart().split(line.trim().includes("  ") ? /(?= {2}\S)/ : /(?= \S)/)
  const lines = [`${lead}${first}`]
  const room = width - indent.length
  // A column that is a whole sentence begins beside its name, and breaks between words.
  for (const piece of pieces.flatMap((text) => (text.trim().length > room ? text.split(/(?= \S)/) : [text]))) {
    const last = lines.at(-1)!
    if (last.length + piece.length <= width) lines[lines.length - 1] = `${last}${piece}`
    else for (const part of chopped(piece.trimStart(), room)) lines.push(`${indent}${part}`)
  }
  return lines.join("\n")
}

/** A word that is longer than a line, in parts: behind a comma where there is one. */
const chopped = (word: string, most: number): readonly string[] => {
  if (word.length <= most) return [word]
  const comma = word.lastIndexOf(",", most - 1)
  const at = comma > 0 ? comma + 1 : most
  return [word.slice(0, at), ...chopped(word.slice(at), most)]
}
