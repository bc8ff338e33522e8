/**
 * Notices programs that joined the node's UDP ports after its start: whoever runs as the user who opened the sockets, root
 * mostly, may share them (SO_REUSEPORT) or bind an address of its own beside a wildcard. Nothing is refused to either, and
 * requests are lost without a word.
 */
import type { SocketPlace } from "@meridian/ipc/serving-plan"
import {
  holderOf,
  type SocketHolder,
  socketInodes,
  type UdpSocketEntry,
  udpSockets
} from "@meridian/system/udp-sockets"
import { formatListen } from "./sockets.ts"

interface PortWatchParts {
  /** What the node has bound. */
  readonly places: () => readonly SocketPlace[]
  /** Processes whose sockets are the node's. */
  readonly own: () => readonly (number | "self")[]
  readonly inform: (message: string) => void
  readonly warn: (message: string) => void
}

const LOOK_MS = 60_000
/** The first look comes soon: two daemons are mostly started by one boot. */
const FIRST_LOOK_MS = 5_000
/** A socket of the clock's process is on the node's port for a moment before it is connected to its peer: seen twice is seen. */
const SECOND_LOOK_MS = 2_000

/**
 * Sockets of others that get packets for one of these places: at the same address they may get a share, and at one that a
 * wildcard of ours stands for they get all.
 */
export const intruders = (
  sockets: readonly UdpSocketEntry[],
  places: readonly SocketPlace[],
  own: ReadonlySet<number>
): readonly UdpSocketEntry[] =>
  sockets.filter(
    ({ address, port, isConnected, inode }) =>
      !isConnected &&
      !own.has(inode) &&
      places.some(
        (place) =>
          place.port === port &&
          (place.address.replace(/%.*$/, "") === address ||
            (place.address === "0.0.0.0" && !address.includes(":")) ||
            (place.address === "::" && address.includes(":")))
      )
  )

const sentence = ({ address, port, uid }: UdpSocketEntry, holder: SocketHolder | undefined): string => {
  const who = holder === undefined ? `a program of user ${uid}` : `${holder.name} (process ${holder.pid})`
  return `${who} has joined UDP ${formatListen(address, port)} and may take requests from this node: end it, or give one of them another port`
}

export class PortWatch {
  /** Who shares the node's ports, a sentence each. */
  shared: readonly string[] = []
  readonly #parts: PortWatchParts
  readonly #timers: readonly NodeJS.Timeout[]
  #second: NodeJS.Timeout | undefined
  #seen: ReadonlySet<number> = new Set()

  constructor(parts: PortWatchParts) {
    this.#parts = parts
    const look = (): void => this.look()
    this.#timers = [setTimeout(look, FIRST_LOOK_MS).unref(), setInterval(look, LOOK_MS).unref()]
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    clearTimeout(this.#second)
  }

  look(): void {
    const { places, own, inform, warn } = this.#parts
    const inodes = own().map(socketInodes)
    // Sockets that may be our own are nobody's fault.
    if (inodes.includes(undefined)) return
    const found = intruders(udpSockets(), places(), new Set(inodes.flatMap((set) => [...(set ?? [])])))
    const certain = found.filter(({ inode }) => this.#seen.has(inode))
    this.#seen = new Set(found.map(({ inode }) => inode))
    clearTimeout(this.#second)
    if (certain.length < found.length) this.#second = setTimeout(() => this.look(), SECOND_LOOK_MS).unref()
    const now = [...new Set(certain.map((socket) => sentence(socket, holderOf(socket.inode))))]
    for (const one of now) if (!this.shared.includes(one)) warn(one)
    if (this.shared.length > 0 && now.length === 0) inform("nobody shares this node's UDP ports any more")
    this.shared = now
  }
}
