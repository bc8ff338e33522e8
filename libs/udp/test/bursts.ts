/**
 * A thread that asks a server on loopback once a millisecond, and every 40 ms with `many` requests at once. For each such burst
 * it posts how many different stamps the replies bore, at octet 40, when all have come.
 */
import { createSocket } from "node:dgram"
import { parentPort, workerData } from "node:worker_threads"

const { port, many } = workerData as { readonly port: number; readonly many: number }
const ALONE = 255
const request = (mark: number): Uint8Array => new Uint8Array(48).fill(mark, 0, 1)
const socket = createSocket("udp4")
/** Of each burst under way, by its mark. */
const stamps = Array.from({ length: ALONE }, (): bigint[] => [])

socket.on("message", (bytes) => {
  const came = stamps[bytes[0]!]
  came?.push(bytes.readBigUInt64BE(40))
  if (came?.length === many) parentPort!.postMessage(new Set(came.splice(0)).size)
})
let ticks = 0
setInterval(() => {
  const isBurst = ++ticks % 40 === 0
  const mark = isBurst ? (ticks / 40) % ALONE : ALONE
  if (isBurst) stamps[mark]!.length = 0
  for (let sent = 0; sent < (isBurst ? many : 1); sent++) socket.send(request(mark), port, "127.0.0.1")
}, 1)
