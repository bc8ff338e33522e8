/**
 * The client's UDP port: one socket for one request (a fresh random port each time, RFC 9109) or for one symmetric peer,
 * with the kernel's stamps of what came and of what left. Two implementations keep this contract: the C addon, and a
 * fallback on node:dgram, whose stamps are taken in user space when Node delivers, and which cannot say when a datagram left.
 */
import { errnoAdvice } from "@meridian/system/errno-words"
import { isIP } from "node:net"
import type { UnixTime } from "@meridian/time/timestamp"

/** A numeric address (an IPv6 zone is understood) and a UDP port. */
export interface UdpEndpoint {
  readonly address: string
  readonly port: number
}

/** At least one side. */
export interface UdpClientOptions {
  /** Connected: only datagrams from here are received, and a refusal by ICMP is told. */
  readonly remote?: UdpEndpoint
  /**
   * Where to send from; port 0, and no `local` at all, mean a random free one. With a port and a `remote` the port may be
   * shared with sockets of the same user that serve on it (SO_REUSEPORT): what the remote sends comes here and nowhere else.
   */
  readonly local?: UdpEndpoint
  /** What is sent goes to a broadcast address, or to a multicast group over at most so many hops, 0 … 255. */
  readonly tells?: { readonly hops: number }
  /**
   * `local` is a broadcast address or a multicast group and its port, which others may listen on too. A group is joined on the
   * networks of these addresses of this host; where that fails for all of them, so does the opening.
   */
  readonly hears?: { readonly through: readonly string[] }
}

/** Longer datagrams are cut; no NTP packet is longer. */
export const CLIENT_DATAGRAM_BYTES = 2048

export type UdpClientEvent =
  | {
      readonly _tag: "Datagram"
      readonly bytes: Uint8Array<ArrayBuffer>
      readonly from: UdpEndpoint
      /** The kernel's receive stamp, CLOCK_REALTIME. */
      readonly arrival: UnixTime
    }
  | {
      readonly _tag: "Transmitted"
      /** What `send` returned. */
      readonly sequence: number
      /** When the kernel handed it to the network, CLOCK_REALTIME. */
      readonly stamp: UnixTime
    }
  | {
      readonly _tag: "Failed"
      /** The errno's name: ECONNREFUSED, EHOSTUNREACH, … */
      readonly code: string
    }

export interface UdpClientSocket {
  readonly kind: "native" | "fallback"
  readonly family: 4 | 6
  readonly localPort: number
  /** Whether Transmitted events come. */
  readonly stampsTransmits: boolean
  /**
   * Sends without waiting, to `to` or to where the socket is connected. Returns the datagram's number, from 0.
   * Throws UdpClientError; what the network does later comes as Failed.
   */
  readonly send: (bytes: Uint8Array, to?: UdpEndpoint) => number
  /** What happened next: the transmit stamps that are known, then datagrams. Undefined when there is nothing more, or it is closed. */
  readonly receive: () => UdpClientEvent | undefined
  /** Calls back on the event loop whenever there is something to receive. Another call replaces the callback. Throws UdpClientError after close. */
  readonly onReadable: (callback: () => void) => void
  /** Closes the port. May be called again. */
  readonly close: () => void
}

/** A socket that cannot be opened or a datagram that cannot be sent. `code` is the errno's name. */
export class UdpClientError extends Error {
  readonly _tag = "UdpClientError"
  readonly code: string

  constructor(code: string, what: string, advice: string) {
    super(`cannot ${what}: ${advice}`)
    this.code = code
  }
}

/** The error for an errno's name, with what to do about it. */
export const udpClientError = (code: string, what: string): UdpClientError =>
  new UdpClientError(code, what, errnoAdvice("asking", code))

/** Text of an endpoint, for messages. */
export const endpointText = ({ address, port }: UdpEndpoint): string => `${address} port ${port}`

const isEndpoint = ({ address, port }: UdpEndpoint, leastPort: number): boolean =>
  isIP(address) !== 0 && Number.isInteger(port) && port >= leastPort && port <= 65_535

/** What both implementations check first. Throws UdpClientError. */
export const checkUdpClientOptions = ({ remote, local, tells, hears }: UdpClientOptions): void => {
  const families = new Set([remote, local].flatMap((each) => (each === undefined ? [] : [isIP(each.address)])))
  const isFit =
    families.size === 1 &&
    (remote === undefined || isEndpoint(remote, 1)) &&
    (local === undefined || isEndpoint(local, 0)) &&
    (tells === undefined || (tells.hops >= 0 && tells.hops <= 255)) &&
    (hears === undefined || remote === undefined)
  if (!isFit) throw udpClientError("EINVAL", `open a UDP socket ${describe({ remote, local })}`)
}

/** What is to be opened, for messages. */
export const describe = (options: { [key in "remote" | "local"]: UdpEndpoint | undefined }): string => {
  const from = options.local === undefined ? "" : `from ${endpointText(options.local)}`
  const to = options.remote === undefined ? "" : `to ${endpointText(options.remote)}`
  return [from, to].filter((part) => part !== "").join(" ")
}

/** Whether an address is a multicast group's. */
export const isGroup = (address: string): boolean =>
  isIP(address) === 4 ? /^2(2[4-9]|3\d)\./.test(address) : /^ff/i.test(address)

/**
 * Joins a group on the networks of some addresses. Throws the last error where none of them takes it.
 * @param join throws where it cannot be
 */
export const joinAll = (group: string, through: readonly string[], join: (address: string) => void): void => {
  if (!isGroup(group)) return
  let joined = 0
  let failure: unknown
  for (const address of through.filter((each) => isIP(each) === isIP(group))) {
    try {
      join(address)
      joined += 1
    } catch (error) {
      failure = error
    }
  }
  if (joined === 0) throw failure ?? udpClientError("EADDRNOTAVAIL", `hear ${group}`)
}

/** Throws UdpClientError where a datagram cannot go: connected sockets send to one place only, others must be told. */
export const checkDestination = (to: UdpEndpoint | undefined, family: 4 | 6, remote: UdpEndpoint | undefined): void => {
  if (to === undefined && remote === undefined) throw udpClientError("EDESTADDRREQ", "send a datagram")
  if (to === undefined) return
  const what = `send to ${endpointText(to)} from a socket of IPv${family}`
  if (remote !== undefined) throw udpClientError("EISCONN", what)
  if (!isEndpoint(to, 1) || isIP(to.address) !== family) throw udpClientError("EINVAL", what)
}
