/** A node's Unix sockets: what they are called, and how a process opens one where an earlier process may have left its own. */
import { chmodSync, lstatSync, unlinkSync } from "@meridian/system/files"
import { connect, type Server } from "node:net"
import { errnoName } from "@meridian/system/native"

/** The supervisor's, in the state directory: status, sources, reload. */
export const CONTROL_SOCKET_NAME = "control.sock"
/** The coordinator's, in the state directory: log, keys, cluster. */
export const COORDINATOR_SOCKET_NAME = "coordinator.sock"
/** Longest path of a Unix socket on Linux, bytes, without the zero at its end. */
export const LONGEST_SOCKET_PATH = 107

const OWNER_AND_GROUP = 0o660
/** Answers of a socket that nobody serves, and of what is no socket of ours. */
const UNSERVED: readonly string[] = ["ECONNREFUSED", "ELOOP", "ENOENT", "ENOTSOCK", "EPROTOTYPE"]

/**
 * Whether a process has the socket open. The kernel connects to it also for one that is too busy to answer or is stopped; a
 * socket that was left behind refuses, and one that is not there is none.
 */
export const isSocketServed = (path: string): Promise<boolean> =>
  new Promise((done) => {
    const connection = connect(path)
    connection.once("connect", () => {
      connection.destroy()
      done(true)
    })
    connection.once("error", (error) => done(!UNSERVED.includes(errnoName(error))))
  })

/**
 * Listens on a path, in place of what lies there: ask {@link isSocketServed} before. Until its mode is set nobody else may connect.
 * @param mode of the socket; whoever may write to it may ask
 * @throws the system's error
 */
export const listenAt = async (server: Server, path: string, mode = OWNER_AND_GROUP): Promise<void> => {
  clear(path)
  await new Promise<void>((done, failed) => {
    // Stays: a connection that cannot be taken later on is no end of the process.
    server.on("error", failed)
    const before = process.umask(0o177)
    try {
      // Binds before it returns, under this mask.
      server.listen(path, done)
    } finally {
      process.umask(before)
    }
  })
  chmodSync(path, mode)
}

/** Takes away what lies in the socket's place; a directory is somebody's, and stays. @throws the system's error */
const clear = (path: string): void => {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) unlinkSync(path)
}
