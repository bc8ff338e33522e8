/** Asks 127.0.0.1 port 123 twenty times a second and prints the time (ms since 1970) of the first answer with time in it. Argument: seconds. */
import { createSocket } from "node:dgram"

const seconds = Number(process.argv[2] ?? "60")
const INTERVAL_MS = 50
const UNSYNCHRONISED = 3

const socket = createSocket("udp4")
const request = Buffer.alloc(48)
request[0] = 0x23
request.writeUInt32BE(1, 44)
socket.on("message", ([flags = 0, stratum = 0]) => {
  if (flags >> 6 === UNSYNCHRONISED || stratum === 0 || stratum > 15) return
  console.log(Date.now())
  process.exit(0)
})
socket.on("error", () => {})
socket.bind(0, () => setInterval(() => socket.send(request, 123, "127.0.0.1"), INTERVAL_MS))
setTimeout(() => process.exit(1), seconds * 1e3)
