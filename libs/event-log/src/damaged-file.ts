/** SQLite files that cannot be read any more: noticed when they are opened, put aside by name, and begun anew. */
import { existsSync, renameSync, statSync } from "@meridian/system/files"
import type { DatabaseSync } from "node:sqlite"

/** What belongs to a database besides its file. */
const COMPANIONS = ["", "-wal", "-shm", "-journal", "-head"]

/** A longer file is read through when it is used, not when it is opened: a start does not wait for it. */
const LONGEST_CHECKED = 512 * 1024 * 1024

/** What SQLite's own check finds wrong, in its words; undefined where it finds nothing. Throws SQLite's error where it cannot even look. */
export const damageOf = (db: DatabaseSync, file: string): string | undefined => {
  if (file === ":memory:" || statSync(file).size > LONGEST_CHECKED) return undefined
  const found = db.prepare("PRAGMA quick_check(1)").get()?.["quick_check"]
  return found === "ok" ? undefined : String(found)
}

/**
 * Renames a database and what belongs to it, so that nothing of it is lost; the new name, which says when.
 * @param now milliseconds since 1970
 */
const putAside = (file: string, now: number): string => {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, "")
  const aside = `${file}.damaged-${stamp}`
  for (const companion of COMPANIONS)
    if (existsSync(`${file}${companion}`)) renameSync(`${file}${companion}`, `${aside}${companion}`)
  return aside
}

/**
 * What a file opens to; where it is damaged it is put aside first, and another begun.
 * @param isDamaged whether an error of `open` says so
 */
export const openOrBeginAnew = <A>(
  file: string,
  open: () => A,
  isDamaged: (error: unknown) => boolean,
  now: () => number
): { readonly opened: A; readonly aside: string | undefined } => {
  try {
    return { opened: open(), aside: undefined }
  } catch (error) {
    if (!isDamaged(error)) throw error
    const aside = putAside(file, now())
    return { opened: open(), aside }
  }
}
