/**
 * Preloaded into a coordinator (`node --import`): stops it for good right after it has sent a message to a subject of NATS, at
 * the very moment that a test wants to kill it at. However slow the machine is, the coordinator does nothing more.
 *
 * MERIDIAN_FREEZE_AT names a file. While there is one, its text is the beginning of the subject. `FILE.frozen` is there once
 * the process has stopped.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { Socket } from "node:net"

const file = process.env["MERIDIAN_FREEZE_AT"] ?? ""

const wantedSubject = (): string | undefined => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

const sockets = Socket.prototype as unknown as { write: (this: Socket, ...args: ReadonlyArray<unknown>) => boolean }
const { write } = sockets

sockets.write = function (...args) {
  const sent = write.apply(this, [...args])
  const subject = wantedSubject()
  const [bytes] = args
  if (subject !== undefined && bytes instanceof Uint8Array && Buffer.from(bytes).includes(`PUB ${subject}`)) {
    writeFileSync(`${file}.frozen`, "")
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
  return sent
}
