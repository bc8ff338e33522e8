/** Child of udp-native.test.ts: a readable callback that throws twice and then answers. */
import { createSocket } from "node:dgram"
import { bindUdpFallback } from "../src/udp-fallback.ts"
import { adoptUdp, bindUdpDescriptor } from "../src/udp-native.ts"

const where = { address: "127.0.0.1", port: 0 }
const socket = process.argv[2] === "native" ? adoptUdp(bindUdpDescriptor(where)) : await bindUdpFallback(where)
const peer = createSocket("udp4")
const thrown: Array<string> = []
let calls = 0
let answered = 0

process.on("uncaughtException", (error) => thrown.push(error.message))
socket.onReadable(() => {
  calls++
  if (calls === 1) throw new Error("first")
  const count = socket.receive()
  if (calls === 2) {
    socket.replyLengths.fill(48, 0, count)
    answered = socket.send(count)
    throw new Error("second")
  }
})
peer.on("message", () => {
  process.send?.({ thrown, answered })
  peer.close()
  socket.close()
  process.disconnect?.()
})
peer.send(new Uint8Array(48), socket.port, "127.0.0.1")
