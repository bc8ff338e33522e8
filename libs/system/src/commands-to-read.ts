/** Who may read a file, and what an administrator types to let somebody read it. By modes: lists of control are the system's to judge. */
import type { Stats } from "node:fs"
import { lstatSync, readlinkSync } from "./files.ts"
import { dirname, join, resolve } from "node:path"
import { readRegularFile } from "./regular-file.ts"

export interface Reader {
  readonly uid: number
  readonly gid: number
}

/** As many links as Linux follows. */
const MOST_LINKS = 40

const READ = 4
const PASS = 1

/** Which of the three sets of a mode counts for somebody. */
const shiftFor = ({ uid, gid }: Stats, reader: Reader): 6 | 3 | 0 =>
  uid === reader.uid ? 6 : gid === reader.gid ? 3 : 0

const quoted = (path: string): string => (/^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)

const LONGEST_GROUPS = 16 * 1024 * 1024

const groupName = (gid: number): string => {
  try {
    const line = readRegularFile("/etc/group", LONGEST_GROUPS)
      .toString("utf8")
      .split("\n")
      .find((each) => each.split(":")[2] === String(gid))
    return line?.split(":")[0] ?? String(gid)
  } catch {
    return String(gid)
  }
}

const command = (path: string, status: Stats, reader: Reader, what: "r" | "x"): string => {
  const shift = shiftFor(status, reader)
  if (shift === 6) return `chmod u+${what} ${quoted(path)}`
  const change = `chmod g+${what} ${quoted(path)}`
  return shift === 3 ? change : `chgrp ${groupName(reader.gid)} ${quoted(path)} && ${change}`
}

/**
 * The commands, in order, that let somebody read a file: the folders on the way, those that links lead through too, and the file
 * itself. Empty where it can be read by its modes. A process that may not look into a folder sees no further than that.
 */
export const commandsToRead = (path: string, reader: Reader): readonly string[] => {
  const commands = new Set<string>()
  const waiting = resolve(path).split("/").filter(Boolean)
  let at = "/"
  let links = 0
  try {
    while (waiting.length > 0) {
      const next = join(at, waiting.shift()!)
      const status = lstatSync(next)
      if (status.isSymbolicLink()) {
        if ((links += 1) > MOST_LINKS) return []
        const target = resolve(dirname(next), readlinkSync(next))
        waiting.unshift(...target.split("/").filter(Boolean))
        at = "/"
        continue
      }
      const [bit, what] = status.isDirectory() ? ([PASS, "x"] as const) : ([READ, "r"] as const)
      const may = reader.uid === 0 || ((status.mode >> shiftFor(status, reader)) & bit) !== 0
      if (!may) commands.add(command(next, status, reader, what))
      at = next
    }
  } catch {
    // What is behind a closed folder, or is not there, is not to be seen.
  }
  return [...commands]
}
