/**
 * What is wrong with a configuration, and where: a diagnostic names file, line and column, says what was found and what
 * was expected, and prints with the line and a caret under the place.
 */

/** The line of what stands in no file: it was said to the running node, by whom the file's name says. */
export const NO_FILE = 0

/** A place in a configuration file. Line and column count from 1; the column counts characters (code points). */
export interface Location {
  readonly file: string
  /** Or {@link NO_FILE}. */
  readonly line: number
  readonly column: number
  /** Characters the caret underlines; at least 1. */
  readonly length: number
  /** The whole line, without its line end; empty where the file could not be read at all. */
  readonly lineText: string
}

type Severity = "error" | "warning"

export interface Diagnostic extends Location {
  readonly severity: Severity
  /** One line: what was found, what was expected, what to do. */
  readonly message: string
  /** The directive whose line is missed: where one is there and has an error itself, this is not worth saying. */
  readonly lacks?: string
}

/** A diagnostic that holds only where no line of a directive failed. */
export const lacking = (directive: string, diagnostic: Diagnostic): Diagnostic => ({ ...diagnostic, lacks: directive })

export const errorAt = (location: Location, message: string): Diagnostic => diagnosticAt("error", location, message)

export const warningAt = (location: Location, message: string): Diagnostic => diagnosticAt("warning", location, message)

const diagnosticAt = (severity: Severity, location: Location, message: string): Diagnostic => ({
  severity,
  message,
  file: location.file,
  line: location.line,
  column: location.column,
  length: location.length,
  lineText: withoutPassword(location.lineText)
})

/** The line as it may be shown: stars stand for every character of the password of the key files. */
const withoutPassword = (line: string): string =>
  /^\s*crypto\b/.test(line)
    ? line.replace(/(\spw\s+)("[^"]*"?|\S+)/g, (_, before: string, secret: string) => {
        return before + "*".repeat(Array.from(secret).length)
      })
    : line

export const isError = (diagnostic: Diagnostic): boolean => diagnostic.severity === "error"

const LONGEST_QUOTED = 60

/** Text from a user as it may stand in a message: in quotes, cut to 60 characters, nothing that moves a cursor. */
export const quoted = (text: string): string => {
  const cells = Array.from(text, printable)
  const shown = cells.length > LONGEST_QUOTED ? [...cells.slice(0, LONGEST_QUOTED - 1), "…"] : cells
  return `'${shown.join("")}'`
}

/** Characters of a line shown at most, so that the caret stands below its place on a terminal of 80 columns; a longer line is cut around it. */
const LONGEST_SHOWN = 70
const TAB_STOP = 8

interface Cell {
  readonly text: string
  /** Terminal columns it occupies: 0 for combining marks, 2 for wide characters. */
  readonly width: number
}

/**
 * The diagnostic as a compiler would print it, two or three lines without a final newline. Tabs are expanded and wide
 * characters measured so that the caret stands under the column; characters that steer a terminal are made visible.
 */
export const formatDiagnostic = (
  diagnostic: Diagnostic,
  style: { readonly colour: boolean } = { colour: false }
): string => {
  const { severity, file, line, column, message } = diagnostic
  const paint = (code: string, text: string): string => (style.colour ? `\u001B[${code}m${text}\u001B[0m` : text)
  const severityColour = severity === "error" ? "1;31" : "1;35"
  const where = `${Array.from(file, printable).join("")}:${line}:${column}:`
  const headline = `${paint("1", where)} ${paint(severityColour, `${severity}:`)} ${message}`
  if (diagnostic.lineText === "") return headline

  const { before, marked, after } = splitAtCaret(diagnostic)
  const number = String(line).padStart(5)
  const caret = `^${"~".repeat(Math.max(0, widthOf(marked) - 1))}`
  return [
    headline,
    `${number} | ${textOf(before)}${textOf(marked)}${textOf(after)}`.trimEnd(),
    `${" ".repeat(number.length)} | ${" ".repeat(widthOf(before))}${paint(severityColour, caret)}`
  ].join("\n")
}

/** Several diagnostics, one after the other, in the order given. */
export const formatDiagnostics = (diagnostics: readonly Diagnostic[], style?: { readonly colour: boolean }): string =>
  diagnostics.map((diagnostic) => formatDiagnostic(diagnostic, style)).join("\n")

const splitAtCaret = ({ lineText, column, length }: Location) => {
  const cells = toCells(lineText)
  const start = Math.max(0, column - 1 - Math.floor(LONGEST_SHOWN / 2))
  const from = cells.length > LONGEST_SHOWN ? start : 0
  const to = cells.length > LONGEST_SHOWN ? from + LONGEST_SHOWN : cells.length
  const caretEnd = Math.min(column - 1 + length, to)
  const ellipsis: Cell = { text: "…", width: 1 }
  return {
    before: [...(from > 0 ? [ellipsis] : []), ...cells.slice(from, column - 1)],
    marked: cells.slice(column - 1, caretEnd),
    after: [...cells.slice(caretEnd, to), ...(to < cells.length ? [ellipsis] : [])]
  }
}

const toCells = (line: string): Cell[] => {
  let at = 0
  return Array.from(line, (character) => {
    const width = character === "\t" ? TAB_STOP - (at % TAB_STOP) : characterWidth(character)
    at += width
    return { text: character === "\t" ? " ".repeat(width) : printable(character), width }
  })
}

const textOf = (cells: readonly Cell[]): string => cells.map((cell) => cell.text).join("")
const widthOf = (cells: readonly Cell[]): number => cells.reduce((sum, cell) => sum + cell.width, 0)

/** Control pictures for C0, the replacement character for anything else that a terminal obeys instead of showing. */
const printable = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  if (code < 0x20) return String.fromCodePoint(0x2400 + code)
  if (code === 0x7f) return "\u2421"
  return /^[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]$/u.test(character) ? "\uFFFD" : character
}

const characterWidth = (character: string): number => {
  if (/^[\p{Mn}\p{Me}]$/u.test(character)) return 0
  const code = character.codePointAt(0) ?? 0
  if (code < 0x1100) return 1
  return WIDE_RANGES.some(([first, last]) => code >= first && code <= last) ? 2 : 1
}

/** Unicode East Asian Wide and Fullwidth blocks and the emoji blocks (UAX #11), at block granularity. */
const WIDE_RANGES: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd]
]
