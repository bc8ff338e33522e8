/**
 * The UDP port: datagrams in batches, in one preallocated buffer, with the kernel's receive timestamps. Two
 * implementations keep this contract: the C addon (recvmmsg/sendmmsg) and a fallback on node:dgram.
 *
 * A reply is written over its request: slot i's bytes hold the request after {@link UdpSocket.receive} and the reply when
 * {@link UdpSocket.send} is called. Replies leave from the address that was asked. Nothing here allocates per packet.
 */

/** Largest datagram kept whole. Longer ones are cut and show a `requestLengths` entry above this. */
export const SLOT_BYTES = 2048

/** Bytes between the starts of two slots: a little over SLOT_BYTES so that headers do not share cache sets. */
export const SLOT_STRIDE = 2112

/** Datagrams a batch can hold. */
export const BATCH_CAPACITY = 64

/** Bytes of a socket address in `addresses`: a sockaddr_in6, or a sockaddr_in in its first 16 bytes. */
export const ADDRESS_STRIDE = 28

/** Positions in {@link UdpSocket.now}. */
export const NOW_REALTIME_SECONDS = 0
export const NOW_REALTIME_NANOSECONDS = 1
export const NOW_MONOTONIC_SECONDS = 2

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
  /** Kernel receive timestamps (CLOCK_REALTIME): Unix seconds and nanoseconds. */
  readonly arrivalSeconds: Float64Array
  readonly arrivalNanoseconds: Float64Array
  /** The clocks as they stood when receive returned; see NOW_*. Monotonic is in seconds. */
  readonly now: Float64Array
  /** Where each request came from, as the kernel's sockaddr (ADDRESS_STRIDE apart). */
  readonly addresses: Uint8Array
  /** Takes up to BATCH_CAPACITY waiting datagrams without blocking; returns how many. 0 when there are none. */
  readonly receive: () => number
  /** Sends slots 0 … count-1 that have a reply length. Returns how many the kernel took; the rest are dropped. */
  readonly send: (count: number) => number
  /** Datagrams the kernel dropped because the receive queue was full, since the socket was opened (SO_RXQ_OVFL). */
  readonly overflows: () => number
  /** Calls back on the event loop whenever datagrams wait; never blocks it and never spins. */
  readonly onReadable: (callback: () => void) => void
  /** Stops the callbacks; waiting datagrams stay in the kernel's queue for whoever holds the descriptor. */
  readonly pause: () => void
  readonly close: () => void
}
