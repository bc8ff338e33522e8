/**
 * A time server for nodes under test: this machine's clock at stratum 1, with a root dispersion and an offset that are
 * read from standard input for each address: `ADDRESS SECONDS [SECONDS]`. Arguments: the addresses to answer on, port 123.
 */
import { createSocket } from "node:dgram"
import { createInterface } from "node:readline"

/** Seconds between 1900 and 1970. */
const EPOCH = 2_208_988_800
const dispersions = new Map<string, number>()
const offsets = new Map<string, number>()

const stamp = (reply: Buffer, at: number, milliseconds: number): void => {
  reply.writeUInt32BE(Math.floor(milliseconds / 1e3) + EPOCH, at)
  reply.writeUInt32BE(Math.floor(((milliseconds % 1e3) / 1e3) * 2 ** 32), at + 4)
}
const now = (address: string): number => performance.timeOrigin + performance.now() + (offsets.get(address) ?? 0) * 1e3

for (const address of process.argv.slice(2)) {
  const socket = createSocket("udp4")
  socket.on("message", (request, { port, address: from }) => {
    const received = now(address)
    const reply = Buffer.alloc(48)
    reply[0] = 0x24
    reply[1] = 1
    reply[2] = request[2] ?? 0
    reply[3] = 0xec
    reply.writeUInt32BE(Math.round((dispersions.get(address) ?? 0.001) * 65_536), 8)
    reply.write("TEST", 12, "latin1")
    stamp(reply, 16, received)
    request.copy(reply, 24, 40, 48)
    stamp(reply, 32, received)
    stamp(reply, 40, now(address))
    socket.send(reply, port, from)
  })
  socket.bind(123, address)
}
createInterface({ input: process.stdin }).on("line", (line) => {
  const [address = "", seconds = "", offset = "0"] = line.split(" ")
  dispersions.set(address, Number(seconds))
  offsets.set(address, Number(offset))
})
