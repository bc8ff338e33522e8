/**
 * The UDP port: datagrams in batches, in one preallocated buffer, with the kernel's receive timestamps. Two
 * implementations keep this contract: the C addon (recvmmsg, sendto/sendmmsg) and a fallback on node:dgram.
 *
 * A reply is written over its request: slot i's bytes hold the request after {@link UdpSocket.receive} and the reply when
 * {@link UdpSocket.send} is called. Replies leave from the address that was asked. Nothing here allocates per packet.
 *
 * A socket serves by the clock page that it was opened with: it says when each request arrived in served time, and what
 * replies say now.
 */
import { errnoAdvice, errnoWords } from "@meridian/system/errno-words"
import type { ServedMoment } from "@meridian/time/clock-line"

/** Largest datagram kept whole. Longer ones are cut and show a `requestLengths` entry above this. */
export const SLOT_BYTES = 2048

/** Bytes between the starts of two slots: a little over SLOT_BYTES so that headers do not share cache sets. */
export const SLOT_STRIDE = 2112

/** Datagrams a batch can hold. */
export const BATCH_CAPACITY = 64

/** Bytes of a socket address in `addresses`: a sockaddr_in6, or a sockaddr_in in its first 16 bytes. */
export const ADDRESS_STRIDE = 28

/** Bytes of a local address in `localAddresses`: 16 of IPv6, or 4 of IPv4 in the first of them. */
export const LOCAL_ADDRESS_STRIDE = 16

/**
 * Positions in {@link UdpSocket.now}: served time as whole Unix seconds, CLOCK_MONOTONIC in seconds, and whether requests stand in the
 * receive queue: 0 no, 1 yes, 2 so that a caller that sheds is to do so (see {@link UdpSocket.shed}), 3 and the kernel lost some all the same within a second.
 */
export const NOW_UNIX = 0
export const NOW_MONOTONIC = 1
export const NOW_CROWD = 2
export const NOW_NUMBERS = 3

/** Bins of {@link UdpSocket.latencies}. */
export const LATENCY_BINS = 16

export interface UdpSocket {
  readonly kind: "native" | "fallback"
  readonly family: 4 | 6
  /** The port it is bound to. */
  readonly port: number
  /** Slot i occupies bytes i·SLOT_STRIDE … i·SLOT_STRIDE + SLOT_BYTES - 1. */
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Length of each request as it was sent, even where it was cut. */
  readonly requestLengths: Uint32Array
  /** Set by the caller before send: length of each reply, 0 for none. */
  readonly replyLengths: Uint32Array
  /**
   * When each request arrived, as NTP timestamps of served time. The kernel stamps arrivals by CLOCK_REALTIME; where that was
   * stepped since, or a stamp cannot be, the arrival is the moment when receive returned.
   */
  readonly arrivalSeconds: Uint32Array
  readonly arrivalFractions: Uint32Array
  /** What replies say, as of the moment when receive returned: the clock page evaluated. */
  readonly served: ServedMoment
  /** That moment; see NOW_*. */
  readonly now: Float64Array
  /** Where each request came from, as the kernel's sockaddr (ADDRESS_STRIDE apart). */
  readonly addresses: Uint8Array
  /**
   * The address of ours that was asked and that the reply leaves from (LOCAL_ADDRESS_STRIDE apart); zero where the kernel
   * is to choose. The fallback knows it only when bound to one address.
   */
  readonly localAddresses: Uint8Array
  /**
   * Takes up to BATCH_CAPACITY waiting datagrams without blocking; returns how many. 0 when there are none. While full
   * batches come it pays to go on for a few of them before the event loop gets its turn.
   */
  readonly receive: () => number
  /**
   * Sends slots 0 … count-1 that have a reply length. Returns how many the kernel took; the rest are dropped and counted.
   * Never throws on what the network does. A reply length above SLOT_BYTES is a counted drop too.
   * @param stampAt offset of a 64-bit NTP timestamp: replies that end with it have it moved on by the time since receive
   *   returned, so that it says when they leave, in served time. One that is 0 stays 0; longer replies stay as they are.
   */
  readonly send: (count: number, stampAt?: number) => number
  /** Replies that the kernel took, since this object was made, */
  readonly sent: () => number
  /** and that could not be sent. */
  readonly sendErrors: () => number
  /**
   * Whether the caller sheds: leaves requests of its choice unanswered, and little done about them, where `now[NOW_CROWD]` is 2 or 3. The receive queue is left long
   * then; else it is shortened where requests stand in it (native/standing-queue.h). The fallback sees no queue.
   */
  readonly shed: (whether: boolean) => void
  /** Datagrams dropped because the receive queue was full, since the socket was opened (SO_RXQ_OVFL). */
  readonly overflows: () => number
  /**
   * Batches that were sent with `stampAt`, by the time from receive to send: number i counts those of 2^i to 2^(i+1) µs, the first also
   * what took less, the last ({@link LATENCY_BINS}) also what took longer. Behind them the sum of those times, ns.
   */
  readonly latencies: () => readonly number[]
  /**
   * Calls back on the event loop whenever datagrams wait; never blocks it and never spins. What the callback throws goes
   * to uncaughtException and leaves the socket as it was. Another call replaces the callback.
   * Throws {@link UdpClosedError} after pause or close.
   */
  readonly onReadable: (callback: () => void) => void
  /**
   * Stops the callbacks for good; waiting datagrams stay in the kernel's queue for whoever else holds the descriptor.
   * What was received may still be sent in the same turn of the event loop.
   */
  readonly pause: () => void
  /** Closes the descriptor. Afterwards receive and send do nothing and return 0. May be called again. */
  readonly close: () => void
}

