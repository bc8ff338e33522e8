/**
 * Tells the time to many (RFC 5905 §3.1 broadcast server): each line has a socket on the node's port, since whoever hears it
 * asks back there, and a turn every 2^minpoll seconds. Nothing is told while this node has no good time.
 */
import type { ManyConfiguration } from "@meridian/ipc/discipline-report"
import { symmetricKey, unauthenticated } from "@meridian/protocol/associations"
import { Leap } from "@meridian/time/clock-curve"
import { UdpClientError, type UdpClientSocket, openUdpClient } from "@meridian/udp/client"
import { Mode } from "@meridian/wire/ntp"
import type { AutokeySources } from "./autokey-sources.ts"
import { type GroupSurroundings, headerOf } from "./group-packets.ts"
import { addressTowardsMany } from "./many-addresses.ts"

/**
 * Seals broadcasts of a line from an address of ours: what costs time is done at once, and the rest when the header is there.
 * Undefined where it cannot be done: nothing is sent then.
 */
type BroadcastSeal = (from: string) => ((header: Uint8Array) => Uint8Array | undefined) | undefined

export interface BroadcastSurroundings extends GroupSurroundings {
  /** Undefined where this node has no credentials of Autokey. */
  readonly autokey: Pick<AutokeySources, "broadcasts"> | undefined
}

export class Broadcasts {
  private readonly lines: readonly ManyConfiguration[]
  private readonly surroundings: BroadcastSurroundings
  private readonly timers = new Set<NodeJS.Timeout>()
  private readonly sockets = new Map<ManyConfiguration, { readonly socket: UdpClientSocket; readonly from: string }>()
  private hasStopped = false

  constructor(lines: readonly ManyConfiguration[], surroundings: BroadcastSurroundings) {
    this.lines = lines
    this.surroundings = surroundings
  }

  start(): void {
    for (const line of this.lines) {
      const seal = this.sealOf(line)
      const turn = (): void => void this.tell(line, seal)
      this.timers.add(setInterval(turn, 1_000 * 2 ** line.minpoll))
      turn()
    }
  }

  stop(): void {
    this.hasStopped = true
    for (const timer of this.timers) clearInterval(timer)
    for (const { socket } of this.sockets.values()) socket.close()
    this.sockets.clear()
  }

  private sealOf(line: ManyConfiguration): BroadcastSeal {
    const { macs, autokey } = this.surroundings
    if (line.autokey === true) return (from) => autokey?.broadcasts.begin(line.address, from, 2 ** line.minpoll)
    const authentication = line.keyId === null ? unauthenticated : symmetricKey(macs, line.keyId)
    return () => (header) => {
      const sealed = authentication.seal(header, () => {})
      return sealed._tag === "Sealed" ? sealed.bytes : undefined
    }
  }

  /** Never rejects. */
  private async tell(line: ManyConfiguration, seal: BroadcastSeal): Promise<void> {
    const { system, warn } = this.surroundings
    const { stratum, leap } = system()
    if (stratum === 0 || leap === Leap.unsynchronised) return
    try {
      const opened = this.sockets.get(line) ?? (await this.open(line))
      if (opened === undefined || this.hasStopped) return
      const bytes = seal(opened.from)?.(this.header(line))
      if (bytes === undefined) warn(`nothing is told to ${line.address}: ${missing(line)}`)
      else opened.socket.send(bytes)
    } catch (error) {
      if (!(error instanceof UdpClientError)) throw error
      this.sockets.get(line)?.socket.close()
      this.sockets.delete(line)
      warn(`nothing is told to ${line.address}: ${error.message}`)
    }
  }

  private async open(line: ManyConfiguration) {
    const { serving, warn } = this.surroundings
    const { address, port, hops } = line
    const from = await addressTowardsMany(address, serving)
    if (from === undefined) {
      warn(`nothing is told to ${address}: no network of this machine leads there; see \`ip address\``)
      return undefined
    }
    const socket = await openUdpClient({ remote: { address, port }, local: { address: from, port }, tells: { hops } })
    const opened = { socket, from }
    // Stamps of what left are taken off the socket, and nothing else comes.
    socket.onReadable(() => {
      while (socket.receive() !== undefined) continue
    })
    if (this.hasStopped) socket.close()
    else this.sockets.set(line, opened)
    return opened
  }

  private header({ version, minpoll }: ManyConfiguration): Uint8Array {
    const { system, moment, precision } = this.surroundings
    const { wall } = moment()
    return headerOf(system(), {
      version,
      mode: Mode.broadcast,
      poll: minpoll,
      precision,
      origin: 0n as typeof wall,
      receive: 0n as typeof wall,
      transmit: wall
    })
  }
}

const missing = ({ autokey }: ManyConfiguration): string =>
  autokey === true ? "this host has no credentials of Autokey" : "its key is not there"
