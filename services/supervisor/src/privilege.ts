/**
 * Giving up root, which only the supervisor needs and only until the sockets are open; and who may set the system's clock:
 * the clock's process where kernel mode is asked for, and nobody else.
 */
import { lchownSync, lstatSync, readdirSync, realpathSync } from "@meridian/system/files"
import { join } from "node:path"
import {
  CAP_NET_BIND_SERVICE,
  CAP_SYS_TIME,
  giveUpCapability,
  hasCapability,
  keepCapabilitiesThrough,
  readCapabilities,
  reserveCapability
} from "@meridian/system/capabilities"
import type { Identity } from "@meridian/system/identity"
import { reasonOf } from "@meridian/system/errno-words"

/** What the coordinator keeps in folders of its own. */
const FOLDERS: ReadonlySet<string> = new Set(["log", "shelf", "snapshots"])

/**
 * Gives the state directory away, and what lies in it. Whoever ran as that user before may have put links here, to files that
 * are not its own: none is followed. Folders go along with what is in them while they are still root's and closed to others,
 * as after a first run as root: then nobody can put anything in the way meanwhile.
 */
const handOver = (directory: string, { uid, gid }: Identity): void => {
  const give = (path: string): void => {
    const found = lstatSync(path)
    if (!found.isFile() || found.nlink === 1) lchownSync(path, uid, gid)
  }
  const isClosed = (path: string): boolean => {
    const found = lstatSync(path)
    return found.isDirectory() && found.uid === 0 && (found.mode & 0o022) === 0
  }
  for (const entry of readdirSync(directory)) {
    const path = join(directory, entry)
    if (FOLDERS.has(entry) && isClosed(directory) && isClosed(path))
      for (const inner of readdirSync(path)) give(join(path, inner))
    give(path)
  }
  lchownSync(directory, uid, gid)
}

/** Gives a file away that root opened and that is opened again later: a log. Links and what has other names stay as they are. */
const giveFile = (path: string, { uid, gid }: Identity): void => {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.isFile() === true && found.nlink === 1) lchownSync(path, uid, gid)
}

/** Hands the state directory and the log to the identity and becomes it, for good. What cannot be handed over is said, and left. */
const become = (identity: Identity, stateDirectory: string, logFile: string | undefined): string | undefined => {
  let problem: string | undefined
  try {
    handOver(realpathSync(stateDirectory), identity)
    if (logFile !== undefined) giveFile(logFile, identity)
  } catch (error) {
    problem = `the state directory ${stateDirectory} cannot be handed to ${identity.name}: ${reasonOf(error)}`
  }
  process.setgroups?.([identity.gid])
  process.setgid?.(identity.gid)
  process.setuid?.(identity.uid)
  return problem
}

interface PrivilegeQuestion {
  /** Whether kernel mode was asked for. */
  readonly steers: boolean
  readonly isRoot: boolean
  /** Whether another user is to be become. */
  readonly changesUser: boolean
  /** Whether the capability in question is permitted now. */
  readonly has: boolean
}

/**
 * What becomes of CAP_SYS_TIME.
 * - `give-up`: for this process and all of its children, for good
 * - `keep-through`: kept over the change of user, for the clock's process alone
 * - `reserve`: a user's process that was given it keeps it for the clock's process alone
 * - `stay-root`: root's children are root too: all of them have it, which is worth a warning
 */
type TimePrivilege = "give-up" | "keep-through" | "reserve" | "stay-root"

export const timePrivilege = ({ steers, isRoot, changesUser, has }: PrivilegeQuestion): TimePrivilege => {
  if (!steers || !has) return "give-up"
  if (changesUser) return "keep-through"
  return isRoot ? "stay-root" : "reserve"
}

interface PrivilegeKept {
  /** Whether the clock's process is to be started with {@link CAP_SYS_TIME} handed on to it. */
  readonly forClock: boolean
  readonly warning: string | undefined
}

interface PrivilegeWanted {
  /** Whether kernel mode was asked for. */
  readonly steers: boolean
  /** Whether ports below 1024 may have to be bound when addresses come later. */
  readonly bindsLater?: boolean
  /** Opened by root, opened again at SIGHUP by the identity. */
  readonly logFile?: string | undefined
  /** Another than CAP_SYS_TIME in tests, which must not have that one. */
  readonly capability?: number
}

/** Hands the state directory over, becomes the identity where there is one, and settles who may set the clock. */
export const settlePrivilege = (
  identity: Identity | undefined,
  stateDirectory: string,
  { steers, bindsLater = false, logFile, capability = CAP_SYS_TIME }: PrivilegeWanted
): PrivilegeKept => {
  let problem: string | undefined
  const own = bindsLater ? CAP_NET_BIND_SERVICE : undefined
  const change = (): void => {
    if (identity !== undefined) problem = become(identity, stateDirectory, logFile)
  }
  const has = hasCapability(readCapabilities().permitted, capability)
  switch (timePrivilege({ steers, isRoot: process.getuid?.() === 0, changesUser: identity !== undefined, has })) {
    case "keep-through":
      return { forClock: keepCapabilitiesThrough({ forChild: capability, own }, change).forChild, warning: problem }
    case "reserve":
      return { forClock: reserveCapability(capability), warning: undefined }
    case "stay-root":
      return {
        forClock: false,
        warning:
          "kernel mode without --user: every process runs as root and could set the clock; give --user NAME to leave that to the clock's process alone"
      }
    case "give-up":
      giveUpCapability(capability)
      if (identity !== undefined && own !== undefined) keepCapabilitiesThrough({ forChild: undefined, own }, change)
      else change()
      return { forClock: false, warning: problem }
  }
}
