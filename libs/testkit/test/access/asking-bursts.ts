/**
 * Sends each address's packets at once, one address after the other, and says what came back as one JSON array on standard output. Run in the
 * network that the packets are to come from: `node asking-bursts.ts SERVER [[ADDRESS, PACKETS], …]`.
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { setImmediate, setTimeout } from "node:timers/promises"
import { request } from "./packets.ts"

export interface Heard {
  readonly times: number
  readonly kisses: number
}

/** Nothing comes any more after so long without a packet. */
const QUIET_MS = 1_000
const [server = "", bursts = "[]"] = process.argv.slice(2)

const ask = async (from: string, packets: number): Promise<Heard> => {
  const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 })
  socket.bind(0, from)
  await once(socket, "listening")
  let times = 0
  let kisses = 0
  socket.on("message", (reply) => {
    if (reply[1] === 0 && reply.toString("latin1", 12, 16) === "RATE") kisses += 1
    else times += 1
  })
  for (let packet = 0; packet < packets; packet += 1) socket.send(request("client"), 123, server)
  for (let before = -1; before !== times + kisses;) {
    before = times + kisses
    await setTimeout(QUIET_MS)
    // What came while this process had to wait is read first.
    await setImmediate()
  }
  socket.close()
  return { times, kisses }
}

const heard: Heard[] = []
for (const [from, packets] of JSON.parse(bursts) as readonly (readonly [string, number])[])
  heard.push(await ask(from, packets))
process.stdout.write(JSON.stringify(heard))
