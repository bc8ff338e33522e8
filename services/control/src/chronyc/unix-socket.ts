/** chronyc's way in for whoever may enter the state directory: datagrams to a socket there, answered where they came from. */
import { LONGEST_CHRONYC } from "@meridian/wire/chronyc"
import { openUnixDatagram } from "@meridian/udp/unix-datagram"
import type { ChronyServer } from "./chrony-server.ts"

/** `chronyc -h STATE/chronyd.sock`. */
export const CHRONY_SOCKET_NAME = "chronyd.sock"

/** The node's own user and its group. chronyc makes a socket beside it, which anybody may write. */
const PERMISSIONS = 0o660
/** Datagrams taken in one turn of the event loop. */
const MOST = 64

/** Answers until the returned function is called. @throws UnixDatagramError */
export const serveChronySocket = (path: string, server: Pick<ChronyServer, "receive">): (() => void) => {
  const socket = openUnixDatagram(path, PERMISSIONS)
  const bytes = new Uint8Array(LONGEST_CHRONYC + 1)
  socket.onReadable(() => {
    for (let taken = 0; taken < MOST; taken += 1) {
      const length = socket.receive(bytes)
      if (length < 0) return
      const sender = socket.sender()
      server.receive(bytes.slice(0, Math.min(length, bytes.length)), { _tag: "unix" }, (reply) => {
        if (sender !== "") socket.send(sender, reply)
      })
    }
  })
  return () => socket.close()
}
