/** The UDP port over the C addon: recvmmsg, and sendto or sendmmsg, kernel receive timestamps, replies from the address asked. */
import { errnoName, loadNative, type NativeAddon, type NativeUdpHandle } from "@meridian/system/native"
import { SERVED_NUMBERS } from "@meridian/time/clock-line"
import {
  ADDRESS_STRIDE,
  BATCH_CAPACITY,
  isPort,
  LOCAL_ADDRESS_STRIDE,
  NOW_NUMBERS,
  RECEIVE_BUFFER_BYTES,
  SLOT_BYTES,
  SLOT_STRIDE,
  UdpAdoptError,
  type UdpBindOptions,
  udpBindError,
  UdpClosedError,
  type UdpSocket
} from "./udp.ts"

/** The addon is missing, or was compiled with other slot sizes than udp.ts names. */
class NativeMissingError extends Error {
  readonly _tag = "NativeMissingError"

  constructor(reason: string) {
    super(`expected the native addon, found none: ${reason}`)
  }
}

const requireAddon = (): NativeAddon => {
  const { addon, reason } = loadNative()
  if (addon === undefined) throw new NativeMissingError(reason)
  const { slotBytes, slotStride, batchCapacity, addressStride, localAddressStride } = addon.udpLayout
  const matches =
    slotBytes === SLOT_BYTES &&
    slotStride === SLOT_STRIDE &&
    batchCapacity === BATCH_CAPACITY &&
    addressStride === ADDRESS_STRIDE &&
    localAddressStride === LOCAL_ADDRESS_STRIDE
  if (!matches) throw new NativeMissingError("it was built from other sources; run `node libs/system/build.mjs`")
  return addon
}

/**
 * Opens and binds a UDP socket and returns its descriptor, to be handed to a child or to {@link adoptUdp}.
 * Throws UdpBindError (what the system refused, and what to do) or NativeMissingError.
 */
export const bindUdpDescriptor = (options: UdpBindOptions): number => {
  const addon = requireAddon()
  const { address, port, exclusive = false, receiveBufferBytes = RECEIVE_BUFFER_BYTES, beforehand = false } = options
  if (!isPort(port)) throw udpBindError("EINVAL", address, port)
  try {
    return addon.udpBind(address, port, exclusive, receiveBufferBytes, beforehand)
  } catch (error) {
    throw udpBindError(errnoName(error), address, port)
  }
}

/** Another descriptor of the same socket, sharing its queue. Throws UdpAdoptError for a descriptor that is not open. */
export const duplicateDescriptor = (descriptor: number): number => {
  try {
    return requireAddon().duplicateDescriptor(descriptor)
  } catch (error) {
    if (error instanceof NativeMissingError) throw error
    throw new UdpAdoptError(errnoName(error), descriptor)
  }
}

/**
 * Takes over a bound descriptor, opened here or inherited: the socket owns it from now on and closes it. Every option a
 * reader needs is set again; the size of the receive queue stays as whoever bound it could make it.
 * Throws UdpAdoptError and leaves the descriptor alone if it is no bound UDP socket; NativeMissingError.
 * @param page descriptor of the clock page to serve by, which stays the caller's; without one, CLOCK_REALTIME as it is now is
 *   what runs on, and it is good time to nobody
 */
export const adoptUdp = (descriptor: number, page = -1): UdpSocket => {
  const addon = requireAddon()
  let handle: NativeUdpHandle
  try {
    handle = new addon.UdpHandle(descriptor, page)
  } catch (error) {
    throw new UdpAdoptError(errnoName(error), descriptor)
  }
  const { block, family, port } = handle
  const layout = addon.udpLayout
  const total = BATCH_CAPACITY * SLOT_STRIDE
  let open = true
  const socket: UdpSocket = {
    kind: "native",
    family,
    port,
    bytes: new Uint8Array(block, layout.bytes, total),
    view: new DataView(block, layout.bytes, total),
    requestLengths: new Uint32Array(block, layout.requestLengths, BATCH_CAPACITY),
    replyLengths: new Uint32Array(block, layout.replyLengths, BATCH_CAPACITY),
    arrivalSeconds: new Uint32Array(block, layout.arrivalSeconds, BATCH_CAPACITY),
    arrivalFractions: new Uint32Array(block, layout.arrivalFractions, BATCH_CAPACITY),
    served: new Uint32Array(block, layout.served, SERVED_NUMBERS),
    now: new Float64Array(block, layout.now, NOW_NUMBERS),
    addresses: new Uint8Array(block, layout.addresses, BATCH_CAPACITY * ADDRESS_STRIDE),
    localAddresses: new Uint8Array(block, layout.localAddresses, BATCH_CAPACITY * LOCAL_ADDRESS_STRIDE),
    receive: () => handle.receive(),
    send: (count, stampAt = -1) => handle.send(count, stampAt),
    sent: () => handle.sent(),
    sendErrors: () => handle.sendErrors(),
    latencies: () => handle.latencies(),
    overflows: () => handle.overflows(),
    shed: (whether) => handle.shed(whether),
    onReadable: (callback) => {
      if (!open) throw new UdpClosedError()
      handle.onReadable(callback)
    },
    pause: () => {
      open = false
      handle.pause()
    },
    close: () => {
      open = false
      handle.close()
    }
  }
  handles.set(socket, handle)
  return socket
}

const handles = new WeakMap<UdpSocket, NativeUdpHandle>()

/** What is behind a socket of {@link adoptUdp}; undefined for any other. */
export const nativeHandleOf = (socket: UdpSocket): NativeUdpHandle | undefined => handles.get(socket)
