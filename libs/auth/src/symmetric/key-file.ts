/**
 * The key file, ntp.keys(5) as NTPsec reads it: one key a line, `keyno type key`, in any order, `#` starting a comment
 * anywhere. A key of up to 20 characters is taken as it stands; a longer one is hexadecimal. A bad line is reported with
 * its place and loses no other line. What NTPsec accepts with a remark in its log is accepted here with a warning.
 *
 * No report quotes a word of the file: in a line whose columns are mixed up any of them may be the secret.
 */
import { InvalidKey, isKeyId, KeyTable, MAXIMUM_KEY_BYTES, MAXIMUM_KEY_ID, SymmetricKey } from "./key-table.ts"
import { equalBytes } from "./mac.ts"
import { type MacAlgorithm, macAlgorithm, macAlgorithmNames } from "./mac-algorithms.ts"

/** Keys of at most this many characters are text, longer ones hexadecimal. */
const LONGEST_TEXT_KEY = 20
/** NTPsec reads lines into a buffer of this size and would take the rest of a longer one for another line. */
const LONGEST_LINE = 511

/** Something about one line of a key file. `error`: the line gave no key. `warning`: it did, but perhaps not the one meant. */
class KeyFileProblem {
  readonly _tag = "KeyFileProblem"
  readonly severity: "error" | "warning"
  readonly file: string
  /** from 1 */
  readonly line: number
  readonly reason: string

  constructor(severity: "error" | "warning", file: string, line: number, reason: string) {
    this.severity = severity
    this.file = file
    this.line = line
    this.reason = reason
  }

  /** `file:line: reason`, as compilers write it. */
  get message(): string {
    return `${this.file}:${this.line}: ${this.reason}`
  }
}

export interface KeyFile {
  /** The keys of all good lines, none trusted yet. */
  readonly table: KeyTable
  /** In the order of the lines. */
  readonly problems: readonly KeyFileProblem[]
}

/** Reads the text of a key file; `file` is its name in reports. Never throws. */
export const parseKeyFile = (text: string, file: string): KeyFile => {
  const keys = new Map<number, SymmetricKey>()
  const problems: KeyFileProblem[] = []
  // Editors of other systems put a byte order mark in front.
  const lines = (text.startsWith("\uFEFF") ? text.slice(1) : text).split("\n")
  lines.forEach((line, index) => {
    const report = (severity: "error" | "warning", reason: string): void =>
      void problems.push(new KeyFileProblem(severity, file, index + 1, reason))
    const key = parseLine(line, report)
    if (key === undefined) return
    const before = keys.get(key.id)
    // Files for several programs give a key once in each one's spelling.
    if (before !== undefined && !isSameKey(before, key))
      report("warning", `key ${key.id} was given before with another type or value; this line replaces it`)
    keys.set(key.id, key)
  })
  return { table: KeyTable.of(keys.values()), problems }
}

const isSameKey = (a: SymmetricKey, b: SymmetricKey): boolean =>
  a.algorithm === b.algorithm && equalBytes(a.secret, b.secret)

type Report = (severity: "error" | "warning", reason: string) => void

