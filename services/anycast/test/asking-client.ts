/**
 * A client of an anycast address: asks it fifty times a second, each request once more where no answer came, and says on standard
 * output for each what became of it, as a line of JSON. Arguments: the address, and after how many milliseconds an answer counts as none. It ends with its standard input.
 */
import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"

const EACH_MS = 20
const [address = "", late = ""] = process.argv.slice(2)

interface Asked {
  readonly at: number
  tries: number
  readonly timer: NodeJS.Timeout
}
const asked = new Map<string, Asked>()
const socket = createSocket("udp4")

const say = (at: number, tries: number, answered: boolean): void =>
  void process.stdout.write(`${JSON.stringify({ at, tries, answered })}\n`)

const ask = (at: number, tries: number): void => {
  const request = Buffer.alloc(48)
  request[0] = 0x23
  const nonce = randomBytes(8)
  nonce.copy(request, 40)
  const key = nonce.toString("hex")
  const giveUp = (): void => {
    if (!asked.delete(key)) return
    if (tries === 1) ask(at, 2)
    else say(at, tries, false)
  }
  // What came while this process had to wait is read before it counts as none.
  const timer = setTimeout(() => setImmediate(giveUp), Number(late))
  asked.set(key, { at, tries, timer })
  // While a route changes the network may say that there is none: that is a request without an answer.
  socket.send(request, 123, address, () => {})
}

socket.on("message", (reply) => {
  const key = reply.toString("hex", 24, 32)
  const request = asked.get(key)
  if (request === undefined || reply.length !== 48 || ((reply[0] ?? 0) & 7) !== 4) return
  clearTimeout(request.timer)
  asked.delete(key)
  say(request.at, request.tries, true)
})
socket.on("error", () => {})
socket.bind(0)
setInterval(() => ask(Date.now(), 1), EACH_MS)
process.stdin.resume().on("close", () => process.exit(0))
