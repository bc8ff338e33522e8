/**
 * Clients that ask at their own pace, and what each kind of them gets: `node steady-clients.ts SERVER PORT SECONDS GROUPS_AS_JSON`, run in the network that
 * they live in; prints one JSON object. Every address and port of a group is a client, and a group's clients ask one after another, evenly.
 */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"

export interface ClientGroup {
  readonly name: string
  readonly addresses: readonly string[]
  /** Clients behind each address. */
  readonly ports: number
  /** Milliseconds from one burst of a client to its next. */
  readonly everyMs: number
  /** Packets that it sends at once. */
  readonly burst: number
}

export interface Fate {
  readonly sent: number
  readonly times: number
  readonly kisses: number
  /** Milliseconds; null where nothing came. */
  readonly p50: number | null
  readonly p99: number | null
}

const PACKET_BYTES = 48
const TICK_MS = 2
/** An answer that comes later is none. */
const PATIENCE_MS = 2_000

class RunningGroup {
  readonly group: ClientGroup
  private readonly sockets: Socket[] = []
  private readonly waiting = new Map<number, number>()
  private readonly delays: number[] = []
  private sent = 0
  private bursts = 0
  private kisses = 0

  constructor(group: ClientGroup) {
    this.group = group
  }

  async open(): Promise<void> {
    for (const address of this.group.addresses)
      for (let port = 0; port < this.group.ports; port += 1) {
        const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 })
        socket.on("error", () => {})
        socket.on("message", (reply) => this.hear(reply))
        socket.bind(0, address)
        await once(socket, "listening")
        this.sockets.push(socket)
      }
  }

  /** Sends what is due by now. */
  tick(elapsedMs: number, server: string, port: number): void {
    const { everyMs, burst } = this.group
    const due = Math.floor((elapsedMs * this.sockets.length) / everyMs) + 1
    for (; this.bursts < due; this.bursts += 1)
      for (let packet = 0; packet < burst; packet += 1) {
        const request = Buffer.alloc(PACKET_BYTES)
        request[0] = 0x23
        this.sent += 1
        request.writeUInt32BE(this.sent, 40)
        this.waiting.set(this.sent, performance.now())
        this.sockets[this.bursts % this.sockets.length]?.send(request, port, server)
      }
  }

  close(): Fate {
    for (const socket of this.sockets) socket.close()
    const delays = this.delays.toSorted((a, b) => a - b)
    const at = (share: number): number | null => delays[Math.floor(share * (delays.length - 1))] ?? null
    return { sent: this.sent, times: delays.length, kisses: this.kisses, p50: at(0.5), p99: at(0.99) }
  }

  private hear(reply: Buffer): void {
    const number = reply.readUInt32BE(24)
    const askedAt = this.waiting.get(number)
    if (askedAt === undefined || reply.length !== PACKET_BYTES) return
    this.waiting.delete(number)
    const delay = performance.now() - askedAt
    if (reply[1] === 0) this.kisses += 1
    else if (delay < PATIENCE_MS) this.delays.push(delay)
  }
}

if (import.meta.main) {
  const [server = "", port = "", seconds = "", groups = "[]"] = process.argv.slice(2)
  const running = (JSON.parse(groups) as ClientGroup[]).map((group) => new RunningGroup(group))
  for (const group of running) await group.open()
  const begin = performance.now()
  for (let elapsed = 0; elapsed < Number(seconds) * 1000; elapsed = performance.now() - begin) {
    for (const group of running) group.tick(elapsed, server, Number(port))
    await sleep(TICK_MS)
  }
  await sleep(PATIENCE_MS)
  process.stdout.write(JSON.stringify(Object.fromEntries(running.map((each) => [each.group.name, each.close()]))))
}
