/**
 * The configuration file of `meridian signd`: one setting a line, `NAME = VALUE` or `NAME VALUE`, in the language of ntp.conf. It
 * has few words of its own and none of a time server's, since the two run as different users.
 */
import { errorAt, quoted, type Diagnostic } from "./diagnostic.ts"
import { lex, type Token, type TokenLine } from "./lexer.ts"
import { didYouMean, nearestWord } from "./nearest.ts"
import { path, text, type ValueType } from "./value-types.ts"

export const groupName: ValueType<string> = text("GROUP", "a group's name or number")

/** What a word of the file means; the flags of the command say the same. */
export const SIGND_WORDS = {
  ntpsigndsocket: {
    type: path("PATH"),
    meaning:
      "Where to listen: a directory, in which the socket is called socket, as Samba has it, or the path of the socket (a name that ends in .socket or .sock)."
  },
  keys: { type: path("FILE"), meaning: "Table of accounts and their keys. Only this user may be able to read it." },
  group: {
    type: groupName,
    meaning: "Group whose members may ask, such as the time server's. Default: none; only this user and root may."
  }
} as const satisfies Readonly<Record<string, { readonly type: ValueType<string>; readonly meaning: string }>>

export type SigndWord = keyof typeof SIGND_WORDS

interface SigndFile {
  readonly values: Readonly<Partial<Record<SigndWord, string>>>
  readonly diagnostics: readonly Diagnostic[]
}

/** Reads the file's bytes. Never throws; a line with an error sets nothing. */
export const readSigndFile = (file: string, bytes: Uint8Array): SigndFile => {
  const { lines, diagnostics } = lex(file, bytes)
  const values: Partial<Record<SigndWord, string>> = {}
  const found = [...diagnostics]
  for (const line of lines) {
    const problem = readLine(line, values)
    if (problem !== undefined) found.push(problem)
  }
  return { values, diagnostics: found.toSorted((a, b) => a.line - b.line) }
}

const isSigndWord = (word: string): word is SigndWord => Object.hasOwn(SIGND_WORDS, word)

const readLine = (line: TokenLine, values: Partial<Record<SigndWord, string>>): Diagnostic | undefined => {
  const keyword = line.tokens[0]!
  const [name, ...rest] = partsOf(line.tokens)
  if (name === undefined || !isSigndWord(name)) {
    const hint = didYouMean(nearestWord(name ?? "", Object.keys(SIGND_WORDS)))
    return errorAt(keyword, `found ${quoted(keyword.text)}, expected ${Object.keys(SIGND_WORDS).join(", ")}${hint}`)
  }
  const { type } = SIGND_WORDS[name]
  const [value, extra] = rest
  if (value === undefined) return errorAt(line.end, `expected ${type.expected}: ${name} = ${type.syntax}`)
  if (extra !== undefined) return errorAt(line.tokens.at(-1)!, `found ${quoted(extra)}, expected the end of the line`)
  if (values[name] !== undefined)
    return errorAt(keyword, `'${name}' stands on an earlier line too; leave one of the two`)
  const parsed = type.parse(value)
  if (!parsed.ok) return errorAt(line.tokens.at(-1)!, `found ${quoted(value)}, expected ${type.expected}`)
  values[name] = parsed.value
  return undefined
}

/** The words of a line without the equals sign, which may stand alone or at the end of the one word or the start of the other. */
const partsOf = (tokens: readonly Token[]): readonly string[] => {
  const [keyword, ...rest] = tokens.map(({ kind, text: written }) => (kind === "group" ? `(${written})` : written))
  const [name = "", ...behind] = (keyword ?? "").split("=")
  const values = behind.length > 0 ? [behind.join("="), ...rest] : rest
  const [first] = values
  if (behind.length > 0) return [name, ...(first === "" ? values.slice(1) : values)]
  if (first === "=") return [name, ...values.slice(1)]
  return first?.startsWith("=") === true ? [name, first.slice(1), ...values.slice(1)] : [name, ...values]
}
