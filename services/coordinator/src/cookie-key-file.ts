/**
 * The file of `nts cookie FILE`: the master keys in use, outside the state directory, so that a node which lost that, or
 * was made anew, still opens the cookies it gave. NTPsec's own format, which its ntpd goes on from as well:
 *
 *     T: 1795273000       when the first key became active, Unix seconds
 *     L: 32               bytes of a key
 *     I: 7                generation, newest first
 *     K: 64 hexadecimal digits
 *
 * The keys lie in it as they are, as in NTPsec: whoever reads it can make cookies and read those of others. Only its owner
 * may, a key that has ended leaves it, and the file that held it is overwritten where it lies.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync
} from "@meridian/system/files"
import { MASTER_KEY_BYTES } from "@meridian/auth/key-ring"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"

/** As in NTPsec: the key in use and nine before it. */
const MOST_KEYS = 10
const LONGEST_TEXT = 4_096
/** A cookie has 32 bits for the number; a key a day for two thousand years still fits. */
const HIGHEST_GENERATION = 0xffff_ffff - 1_000_000
/** As for the cluster key: write for the group, anything for others. */
const FORBIDDEN_MODE = 0o037

interface CookieKey {
  readonly generation: number
  readonly key: Uint8Array
}

export interface CookieKeys {
  /** When the first of the keys became active, milliseconds since 1970. */
  readonly since: number
  /** Newest first. */
  readonly keys: ReadonlyArray<CookieKey>
}

/** What a file holds, undefined where it is no such file. Never throws. */
export const parseCookieKeys = (text: string): CookieKeys | undefined => {
  const [, seconds = "", pairs] = /^T: (\d{1,12})\nL: 32\n((?:I: \d{1,10}\nK: [0-9a-fA-F]{64}\n)+)$/.exec(text) ?? []
  if (pairs === undefined) return undefined
  const keys = [...pairs.matchAll(/I: (\d+)\nK: (.+)\n/g)].map(([, number, hex = ""]) => ({
    generation: Number(number),
    key: new Uint8Array(Buffer.from(hex, "hex"))
  }))
  const inOrder = keys.every(({ generation }, index) => generation < (keys[index - 1]?.generation ?? Infinity))
  const inRange = keys.every(({ generation }) => generation >= 1 && generation <= HIGHEST_GENERATION)
  return inOrder && inRange && keys.length <= MOST_KEYS ? { since: Number(seconds) * 1_000, keys } : undefined
}

/** The text of the file. */
export const formatCookieKeys = ({ since, keys }: CookieKeys): string =>
  [
    `T: ${Math.floor(since / 1_000)}\nL: ${MASTER_KEY_BYTES}\n`,
    ...keys.map(({ generation, key }) => `I: ${generation}\nK: ${Buffer.from(key).toString("hex")}\n`)
  ].join("")

/** The file could not be used; the message says why and what to do, and holds no key. */
class CookieKeyFileUnusable extends Error {
  readonly _tag = "CookieKeyFileUnusable"
}

export class CookieKeyFile {
  readonly #file: string
  readonly #warn: (message: string) => void
  /** What is written there now, as far as known. */
  #text: string | undefined
  #newest: { readonly generation: number; readonly since: number } | undefined
  /** A file that somebody else wrote is not replaced. */
  #foreign = false

  constructor(file: string, warn: (message: string) => void) {
    this.#file = file
    this.#warn = warn
  }

  /** The keys there to go on from; undefined, with a warning where it is not simply absent. */
  read(): CookieKeys | undefined {
    try {
      const text = this.#readText()
      const found = text === undefined || text === "" ? undefined : parseCookieKeys(text)
      const [newest] = found?.keys ?? []
      if (found !== undefined && newest !== undefined)
        this.#newest = { generation: newest.generation, since: found.since }
      if (found !== undefined || text === undefined || text === "") return found
      this.#foreign = !text.startsWith("T: ")
      throw new CookieKeyFileUnusable(
        this.#foreign
          ? "it is no file of NTS master keys and stays as it is: name another, or remove it"
          : "its keys cannot be read: it is written anew, and clients exchange keys anew where the state directory is new too"
      )
    } catch (error) {
      this.#say(error)
      return undefined
    }
  }

  /** Has the file hold these keys and no other. `now`: milliseconds since 1970. */
  keep(keys: ReadonlyArray<CookieKey>, now: number): void {
    const [newest, ...others] = keys.toSorted((a, b) => b.generation - a.generation).slice(0, MOST_KEYS)
    // None before the first: the file may be what the first one comes from.
    if (this.#foreign || (newest === undefined && this.#text === undefined)) return
    const since = newest !== undefined && newest.generation === this.#newest?.generation ? this.#newest.since : now
    this.#newest = newest === undefined ? undefined : { generation: newest.generation, since }
    const text = newest === undefined ? "" : formatCookieKeys({ since, keys: [newest, ...others] })
    if (text === this.#text) return
    try {
      this.#replace(text)
      this.#text = text
    } catch (error) {
      this.#say(error)
    }
  }

  /** Undefined where there is no file. Throws CookieKeyFileUnusable, or the file system's error while reading. */
  #readText(): string | undefined {
    let descriptor: number
    try {
      // A pipe would be waited for otherwise.
      descriptor = openSync(this.#file, constants.O_RDONLY | constants.O_NONBLOCK)
    } catch (error) {
      if (errnoName(error) === "ENOENT") return undefined
      this.#foreign = true
      throw new CookieKeyFileUnusable(
        `it cannot be opened (${reasonOf(error)}) and stays as it is: name another, or remove it`
      )
    }
    try {
      const status = fstatSync(descriptor)
      this.#foreign = !status.isFile() || status.size > LONGEST_TEXT
      if (this.#foreign) throw new CookieKeyFileUnusable("expected a short file of NTS master keys: name another")
      const text = readFileSync(descriptor, "latin1")
      const mode = status.mode & 0o777
      if ((mode & FORBIDDEN_MODE) === 0) return text
      this.#foreign = text !== "" && !text.startsWith("T: ")
      throw new CookieKeyFileUnusable(
        `mode ${mode.toString(8).padStart(4, "0")} lets others at its keys, so they are not used${this.#foreign ? "" : "; it is written anew with mode 0600"}`
      )
    } finally {
      closeSync(descriptor)
    }
  }

  /** Whole or not at all; a link stays one. What was there is overwritten before its blocks are given back. */
  #replace(text: string): void {
    const file = realPath(this.#file)
    const fresh = `${file}-tmp`
    rmSync(fresh, { force: true })
    const descriptor = openSync(fresh, "wx", 0o600)
    try {
      writeFileSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    const before = openIfThere(file)
    try {
      renameSync(fresh, file)
      if (before !== undefined) overwrite(before)
    } finally {
      if (before !== undefined) closeSync(before)
    }
  }

  #say(error: unknown): void {
    const why = error instanceof CookieKeyFileUnusable ? error.message : reasonOf(error)
    this.#warn(`nts cookie ${this.#file}: ${why}`)
  }
}

const realPath = (file: string): string => {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}

const openIfThere = (file: string): number | undefined => {
  try {
    return openSync(file, constants.O_RDWR)
  } catch {
    return undefined
  }
}

const overwrite = (descriptor: number): void => {
  const zeros = new Uint8Array(fstatSync(descriptor).size)
  for (let at = 0; at < zeros.length;) at += writeSync(descriptor, zeros, at, zeros.length - at, at)
  fsyncSync(descriptor)
}
