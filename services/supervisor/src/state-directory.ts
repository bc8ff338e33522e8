/**
 * The state directory: made where there is none, and claimed for as long as this process lives. A directory that cannot be
 * written is no reason not to serve time: what it lacks is said, and the node goes on without.
 */
import { userInfo } from "node:os"
import { accessSync, constants, statSync } from "@meridian/system/files"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { errnoWords, reasonOf } from "@meridian/system/errno-words"
import { accessProblem } from "@meridian/system/file-access"
import { errnoName } from "@meridian/system/native"
import { CONTROL_SOCKET_NAME, isSocketServed, LONGEST_SOCKET_PATH } from "@meridian/ipc/unix-socket"
import { makeDirectory } from "@meridian/system/make-directory"

/** The state directory cannot be used: another node has it, or its path is too long for a Unix socket. */
class StateDirectoryTaken {
  readonly _tag = "StateDirectoryTaken"
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

interface StateDirectory {
  /** What is wrong with it; undefined where nothing is. */
  readonly problem: string | undefined
  readonly release: () => void
}

/**
 * Claims the directory, before anything in it is touched. Two things tell that another node has it: a lock in the kernel named for the directory
 * itself, which ends with its holder and needs no disk; and the control socket, which also a node of another network namespace has open. The
 * kernel connects to that also for a node that is stopped or too busy to answer.
 * @throws StateDirectoryTaken
 */
export const claimStateDirectory = async (directory: string): Promise<StateDirectory> => {
  const socket = join(directory, CONTROL_SOCKET_NAME)
  if (Buffer.byteLength(socket) > LONGEST_SOCKET_PATH)
    throw new StateDirectoryTaken(
      `the control socket's path ${socket} has ${socket.length} characters, a Unix socket takes at most ${LONGEST_SOCKET_PATH}; choose a shorter --state DIR`
    )
  try {
    makeDirectory(directory, 0o755)
  } catch (error) {
    const why = `there is no state directory ${directory} and none can be made: ${reasonOf(error)}`
    return { problem: `${why}: ${WITHOUT}; name another with --state DIR`, release }
  }
  const { dev, ino } = statSync(directory)
  // A name that begins with a zero byte is the kernel's alone; without Linux there are none, and the socket has to do.
  const lock = process.platform === "linux" ? await take(`\0meridian-state-${dev}-${ino}`) : undefined
  if (lock === "taken" || (await isSocketServed(socket))) {
    if (typeof lock === "object") lock.close()
    throw new StateDirectoryTaken(
      `a node already runs with the state directory ${directory}; stop it or give this one another --state DIR`
    )
  }
  return { problem: unwritable(directory), release: () => void (typeof lock === "object" && lock.close()) }
}

/** What a node goes without where it cannot write there. */
const WITHOUT = "no keys are kept there, and nobody can ask for the node's status"

/** Whether this process may make files in a directory. */
export const isWritable = (directory: string): boolean => whyUnwritable(directory) === undefined

const whyUnwritable = (directory: string): string | undefined => {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return errnoName(error)
  }
}

/** Who first ran the node as root, and then as somebody else, meets this. */
const unwritable = (directory: string): string | undefined => {
  const why = whyUnwritable(directory)
  if (why === undefined) return undefined
  const other = "name another with --state DIR"
  if (why !== "EACCES")
    return `the state directory ${directory} cannot be written (${errnoWords(why)}): ${WITHOUT}; ${other}`
  const denied = accessProblem(directory, "write")?.reason ?? `this user may not write in ${directory}`
  return `${denied}, the state directory: ${WITHOUT}; as root, type \`chown -R ${ownName()} ${directory}\`, or ${other}`
}

/** A user may have a number and no name. */
const ownName = (): string => {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? "USER")
  }
}

const release = (): void => {}

const take = (name: string): Promise<Server | "taken" | undefined> =>
  new Promise((done) => {
    const server = createServer((connection) => connection.destroy())
    server.once("error", (error) => done(errnoName(error) === "EADDRINUSE" ? "taken" : undefined))
    server.listen(name, () => done(server.unref()))
  })