/** How to bind a UDP socket. Every socket may be shared with others of the same user (SO_REUSEPORT). */
export interface UdpBindOptions {
  /** A numeric IPv4 or IPv6 address; `0.0.0.0` and `::` mean all of the family's. A zone (`fe80::1%eth0`) is understood. */
  readonly address: string
  /** 1 … 65535, or 0 for one that is free. */
  readonly port: number
  /**
   * Refuse (EADDRINUSE) where anybody holds the port, even somebody who shares it. For the first socket of a group; those
   * after it then share the port with it.
   */
  readonly exclusive?: boolean
  /**
   * Whether the address need not be there yet (VRRP, DHCP, IPv6 that is still checked for duplicates): it is answered on from
   * when it is. A zone must be there. The fallback cannot.
   */
  readonly beforehand?: boolean
  /** Receive queue, bytes; 16 MiB unless told, which is some 43,000 requests. Above net.core.rmem_max only with CAP_NET_ADMIN. */
  readonly receiveBufferBytes?: number
}

export const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024

/** A descriptor or an address that cannot be used. `code` is the errno's name. */
export class UdpBindError extends Error {
  readonly _tag = "UdpBindError"
  readonly code: string
  readonly address: string
  readonly port: number

  constructor(code: string, address: string, port: number, advice: string) {
    super(`UDP ${address} port ${port} cannot be bound: ${advice}`)
    this.code = code
    this.address = address
    this.port = port
  }
}

/** An inherited descriptor that is not a bound UDP socket of the family expected. */
export class UdpAdoptError extends Error {
  readonly _tag = "UdpAdoptError"
  readonly code: string
  readonly descriptor: number

  constructor(code: string, descriptor: number) {
    super(
      `expected descriptor ${descriptor} to be a bound UDP socket, found that ${errnoWords(code)}: the process that starts this one must open it`
    )
    this.code = code
    this.descriptor = descriptor
  }
}

/** The socket was paused or closed before. */
export class UdpClosedError extends Error {
  readonly _tag = "UdpClosedError"

  constructor() {
    super("expected an open UDP socket, found one that was paused or closed: open another")
  }
}

/** The error for a failed bind, with what to do about it. */
export const udpBindError = (code: string, address: string, port: number): UdpBindError =>
  new UdpBindError(code, address, port, errnoAdvice("port", code))

/** Whether a number can be a UDP port to bind. */
export const isPort = (port: number): boolean => Number.isInteger(port) && port >= 0 && port <= 65_535
