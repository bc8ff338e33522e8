/**
 * The leap second file that NIST, IERS and IETF publish (leap-seconds.list). Data lines hold NTP seconds and TAI-UTC from
 * then on; `#$` is when the file was made, `#@` when it expires, `#h` the SHA-1 of all these numbers written without
 * spaces. A file that is altered, cut or out of order is refused; one that has expired says nothing of the future.
 */
import { NTP_UNIX_OFFSET_SECONDS } from "@meridian/time/timestamp"

interface LeapEntry {
  /** Unix second from which the value holds: the first after the leap second. */
  readonly at: number
  /** TAI minus UTC, seconds. */
  readonly taiOffset: number
}

export interface LeapFile {
  /** Unix seconds. */
  readonly updatedAt: number
  readonly expiresAt: number
  readonly entries: readonly LeapEntry[]
  /** What the hash is taken of: ASCII. */
  readonly hashed: string
  /** The hash that the file carries: forty hexadecimal digits; empty where none is needed and there is none. */
  readonly hash: string
}

type LeapFileProblem =
  | "too-long"
  | "no-update-time"
  | "no-expiry"
  | "no-hash"
  | "bad-hash-line"
  | "no-entries"
  | "bad-line"
  | "not-in-order"
  | "not-one-second"
  | "hash-differs"

/** A file that cannot be used: which problem, on which line (from 1; 0 when it is of the whole), what to do. */
export class LeapFileError {
  readonly _tag = "LeapFileError"
  readonly problem: LeapFileProblem
  readonly line: number
  readonly message: string
  constructor(problem: LeapFileProblem, line: number, message: string) {
    this.problem = problem
    this.line = line
    this.message = message
  }
}

/** Longest file that is looked at, in characters; the real one has about eleven thousand. */
const LONGEST = 1_000_000

const fetchAgain = "fetch the file anew from its publisher"

/**
 * Reads a leap second file. The hash is not checked here: see {@link verifyLeapFile}.
 * @param needsHash whether a file that carries none is refused
 */
export const parseLeapFile = (text: string, needsHash = true): LeapFile | LeapFileError => {
  if (text.length > LONGEST)
    return new LeapFileError("too-long", 0, `over ${LONGEST} characters: not a leap second file`)
  const entries: LeapEntry[] = []
  let [updated, expires, numbers, hash]: [string, string, string, string] = ["", "", "", ""]
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const number = index + 1
    const mark = line.slice(0, 2)
    if (mark === "#$") updated = line.slice(2).trim()
    else if (mark === "#@") expires = line.slice(2).trim()
    else if (mark === "#h") {
      const words = line.slice(2).trim().split(/\s+/)
      if (!needsHash) continue
      if (words.length !== 5 || !words.every((word) => /^[0-9a-f]{1,8}$/i.test(word)))
        return new LeapFileError(
          "bad-hash-line",
          number,
          `line ${number}: #h must hold five words of hexadecimal digits; ${fetchAgain}`
        )
      // Some publishers drop leading zeros of a word.
      hash = words
        .map((word) => word.padStart(8, "0"))
        .join("")
        .toLowerCase()
    } else if (line.trim() !== "" && !line.startsWith("#")) {
      const match = /^\s*(\d{1,12})\s+(\d{1,4})\s*(?:#.*)?$/.exec(line)
      if (match === null)
        return new LeapFileError(
          "bad-line",
          number,
          `line ${number}: expected NTP seconds and TAI-UTC, found something else; ${fetchAgain}`
        )
      const entry = { at: Number(match[1]) - NTP_UNIX_OFFSET_SECONDS, taiOffset: Number(match[2]) }
      const before = entries.at(-1)
      if (before !== undefined && entry.at <= before.at)
        return new LeapFileError(
          "not-in-order",
          number,
          `line ${number}: earlier than the line before it; ${fetchAgain}`
        )
      if (before !== undefined && Math.abs(entry.taiOffset - before.taiOffset) !== 1)
        return new LeapFileError(
          "not-one-second",
          number,
          `line ${number}: TAI-UTC changes by other than one second; ${fetchAgain}`
        )
      entries.push(entry)
      numbers += `${match[1]}${match[2]}`
    }
  }
  if (!/^\d{1,12}$/.test(updated)) return new LeapFileError("no-update-time", 0, `no line "#$ seconds"; ${fetchAgain}`)
  if (!/^\d{1,12}$/.test(expires)) return new LeapFileError("no-expiry", 0, `no line "#@ seconds"; ${fetchAgain}`)
  if (needsHash && hash === "") return new LeapFileError("no-hash", 0, `no line "#h"; ${fetchAgain}`)
  if (entries.length === 0) return new LeapFileError("no-entries", 0, `no data; ${fetchAgain}`)
  return {
    updatedAt: Number(updated) - NTP_UNIX_OFFSET_SECONDS,
    expiresAt: Number(expires) - NTP_UNIX_OFFSET_SECONDS,
    entries,
    hashed: `${updated}${expires}${numbers}`,
    hash
  }
}

/** SHA-1 (FIPS 180-4) of some bytes: pure code is handed it. */
type Sha1 = (bytes: Uint8Array) => Uint8Array

/** The file again when its hash is right. */
export const verifyLeapFile = (file: LeapFile, sha1: Sha1): LeapFile | LeapFileError => {
  const found = Array.from(sha1(Uint8Array.from(file.hashed, (character) => character.charCodeAt(0))), (byte) =>
    byte.toString(16).padStart(2, "0")
  ).join("")
  return found === file.hash
    ? file
    : new LeapFileError(
        "hash-differs",
        0,
        `the numbers hash to ${found}, the file says ${file.hash}: it was altered or cut; ${fetchAgain}`
      )
}

/** Whether the file still speaks of the future at `unixSeconds`. */
export const leapFileExpired = (file: LeapFile, unixSeconds: number): boolean => unixSeconds >= file.expiresAt

/** TAI minus UTC at `unixSeconds`, or undefined before the first entry. */
export const taiOffsetAt = (file: LeapFile, unixSeconds: number): number | undefined =>
  file.entries.findLast((entry) => entry.at <= unixSeconds)?.taiOffset

/** The next leap second after `unixSeconds`: when, and +1 for an inserted second, -1 for a deleted one. */
export const nextLeap = (
  file: LeapFile,
  unixSeconds: number
): { readonly at: number; readonly change: 1 | -1 } | undefined => {
  const index = file.entries.findIndex((entry) => entry.at > unixSeconds)
  const next = file.entries[index]
  const before = file.entries[index - 1]
  if (next === undefined || before === undefined) return undefined
  return { at: next.at, change: next.taiOffset > before.taiOffset ? 1 : -1 }
}
