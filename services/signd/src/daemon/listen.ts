/** Opens the daemon's socket, in a place that only root and the daemon's user can change. */
import { execFileSync } from "node:child_process"
import { chmodSync, chownSync, mkdirSync, rmSync } from "@meridian/system/files"
import { createServer, type Server } from "node:net"
import { dirname, resolve } from "node:path"
import { isSocketServed, listenAt, LONGEST_SOCKET_PATH } from "@meridian/ipc/unix-socket"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { BadSocketPlace, lookAt, octal, refuseReplaceable, shellQuoted, socketPathOf } from "../socket-place.ts"

/** Its owner may do anything, its group may enter: Samba's own mode for the directory. */
const DIRECTORY_MODE = 0o750
const SOCKET_MODE = 0o660

export interface OpenedSocket {
  readonly path: string
  readonly server: Server
}

/**
 * Listens on the socket that `given` names, making its directory where there is none, and taking the place of a socket on which
 * nobody answers.
 * @param group the group that may ask, by name or number; undefined for none
 * @throws BadSocketPlace
 */
export const openSocket = async (given: string, group: string | undefined): Promise<OpenedSocket> => {
  const user = process.geteuid?.() ?? 0
  const gid = group === undefined ? undefined : groupNumber(group)
  const path = socketPathOf(given)
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH)
    throw new BadSocketPlace(`${path} is too long, a Unix socket's path has at most ${LONGEST_SOCKET_PATH} octets`)
  const directory = dirname(path)
  const isDirectoryGiven = path !== resolve(given)
  if (isDirectoryGiven && lookAt(directory) === undefined) makeDirectory(directory, user, gid)
  refuseReplaceable(directory, user)
  if (isDirectoryGiven) refuseOpenDirectory(directory, group, gid)
  await takeOver(path, user)
  const server = await listen(path, 0o600)
  // The rights are widened when the owner is set.
  if (gid !== undefined)
    attempt(path, () => {
      chownSync(path, user, gid)
      chmodSync(path, SOCKET_MODE)
    })
  return { path, server }
}

const groupNumber = (group: string): number => {
  if (/^\d+$/.test(group)) return Number(group)
  try {
    const line = execFileSync("getent", ["group", group], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    return Number(line.split(":")[2])
  } catch {
    throw new BadSocketPlace(`no group ${group} on this system; make it: groupadd --system ${shellQuoted(group)}`)
  }
}

const makeDirectory = (directory: string, user: number, gid: number | undefined): void => {
  refuseReplaceable(dirname(directory), user)
  attempt(directory, () => {
    mkdirSync(directory, 0o700)
    if (gid !== undefined) chownSync(directory, user, gid)
    chmodSync(directory, DIRECTORY_MODE)
  })
}

/** Of a directory that was there: nobody but its owner and the group may enter. */
const refuseOpenDirectory = (directory: string, group: string | undefined, gid: number | undefined): void => {
  const { mode, gid: found } = lookAt(directory)!
  const name = shellQuoted(directory)
  if ((mode & 0o007) !== 0)
    throw new BadSocketPlace(`everybody may enter ${directory} (mode ${octal(mode)}); mend it: chmod 0750 ${name}`)
  if (group === undefined) return
  if (found !== gid)
    throw new BadSocketPlace(
      `${directory} belongs to group ${found}, expected ${group}; mend it: chgrp ${group} ${name}`
    )
  if ((mode & 0o010) === 0)
    throw new BadSocketPlace(
      `group ${group} may not enter ${directory} (mode ${octal(mode)}); mend it: chmod 0750 ${name}`
    )
}

/** Removes a socket on which nobody answers. */
const takeOver = async (path: string, user: number): Promise<void> => {
  const found = lookAt(path)
  if (found === undefined) return
  if (!found.isSocket())
    throw new BadSocketPlace(`${path} is there and no socket; move it away, or choose another place`)
  if (found.uid !== user && user !== 0)
    throw new BadSocketPlace(`${path} belongs to user ${found.uid}; mend it: rm ${shellQuoted(path)}`)
  if (await isSocketServed(path))
    throw new BadSocketPlace(`${path}: a signing daemon answers there already; stop it, or choose another place`)
  attempt(path, () => rmSync(path))
}

const listen = async (path: string, mode: number): Promise<Server> => {
  const server = createServer()
  try {
    await listenAt(server, path, mode)
    return server
  } catch (error) {
    throw new BadSocketPlace(`${path} cannot be opened: ${reasonOf(error)}`)
  }
}

const attempt = (path: string, action: () => void): void => {
  try {
    action()
  } catch (error) {
    const advice = errnoName(error) === "EPERM" ? "; only root, or a member of the group, can give it to the group" : ""
    throw new BadSocketPlace(`${path} cannot be set up: ${reasonOf(error)}${advice}`)
  }
}
