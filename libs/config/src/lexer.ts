/**
 * Lines of an ntp.conf file to tokens. The language has one command a line, blanks between words, `#` to the end of the
 * line for a comment (also in the middle of a word, as ntpd has it), strings in double quotes without escapes, and
 * groups in parentheses such as `(10 ... 20)`. What a word means (number, address, path) is for the directive's row
 * to say, not for the lexer: `port 123` and `user 123` differ there only.
 */
import { errorAt, quoted, type Diagnostic, type Location } from "./diagnostic.ts"

/** Largest file read, in bytes: room for 100,000 lines of restrict and more. The largest packaged ntp.conf known has under 10 000. */
export const MAX_FILE_BYTES = 16 * 1_048_576

/** Longest line, in bytes without its line end. */
export const MAX_LINE_BYTES = 4096

export interface Token extends Location {
  /** A bare word, a string in quotes, or a group in parentheses (text without the quotes or parentheses). */
  readonly kind: "word" | "string" | "group"
  readonly text: string
}

/** One command: at least one token, all of one line. */
export interface TokenLine {
  readonly tokens: readonly Token[]
  /** Just behind the last token: where something missing would have stood. */
  readonly end: Location
  readonly endsInComment: boolean
}

interface Lexed {
  readonly lines: readonly TokenLine[]
  readonly diagnostics: readonly Diagnostic[]
}

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * Splits a file into lines of tokens. Never throws. A line that cannot be read (too long, not UTF-8 before a comment,
 * control characters, a quote without its partner) gives one located error and no tokens; the lines around it are kept. CRLF, a byte order
 * mark and a missing final newline are accepted.
 */
export const lex = (file: string, bytes: Uint8Array): Lexed => {
  const lines: TokenLine[] = []
  const diagnostics: Diagnostic[] = []
  if (bytes.length > MAX_FILE_BYTES) {
    const where = { file, line: 1, column: 1, length: 1, lineText: "" }
    const problem = `the file has ${bytes.length} bytes, expected at most ${MAX_FILE_BYTES}; is this an ntp.conf?`
    return { lines, diagnostics: [errorAt(where, problem)] }
  }
  let start = hasByteOrderMark(bytes) ? 3 : 0
  for (let number = 1; start < bytes.length; number++) {
    const newline = bytes.indexOf(NEWLINE, start)
    const next = newline === -1 ? bytes.length : newline
    const end = next > start && bytes[next - 1] === CARRIAGE_RETURN ? next - 1 : next
    const result = lexLine(file, number, bytes.subarray(start, end))
    if ("severity" in result) diagnostics.push(result)
    else if (result.tokens.length > 0) lines.push(result)
    start = next + 1
  }
  return { lines, diagnostics }
}

const hasByteOrderMark = (bytes: Uint8Array): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf

const lexLine = (file: string, line: number, bytes: Uint8Array): TokenLine | Diagnostic => {
  if (bytes.length > MAX_LINE_BYTES) {
    const shown = new TextDecoder().decode(bytes.subarray(0, 80)).replaceAll("\uFFFD", "")
    const where = { file, line, column: 1, length: 1, lineText: shown }
    return errorAt(where, `the line has ${bytes.length} bytes, expected at most ${MAX_LINE_BYTES}`)
  }
  const decoded = decodeLine(bytes)
  const characters = Array.from(decoded.text)
  const at = (column: number, length = 1): Location => ({ file, line, column, length, lineText: decoded.text })
  if (decoded.badColumn === undefined) return tokenize(characters, at)
  // Comments were written in the encodings of their time: nothing depends on them.
  const before = tokenize(characters.slice(0, decoded.badColumn - 1), at)
  if (!("severity" in before) && before.endsInComment) return before
  const byte = decoded.badByte!.toString(16).padStart(2, "0")
  return errorAt(at(decoded.badColumn), `found byte 0x${byte}, which is not UTF-8; expected a text file in UTF-8`)
}

interface DecodedLine {
  readonly text: string
  readonly badColumn?: number
  readonly badByte?: number
}

/** Decodes a line; where it is not UTF-8, says at which character and which byte, and shows that as U+FFFD. */
const decodeLine = (bytes: Uint8Array): DecodedLine => {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
    const stream = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
    let column = 1
    let sequenceStart = 0
    for (const [index, byte] of bytes.entries()) {
      try {
        const decoded = Array.from(stream.decode(Uint8Array.of(byte), { stream: true })).length
        if (decoded > 0) sequenceStart = index + 1
        column += decoded
      } catch {
        break
      }
    }
    return { text, badColumn: column, badByte: bytes[sequenceStart] ?? 0 }
  }
}

const tokenize = (
  characters: readonly string[],
  at: (column: number, length?: number) => Location
): TokenLine | Diagnostic => {
  const tokens: Token[] = []
  const take = (kind: Token["kind"], from: number, to: number, text: string): void => {
    tokens.push({ kind, text, ...at(from + 1, to - from) })
  }
  let index = 0
  let endsInComment = false
  while (index < characters.length) {
    const character = characters[index]!
    if (isBlank(character)) {
      index += 1
    } else if (character === "#") {
      endsInComment = true
      break
    } else if (character === '"' || character === "(") {
      const closing = character === "(" ? ")" : '"'
      const close = characters.indexOf(closing, index + 1)
      if (close === -1) {
        const name = closing === ")" ? "parenthesis" : "quote"
        return errorAt(
          at(index + 1),
          `found ${character} without its partner, expected a closing ${name} (${closing}) on this line`
        )
      }
      const inner = characters.slice(index + 1, close)
      const bad = inner.findIndex((one) => one !== "\t" && isUnreadable(one))
      if (bad !== -1) return unreadable(inner[bad]!, at(index + 2 + bad))
      take(closing === ")" ? "group" : "string", index, close + 1, inner.join(""))
      index = close + 1
    } else {
      let end = index
      while (end < characters.length && !endsWord(characters[end]!)) {
        if (isUnreadable(characters[end]!)) return unreadable(characters[end]!, at(end + 1))
        end += 1
      }
      take("word", index, end, characters.slice(index, end).join(""))
      index = end
    }
  }
  const last = tokens.at(-1)
  return { tokens, end: at(last === undefined ? 1 : last.column + last.length), endsInComment }
}

/** The blanks of C's isspace, but for the newline. */
const isBlank = (character: string): boolean => /^[ \t\v\f\r]$/.test(character)

const endsWord = (character: string): boolean => isBlank(character) || character === "#" || character === '"'

/** Control and format characters, and the blanks that look like a space and are none (no-break space and its kin). */
export const isUnreadable = (character: string): boolean =>
  character !== " " && /^[\p{Cc}\p{Cf}\p{Cs}\p{Zs}\p{Zl}\p{Zp}]$/u.test(character)

const unreadable = (character: string, where: Location): Diagnostic => {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")
  const isSpace = /^[\p{Zs}\p{Zl}\p{Zp}]$/u.test(character)
  const advice = isSpace
    ? "which looks like a space and is none; type a plain space"
    : "which cannot be seen; delete it"
  return errorAt(where, `found the character U+${code}, ${advice}`)
}

/** How a token is named in a message. */
export const describeToken = (token: Token): string => {
  if (token.kind === "string") return `the string ${quoted(token.text)}`
  if (token.kind === "group") return `the group ${quoted(`(${token.text})`)}`
  return quoted(token.text)
}
