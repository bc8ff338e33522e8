/** The UDP sockets of this network, as /proc shows them, and whose they are. Linux alone; elsewhere there are none to be seen. */
import { readdirSync, readlinkSync } from "./files.ts"
import { endianness } from "node:os"
import { textOfOctets } from "@meridian/config/address"
import { textOf } from "./process-status.ts"

export interface UdpSocketEntry {
  /** Canonical text, without a zone. */
  readonly address: string
  readonly port: number
  /** Whether it takes packets of one other address alone. */
  readonly isConnected: boolean
  /** Of whoever made it. */
  readonly uid: number
  readonly inode: number
}

/** Words of the kernel's memory, in hexadecimal, as bytes in network order. */
const bytesOf = (hexadecimal: string): readonly number[] => {
  const words = hexadecimal.match(/.{8}/g) ?? []
  return words.flatMap((word) => {
    const bytes = (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16))
    return endianness() === "LE" ? bytes.reverse() : bytes
  })
}

const LINE =
  /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8,32}):([0-9A-F]{4}) \S+ \S+ \S+ \S+\s+(\d+)\s+\d+ (\d+) /

/** The sockets in the text of /proc/net/udp or udp6; lines that are none are left out. */
export const parseUdpSockets = (text: string): readonly UdpSocketEntry[] =>
  text.split("\n").flatMap((line) => {
    const [, local, port, , remotePort, uid, inode] = LINE.exec(line) ?? []
    if (local === undefined) return []
    return [
      {
        address: textOfOctets(bytesOf(local)),
        port: Number.parseInt(port!, 16),
        isConnected: remotePort !== "0000",
        uid: Number(uid),
        inode: Number(inode)
      }
    ]
  })

export const udpSockets = (): readonly UdpSocketEntry[] =>
  ["/proc/self/net/udp", "/proc/self/net/udp6"].flatMap((path) => parseUdpSockets(textOf(path)))

const entriesOf = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Inodes of the sockets that a process holds; undefined where this process may not look. */
export const socketInodes = (pid: number | "self"): ReadonlySet<number> | undefined => {
  const folder = `/proc/${pid}/fd`
  const inodes = entriesOf(folder).flatMap((entry) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${entry}`))?.[1]
      return inode === undefined ? [] : [Number(inode)]
    } catch {
      return []
    }
  })
  return inodes.length === 0 ? undefined : new Set(inodes)
}

export interface SocketHolder {
  readonly pid: number
  /** As the kernel calls it. */
  readonly name: string
}

/** Who holds a socket; undefined where this process may not look, as a user at others' processes. */
export const holderOf = (inode: number): SocketHolder | undefined => {
  for (const entry of entriesOf("/proc")) {
    if (!/^\d+$/.test(entry) || socketInodes(Number(entry))?.has(inode) !== true) continue
    return { pid: Number(entry), name: textOf(`/proc/${entry}/comm`).trim() }
  }
  return undefined
}
