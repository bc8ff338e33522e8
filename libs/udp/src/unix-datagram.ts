/** A unix datagram socket that answers its senders, over the C addon: Node has none. */
import { reasonOf } from "@meridian/system/errno-words"
import { lstatSync, unlinkSync } from "@meridian/system/files"
import { loadNative } from "@meridian/system/native"

interface UnixDatagramSocket {
  /** Takes a datagram into `bytes` without waiting: its length, which may be more than was kept; -1 for none. */
  readonly receive: (bytes: Uint8Array) => number
  /** The path of who sent the datagram that was received last; empty for one that cannot be answered. */
  readonly sender: () => string
  /** False where nobody is there to take it. */
  readonly send: (path: string, bytes: Uint8Array) => boolean
  /** Calls back on the event loop whenever something waits. To be called once. */
  readonly onReadable: (callback: () => void) => void
  /** Closes the socket and removes its file. May be called again. */
  readonly close: () => void
}

/** The socket cannot be made: why and what to do, in one line. */
export class UnixDatagramError extends Error {
  readonly _tag = "UnixDatagramError"
}

/** sun_path holds 108 bytes with its final zero. */
const LONGEST_PATH = 107

/**
 * Binds a socket; one that a process left behind is replaced.
 * @param permissions of its file: whoever may write it may send
 * @throws UnixDatagramError
 */
export const openUnixDatagram = (path: string, permissions: number): UnixDatagramSocket => {
  const { addon, reason } = loadNative()
  if (addon === undefined) throw new UnixDatagramError(`${path} needs the C addon, which is not in use: ${reason}`)
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw new UnixDatagramError(`the path ${path} is longer than the ${LONGEST_PATH} bytes that a socket takes`)
  try {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isSocket() === true) {
      if (addon.unixDatagramHasReceiver(path)) throw new UnixDatagramError(`another program receives on ${path}`)
      unlinkSync(path)
    }
    const socket = new addon.UnixDatagram(addon.unixDatagramBind(path, permissions))
    return {
      receive: (bytes) => socket.receive(bytes),
      sender: () => socket.sender(),
      send: (to, bytes) => socket.send(to, bytes),
      onReadable: (callback) => socket.onReadable(callback),
      close: () => {
        socket.close()
        try {
          unlinkSync(path)
        } catch {
          // What is left there is stale, and replaced by the next that binds.
        }
      }
    }
  } catch (error) {
    if (error instanceof UnixDatagramError) throw error
    throw new UnixDatagramError(`the socket ${path} cannot be made: ${reasonOf(error)}`)
  }
}
