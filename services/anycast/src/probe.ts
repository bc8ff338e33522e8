/** Asks this node's own workers for the time at its service addresses, as a client would: from the loopback, one datagram each. */
import { randomBytes } from "node:crypto"
import { createSocket, type Socket } from "node:dgram"

const REQUEST_BYTES = 48
/** No leap warning, version 4, client. */
const FIRST_OCTET = 0x23
const MODE_SERVER = 4
const ORIGIN = 24
const TRANSMIT = 40
const STAMP_BYTES = 8
/** Workers on this machine answer within a millisecond; a busy one may take longer. */
const LATE_MS = 150

interface Target {
  readonly address: string
  /** Transmit timestamp of the request that waits for its answer; empty where none does. */
  waiting: string
  /** Whether an answer is late. */
  isSilent: boolean
}

export class Probe {
  sent = 0
  answered = 0
  private readonly targets: readonly Target[]
  private readonly port: number
  private readonly sockets: ReadonlyMap<4 | 6, Socket>
  private readonly onLate: () => void
  private late: NodeJS.Timeout | undefined

  /** @param onLate told when an answer is late */
  constructor(addresses: readonly string[], port: number, onLate: () => void) {
    this.targets = addresses.map((address) => ({ address, waiting: "", isSilent: false }))
    this.port = port
    this.onLate = onLate
    this.sockets = new Map(
      ([4, 6] as const)
        .filter((family) => addresses.some((address) => familyOf(address) === family))
        .map((family) => [family, this.open(family)])
    )
  }

  /** Addresses that have not answered; none before the first request. */
  get silent(): readonly string[] {
    return this.targets.filter(({ isSilent }) => isSilent).map(({ address }) => address)
  }

  /** Asks every address. */
  send(): void {
    for (const target of this.targets) {
      const request = Buffer.alloc(REQUEST_BYTES)
      request[0] = FIRST_OCTET
      const stamp = randomBytes(STAMP_BYTES)
      stamp.copy(request, TRANSMIT)
      target.waiting = stamp.toString("latin1")
      this.sent += 1
      // An address that is not this machine's any more is one that does not answer.
      this.sockets.get(familyOf(target.address))?.send(request, this.port, target.address, () => {})
    }
    clearTimeout(this.late)
    this.late = setTimeout(() => this.judge(), LATE_MS)
  }

  close(): void {
    clearTimeout(this.late)
    for (const socket of this.sockets.values()) socket.close()
  }

  private judge(): void {
    for (const target of this.targets) if (target.waiting !== "") target.isSilent = true
    this.onLate()
  }

  private open(family: 4 | 6): Socket {
    const socket = createSocket(family === 4 ? "udp4" : "udp6")
    socket.on("error", () => {})
    socket.on("message", (reply) => this.take(reply))
    socket.bind(0, family === 4 ? "127.0.0.1" : "::1")
    return socket
  }

  private take(reply: Buffer): void {
    if (reply.length < REQUEST_BYTES || ((reply[0] ?? 0) & 7) !== MODE_SERVER) return
    const origin = reply.toString("latin1", ORIGIN, ORIGIN + STAMP_BYTES)
    const target = this.targets.find(({ waiting }) => waiting === origin)
    if (target === undefined) return
    target.waiting = ""
    target.isSilent = false
    this.answered += 1
    if (this.targets.every(({ waiting }) => waiting === "")) clearTimeout(this.late)
  }
}

const familyOf = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4)
