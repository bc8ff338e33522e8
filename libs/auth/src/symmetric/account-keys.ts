/**
 * The accounts that a signing daemon signs for, and their file. One account a line, in any order:
 *
 *   1103  nthash    8ba43093cba992eac5781a7f70cdb2b1
 *   1104  password  "a new one"  password  the-one-before
 *
 * The number is the account's relative identifier (RID). The first key is the current one, a second one is the previous; each
 * is the password, or what Windows keeps of it. Words are parted by blanks, or stand in double quotes, which know no escape;
 * a `#` that begins a word begins a comment.
 *
 * No report quotes a word of the file: in a line whose columns are mixed up any of them may be the secret.
 */
import { ntHash } from "./md4.ts"

const NT_HASH_BYTES = 16
/** Key identifiers have 31 bits for it. */
const MAXIMUM_RID = 0x7fff_ffff
/** Windows takes no longer password. */
const LONGEST_PASSWORD = 256

export interface AccountKeys {
  /** The NT hash of the password, 16 octets. */
  readonly current: Uint8Array
  /** Of the password before; undefined where there is none. */
  readonly previous: Uint8Array | undefined
}

/** By relative identifier. Replaced as a whole. */
export type AccountTable = ReadonlyMap<number, AccountKeys>

interface AccountFile {
  readonly accounts: AccountTable
  /** `file:line: reason`, in the order of the lines. A line with a problem gave no account. */
  readonly problems: readonly string[]
}

/** Reads the text of a key table; `file` is its name in reports. Never throws. */
export const parseAccountFile = (text: string, file: string): AccountFile => {
  const accounts = new Map<number, AccountKeys>()
  const problems: string[] = []
  const lines = (text.startsWith("\uFEFF") ? text.slice(1) : text).split("\n")
  lines.forEach((line, index) => {
    const read = readLine(line)
    if (read === undefined) return
    const report = (reason: string): void => void problems.push(`${file}:${index + 1}: ${reason}`)
    if (typeof read === "string") report(read)
    else if (accounts.has(read.rid)) report(`account ${read.rid} stands on an earlier line too; leave one of the two`)
    else accounts.set(read.rid, read.keys)
  })
  return { accounts, problems }
}

interface Account {
  readonly rid: number
  readonly keys: AccountKeys
}

/** An account, nothing for a line without words, or what is wrong. */
const readLine = (line: string): Account | string | undefined => {
  const words = wordsOf(line)
  if (words === undefined) return "a double quote without its partner"
  const [idWord, ...rest] = words
  if (idWord === undefined) return undefined
  const rid = /^\d{1,10}$/.test(idWord) ? Number(idWord) : 0
  if (rid < 1 || rid > MAXIMUM_RID)
    return `expected an account's number (RID) from 1 to ${MAXIMUM_RID} as the first word`
  if (rest.length !== 2 && rest.length !== 4)
    return `account ${rid}: expected 'nthash' or 'password' and a value, then perhaps another two for the previous one`
  const keys = [readKey(rest[0], rest[1]), rest.length === 4 ? readKey(rest[2], rest[3]) : undefined] as const
  const problem = keys.find((key) => typeof key === "string")
  if (problem !== undefined) return `account ${rid}: ${problem as string}`
  return { rid, keys: { current: keys[0] as Uint8Array, previous: keys[1] as Uint8Array | undefined } }
}

const readKey = (type: string | undefined, value = ""): Uint8Array | string => {
  if (type === "nthash")
    return /^[0-9a-f]{32}$/i.test(value)
      ? Uint8Array.from({ length: NT_HASH_BYTES }, (_, at) => Number.parseInt(value.slice(2 * at, 2 * at + 2), 16))
      : "expected 32 hexadecimal digits after 'nthash'"
  if (type !== "password") return "expected 'nthash' or 'password' before each key"
  return value.length >= 1 && value.length <= LONGEST_PASSWORD
    ? ntHash(value)
    : `expected a password of 1 to ${LONGEST_PASSWORD} characters after 'password'`
}

/** The words before a comment; undefined where a quote is not closed. */
const wordsOf = (line: string): readonly string[] | undefined => {
  const words: string[] = []
  for (const [, inQuotes, lone, word] of line.matchAll(/"([^"]*)"|(")|(#.*|[^ \t\r"]+)/g)) {
    if (lone !== undefined) return undefined
    if (inQuotes === undefined && word?.startsWith("#") === true) return words
    words.push(inQuotes ?? word ?? "")
  }
  return words
}