const parseLine = (line: string, report: Report): SymmetricKey | undefined => {
  const [idWord, typeWord, keyWord, extra] = words(line)
  if (idWord === undefined) return undefined
  const fail = (reason: string): undefined => {
    report("error", reason)
    return undefined
  }
  if (line.length > LONGEST_LINE)
    return fail(`expected at most ${LONGEST_LINE} characters in a line, found ${line.length}`)
  const id = /^\d+$/.test(idWord) ? Number(idWord) : Number.NaN
  if (!isKeyId(id)) return fail(`expected a key number from 1 to ${MAXIMUM_KEY_ID} as the first word`)
  if (typeWord === undefined) return fail(`key ${id}: expected a type and a key after the number, found neither`)
  const algorithm = macAlgorithm(typeWord)
  if (algorithm === undefined)
    return fail(`key ${id}: the second word is no type known here; known are AES, ${macAlgorithmNames.join(", ")}`)
  if (keyWord === undefined) return fail(`key ${id}: expected a key after the type, found none`)
  if (algorithm.name === "MD5" && !/^MD5?$/i.test(typeWord))
    report("warning", `key ${id}: the type is unknown and taken for MD5, because it begins with M`)
  if (/^[^#]*[^#\s]#/.test(line))
    report(
      "warning",
      `key ${id}: the key ends at the '#' in it, as ntpd reads it; chrony takes it as a part of the key`
    )
  if (extra !== undefined) report("warning", `key ${id}: what follows the key is ignored`)
  const bytes = keyBytes(id, keyWord, report)
  return bytes === undefined ? undefined : makeKey(id, algorithm, bytes, report)
}

/** The words before a comment. A `#` ends the line even inside a word, so no key can contain one. */
const words = (line: string): readonly string[] =>
  (line.split("#", 1)[0] ?? "").split(/[ \t\r]+/).filter((word) => word !== "")

const keyBytes = (id: number, word: string, report: Report): Uint8Array | undefined => {
  if (word.length <= LONGEST_TEXT_KEY) {
    if (/^[\x21-\x7e]+$/.test(word)) return Uint8Array.from(word, (character) => character.charCodeAt(0))
    report("error", `key ${id}: expected printable ASCII characters in a key of up to ${LONGEST_TEXT_KEY} characters`)
    return undefined
  }
  if (!/^[0-9a-f]+$/i.test(word)) {
    report(
      "error",
      `key ${id}: a key of more than ${LONGEST_TEXT_KEY} characters is hexadecimal, found another character`
    )
    return undefined
  }
  if (word.length > 2 * MAXIMUM_KEY_BYTES)
    report("warning", `key ${id}: ${word.length} hexadecimal digits are cut to ${2 * MAXIMUM_KEY_BYTES}`)
  else if (word.length % 2 === 1)
    report("warning", `key ${id}: ${word.length} hexadecimal digits are an odd number; the last is ignored`)
  const length = Math.min(Math.floor(word.length / 2), MAXIMUM_KEY_BYTES)
  return Uint8Array.from({ length }, (_, index) => Number.parseInt(word.slice(2 * index, 2 * index + 2), 16))
}

/** Ciphers need keys of one length: NTPsec cuts longer keys and fills shorter ones up with zeros. */
const makeKey = (id: number, algorithm: MacAlgorithm, bytes: Uint8Array, report: Report): SymmetricKey => {
  const expected = algorithm.keyBytes ?? bytes.length
  if (bytes.length === expected) return new SymmetricKey(id, algorithm, bytes)
  const change = bytes.length > expected ? "cut" : "filled up with zeros"
  report("warning", `key ${id}: ${algorithm.name} takes ${expected} bytes; a key of ${bytes.length} was ${change}`)
  const fitted = new Uint8Array(expected)
  fitted.set(bytes.subarray(0, expected))
  return new SymmetricKey(id, algorithm, fitted)
}

/** The text of a table, one line a key, which reads back as the same table. Throws InvalidKey for a key that no text gives. */
export const formatKeyFile = (table: KeyTable): string =>
  table.keys.map((key) => `${String(key.id).padStart(2)} ${typeName(key.algorithm)} ${keyText(key)}\n`).join("")

/**
 * One file for ntpd and chronyd, which skip the lines of a type they do not know. No word for AES-128 is known to both, so such
 * a key stands there twice, for chrony first: of two lines with one number ntpq takes the last. A key that is no text would
 * have to be `HEX:…` for chrony, which ends ntpq, and gets a comment in place of that line.
 */
export const formatSharedKeyFile = (table: KeyTable): string =>
  table.keys
    .map((key) => {
      const lines = formatKeyFile(KeyTable.of([key]))
      if (key.algorithm.name !== "AES-128") return lines
      const text = keyText(key)
      const forChrony =
        text.length <= LONGEST_TEXT_KEY
          ? `${key.id} AES128 ${text}`
          : `# in a file for chrony alone: ${key.id} AES128 HEX:${text}`
      return `${forChrony}\n${lines}`
    })
    .join("")

/** AES-128 is written as every version of NTPsec reads it. */
const typeName = (algorithm: MacAlgorithm): string => (algorithm.name === "AES-128" ? "AES" : algorithm.name)

const keyText = ({ id, secret }: SymmetricKey): string => {
  const text = String.fromCharCode(...secret)
  if (text.length <= LONGEST_TEXT_KEY && /^[\x21\x22\x24-\x7e]+$/.test(text)) return text
  const hex = secret.toHex()
  if (hex.length > LONGEST_TEXT_KEY) return hex
  // Ten bytes make twenty digits, which would be read as text; one digit more is ignored by every reader.
  if (hex.length === LONGEST_TEXT_KEY) return `${hex}0`
  throw new InvalidKey(`key ${id}: ${secret.length} bytes that are no printable text cannot be written; 10 or more can`)
}
