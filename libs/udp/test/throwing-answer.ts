/** Child of packet-loop.test.ts: an answer that throws, and then one that does not. */
import { createSocket } from "node:dgram"
import { servePackets } from "../src/packet-loop.ts"
import { bindUdpFallback } from "../src/udp-fallback.ts"
import { adoptUdp, bindUdpDescriptor } from "../src/udp-native.ts"

const where = { address: "127.0.0.1", port: 0 }
const socket = process.argv[2] === "native" ? adoptUdp(bindUdpDescriptor(where)) : await bindUdpFallback(where)
const peer = createSocket("udp4")
const thrown: string[] = []
let calls = 0
const ask = (): void => peer.send(new Uint8Array(48), socket.port, "127.0.0.1")

process.on("uncaughtException", (error) => {
  thrown.push(error.message)
  ask()
})
const loop = servePackets(
  [socket],
  (own, count) => {
    calls += 1
    if (calls === 1) throw new Error("first")
    own.replyLengths.fill(48, 0, count)
    return count
  },
  { stampAt: -1, gatherMicroseconds: 0 }
)
peer.on("message", () => {
  process.send?.({ thrown, answered: socket.sent() })
  peer.close()
  loop.stop()
  socket.close()
  process.disconnect?.()
})
ask()
