/**
 * The sockets of the associations: one each, a fresh one for every request of a client (RFC 9109). A symmetric peer is
 * spoken to from the port that the node serves on, as RFC 5905 §9.1 has it and as peers that are configured expect: the
 * kernel gives what comes from the peer to this socket, and everything else to the workers.
 */
import { UdpClientError, type UdpClientSocket, type UdpEndpoint, openUdpClient } from "@meridian/udp/client"
import type { Send, Endpoint } from "@meridian/protocol/associations"
import { reasonOf } from "@meridian/system/errno-words"
import type { UnixTime } from "@meridian/time/timestamp"
import { servingTowards } from "./source-identity.ts"

interface SocketListener {
  /** When a request left; told again when the kernel's stamp is known. */
  readonly transmitted: (id: number, exchange: number, stamp: UnixTime) => void
  readonly datagram: (id: number, bytes: Uint8Array, from: Endpoint, arrival: UnixTime) => void
  /** A socket could not be opened, a request not sent, or the network refused it: an errno's name. */
  readonly failed: (id: number, code: string) => void
  /** A peer is not spoken to from the node's own port, but from another. */
  readonly elsewhere: (remote: Endpoint, why: UdpClientError) => void
}

/** A port is closed when its request has gone without an answer for so long: late answers are of no use. */
const PATIENCE_MS = 8_000
/** Events of one socket taken in one turn of the event loop. */
const MOST_EVENTS = 64

interface Open {
  readonly socket: UdpClientSocket
  /** Exchanges by what `send` returned. */
  readonly exchanges: Map<number, number>
  closing: NodeJS.Timeout | undefined
}

export class UpstreamSockets {
  private readonly listener: SocketListener
  private readonly readWall: () => UnixTime
  private readonly serving: readonly UdpEndpoint[]
  private readonly open = new Map<number, Open>()
  /** Counts openings, so that one that was overtaken is closed. */
  private readonly turns = new Map<number, number>()
  /** Of the socket that was opened last. */
  private readonly ports = new Map<number, number>()

  /** @param serving where the node serves */
  constructor(listener: SocketListener, readWall: () => UnixTime, serving: readonly UdpEndpoint[]) {
    this.listener = listener
    this.readWall = readWall
    this.serving = serving
  }

  /** Our port towards an association, the last one; 0 before the first. */
  localPort(id: number): number {
    return this.ports.get(id) ?? 0
  }

  /** Does what a Send says. Never rejects: what goes wrong is told as `failed`. */
  async send(id: number, action: Send): Promise<void> {
    try {
      const kept = action.newSourcePort ? undefined : this.open.get(id)
      const used = kept ?? (await this.openFor(id, action))
      if (used === undefined) return
      const before = this.readWall()
      const sequence = used.socket.send(action.bytes)
      used.exchanges.clear()
      used.exchanges.set(sequence, action.exchange)
      this.listener.transmitted(id, action.exchange, before)
      if (action.newSourcePort) this.closeLater(id, used)
    } catch (error) {
      this.listener.failed(id, error instanceof UdpClientError ? error.code : String(error))
    }
  }

  /**
   * Listens on the node's port to a peer that came by itself. What others sent before the socket was connected is thrown
   * away. Never rejects: gives the error where that cannot be.
   */
  async listen(id: number, remote: Endpoint, local: UdpEndpoint): Promise<UdpClientError | undefined> {
    try {
      await this.keep(id, () => openUdpClient({ remote, local }), true)
      return undefined
    } catch (error) {
      return error instanceof UdpClientError ? error : new UdpClientError("EIO", "open a socket", reasonOf(error))
    }
  }

  /** The answer is here: nothing more is expected on this port. */
  answered(id: number): void {
    const used = this.open.get(id)
    if (used?.closing !== undefined) this.close(id)
  }

  close(id: number): void {
    this.turns.set(id, (this.turns.get(id) ?? 0) + 1)
    const used = this.open.get(id)
    if (used === undefined) return
    clearTimeout(used.closing)
    used.socket.close()
    this.open.delete(id)
  }

  /** For an association that has ended. */
  forget(id: number): void {
    this.close(id)
    this.turns.delete(id)
    this.ports.delete(id)
  }

  closeAll(): void {
    for (const id of this.open.keys()) this.close(id)
  }

  private openFor(id: number, { to, newSourcePort }: Send): Promise<Open | undefined> {
    return this.keep(id, () => (newSourcePort ? openUdpClient({ remote: to }) : this.openForPeer(to)))
  }

  private async keep(
    id: number,
    opening: () => Promise<UdpClientSocket>,
    startsEmpty = false
  ): Promise<Open | undefined> {
    this.close(id)
    const turn = this.turns.get(id)
    const socket = await opening()
    for (let waiting = startsEmpty ? MOST_EVENTS : 0; waiting > 0 && socket.receive() !== undefined; waiting -= 1);
    if (this.turns.get(id) !== turn) {
      socket.close()
      return undefined
    }
    const used: Open = { socket, exchanges: new Map(), closing: undefined }
    this.open.set(id, used)
    this.ports.set(id, socket.localPort)
    socket.onReadable(() => this.drain(id, used))
    return used
  }

  private async openForPeer(remote: Endpoint): Promise<UdpClientSocket> {
    const local = servingTowards(this.serving, remote.address)
    if (local === undefined) return openUdpClient({ remote })
    try {
      return await openUdpClient({ remote, local })
    } catch (error) {
      if (!(error instanceof UdpClientError)) throw error
      this.listener.elsewhere(remote, error)
      return openUdpClient({ remote, local: { ...local, port: 0 } })
    }
  }

  private drain(id: number, { socket, exchanges }: Open): void {
    for (let taken = 0; taken < MOST_EVENTS; taken += 1) {
      const event = socket.receive()
      switch (event?._tag) {
        case undefined:
          return
        case "Transmitted": {
          const exchange = exchanges.get(event.sequence)
          if (exchange !== undefined) this.listener.transmitted(id, exchange, event.stamp)
          break
        }
        case "Datagram":
          this.listener.datagram(id, event.bytes, event.from, event.arrival)
          break
        case "Failed":
          this.listener.failed(id, event.code)
      }
    }
  }

  private closeLater(id: number, used: Open): void {
    clearTimeout(used.closing)
    used.closing = setTimeout(() => {
      if (this.open.get(id) === used) this.close(id)
    }, PATIENCE_MS)
  }
}
