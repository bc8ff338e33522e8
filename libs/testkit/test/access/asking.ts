/**
 * Asks a server the packets of a case and says what came back, as one JSON array on standard output. Run in the network that the
 * packets are to come from: `node asking.ts SERVER4 SERVER6 PROBES_AS_JSON`.
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { setImmediate, setTimeout } from "node:timers/promises"
import { request } from "./packets.ts"
import type { Probe } from "./table.ts"

const WAIT_MS = 1_500
const [server4 = "", server6 = "", probes = "[]"] = process.argv.slice(2)

const ask = async ({ from, port, packet }: Probe): Promise<string> => {
  const isIpv6 = from.includes(":")
  const socket = createSocket(isIpv6 ? "udp6" : "udp4")
  socket.bind(port ?? 0, from)
  await once(socket, "listening")
  const reply = once(socket, "message") as Promise<[Buffer]>
  socket.send(request(packet), 123, isIpv6 ? server6 : server4)
  // What came while this process had to wait is read before its silence is believed.
  const silence = setTimeout(WAIT_MS, undefined, { ref: false }).then(() => setImmediate(undefined))
  const heard = await Promise.race([reply, silence])
  socket.close()
  return heard === undefined ? "silence" : nameOf(heard[0])
}

const nameOf = (reply: Buffer): string => {
  if ((reply[0]! & 7) === 6) return "answer"
  // ntpd-rs's kisses have no alarm in the leap bits.
  const isKiss = reply[1] === 0
  const code = reply.toString("latin1", 12, 16)
  return isKiss && ["DENY", "RSTR", "RATE"].includes(code) ? code : "time"
}

const asked: readonly Probe[] = JSON.parse(probes)
process.stdout.write(JSON.stringify(await Promise.all(asked.map(ask))))
