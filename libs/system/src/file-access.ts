/** Whether a user may do something with a file, told by owners and modes before anything is opened, and what mends it. */
import type { Stats } from "node:fs"
import { accessSync, constants, statSync } from "./files.ts"
import { dirname, resolve } from "node:path"
import { type Identity, ownerNames } from "./identity.ts"

type Wanted = "read" | "write" | "enter"

/** Why it cannot be done: `missing` is not there, `denied` is not allowed. One sentence each, with a command where there is one. */
interface AccessProblem {
  readonly kind: "missing" | "denied"
  readonly reason: string
}

const BITS: Readonly<Record<Wanted, number>> = { read: 4, write: 2, enter: 1 }
const VERBS: Readonly<Record<Wanted, string>> = { read: "read", write: "write in", enter: "enter" }
const LETTERS: Readonly<Record<Wanted, string>> = { read: "r", write: "w", enter: "x" }

/**
 * Looks at every folder on the way and at the path itself. Access lists and capabilities are not looked at.
 * @param as who is to do it; undefined: this process
 */
export const accessProblem = (path: string, wanted: Wanted, as?: Identity): AccessProblem | undefined => {
  const whole = resolve(path)
  const way = foldersAbove(whole)
  for (const [index, step] of [...way, whole].entries()) {
    const want = index < way.length ? "enter" : wanted
    const found = look(step)
    if (typeof found === "string") return { kind: found === MISSING ? "missing" : "denied", reason: found }
    if (index < way.length && !found.isDirectory()) return { kind: "missing", reason: `${step} is no directory` }
    if (!may(step, found, want, as)) return { kind: "denied", reason: refusal(step, found, want, as) }
  }
  return undefined
}

const foldersAbove = (path: string): readonly string[] => {
  const above = dirname(path)
  return above === path ? [] : [...foldersAbove(above), above]
}

const MISSING = "it is not there"

const look = (path: string): Stats | string => {
  try {
    return statSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") return MISSING
    return code === "ELOOP" ? `${path} is a link that leads to itself` : `this user may not look at ${path}`
  }
}

const may = (path: string, { uid, gid, mode }: Stats, wanted: Wanted, as: Identity | undefined): boolean => {
  if (as === undefined) {
    try {
      accessSync(path, { read: constants.R_OK, write: constants.W_OK, enter: constants.X_OK }[wanted])
      return true
    } catch {
      return false
    }
  }
  if (as.uid === 0) return true
  const shift = as.uid === uid ? 6 : as.gid === gid ? 3 : 0
  return ((mode >> shift) & BITS[wanted]) !== 0
}

const refusal = (path: string, found: Stats, wanted: Wanted, as: Identity | undefined): string => {
  const { user, group } = ownerNames(found.uid, found.gid)
  const who = as?.name.split(":")[0] ?? "this user"
  const state = `${modeText(found.mode)}, ${user}:${group}`
  const said = `${who} may not ${VERBS[wanted]} ${path} (${state})`
  if (as === undefined) return said
  if (wanted === "write") return `${said}; give it a directory of its own, as by: install -d -o ${who} DIR`
  const owned = as.uid === found.uid ? "u" : "g"
  const command =
    owned === "u" || as.gid === found.gid
      ? `chmod ${owned}+${LETTERS[wanted]} ${path}`
      : `chgrp ${ownerNames(0, as.gid).group} ${path} && chmod g+${LETTERS[wanted]} ${path}`
  return `${said}; mend it by: ${command}`
}

/** `0640`. */
const modeText = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0")

/** Who besides the owner can do too much with a secret; undefined where nobody can. */
export const tooOpen = (path: string, mode: number): string | undefined => {
  const excess = [
    ...((mode & 0o004) === 0 ? [] : ["everybody can read it"]),
    ...((mode & 0o022) === 0 ? [] : ["others than its owner can change it"])
  ]
  return excess.length === 0
    ? undefined
    : `${excess.join(" and ")} (${modeText(mode)}); mend it by: chmod g-w,o= ${path}`
}
