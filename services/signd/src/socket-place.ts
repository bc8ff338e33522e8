/**
 * Where the socket between a time server and its signing daemon lies, and who has a say about that place. Whoever can replace
 * the socket can have Windows machines believe any time, so both ends look before they use it.
 */
import type { Stats } from "node:fs"
import { lstatSync, readlinkSync } from "@meridian/system/files"
import { basename, dirname, join, resolve } from "node:path"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"

/** As Samba, NTPsec and chrony call it in a directory that is given. */
const SOCKET_NAME = "socket"
/** As many symbolic links as Linux follows. */
const MOST_LINKS = 40

/** The place cannot be used. One line: what is wrong, and the command that mends it. */
export class BadSocketPlace extends Error {
  readonly _tag = "BadSocketPlace"
}

/**
 * The socket that a setting names: a directory means the socket in it. Where nothing is there yet, the name decides: `socket`
 * and names that end in .socket or .sock are the socket's own.
 */
export const socketPathOf = (given: string, links = 0): string => {
  const path = resolve(given)
  if (links > MOST_LINKS) throw new BadSocketPlace(`${path} leads through more than ${MOST_LINKS} symbolic links`)
  const found = lookAt(path)
  if (found?.isDirectory() === true || given.endsWith("/")) return join(path, SOCKET_NAME)
  if (found?.isSymbolicLink() === true) return socketPathOf(resolve(dirname(path), readlinkSync(path)), links + 1)
  if (found !== undefined) return path
  const name = basename(path)
  return name === SOCKET_NAME || /\.(?:socket|sock)$/.test(name) ? path : join(path, SOCKET_NAME)
}

/** What lies at a path, undefined for nothing; a part of it that is no directory counts as nothing. */
export const lookAt = (path: string): Stats | undefined => {
  try {
    return lstatSync(path)
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoName(error))) return undefined
    throw new BadSocketPlace(`${path} cannot be looked at: ${reasonOf(error)}`)
  }
}

/** For messages and for commands that are pasted into a shell. */
export const shellQuoted = (path: string): string =>
  /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`

/**
 * Goes down to a directory as the kernel does, through symbolic links, and makes sure that on the way only root and `user` may
 * exchange what lies there. A directory on the way that everybody may write to is fine where it is sticky, as /tmp is; the last
 * one is not.
 * @throws BadSocketPlace
 */
export const refuseReplaceable = (directory: string, user: number): void => {
  let pending = resolve(directory).split("/").filter(Boolean)
  let at = "/"
  let links = 0
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    judge(at, user, false)
    const path = next === ".." ? dirname(at) : join(at, next)
    const found = lookAt(path)
    if (found === undefined)
      throw new BadSocketPlace(`${path} is not there; make it: mkdir -p ${shellQuoted(directory)}`)
    if (!found.isSymbolicLink()) {
      at = path
      continue
    }
    if ((links += 1) > MOST_LINKS)
      throw new BadSocketPlace(`${path} leads through more than ${MOST_LINKS} symbolic links`)
    if (found.uid !== 0 && found.uid !== user) throw notOurs(path, found.uid, "symbolic link")
    const target = readlinkSync(path)
    pending = [...target.split("/").filter((part) => part !== "" && part !== "."), ...pending]
    if (target.startsWith("/")) at = "/"
  }
  judge(at, user, true)
}

const STICKY = 0o1000
const OTHERS_WRITE = 0o022

const judge = (directory: string, user: number, isLast: boolean): void => {
  const found = lookAt(directory)
  if (found?.isDirectory() !== true) throw new BadSocketPlace(`${directory} is no directory; choose another place`)
  if (found.uid !== 0 && found.uid !== user) throw notOurs(directory, found.uid, "directory")
  const isOpen = (found.mode & OTHERS_WRITE) !== 0
  if (isOpen && (isLast || (found.mode & STICKY) === 0))
    throw new BadSocketPlace(
      `${directory} may be written to by others than its owner (mode ${octal(found.mode)}), who could put another socket there; mend it: chmod go-w ${shellQuoted(directory)}`
    )
}

const notOurs = (path: string, owner: number, kind: string): BadSocketPlace =>
  new BadSocketPlace(
    `the ${kind} ${path} belongs to user ${owner}, who could put another socket there; mend it: chown root ${shellQuoted(path)}, or choose another place`
  )

/** A mode as chmod takes it. */
export const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0")
