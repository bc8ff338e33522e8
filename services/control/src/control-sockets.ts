/** The UDP sockets that mode 6 arrives on: handed over by the supervisor, read in batches, answered one by one. */
import type { UdpSocket } from "@meridian/udp/udp"
import { ADDRESS_STRIDE, BATCH_CAPACITY, SLOT_BYTES, SLOT_STRIDE } from "@meridian/udp/udp"
import { socketAddressPort, socketAddressText } from "@meridian/udp/socket-address"

interface ControlReader {
  /** @param send to whoever sent the packet */
  readonly receive: (packet: Uint8Array, address: string, port: number, send: (packet: Uint8Array) => void) => void
}

/** Batches taken in one turn of the event loop. */
const BATCHES_PER_WAKE = 4

/**
 * Reads a socket from now on. An answer of several packets needs several sends: a slot holds one packet, and its address stays
 * until the next receive. Answers that come later (to configuration) go out by a socket of their own.
 */
export const serveControl = (socket: UdpSocket, reader: ControlReader): void => {
  socket.onReadable(() => {
    for (let batch = 0; batch < BATCHES_PER_WAKE; batch += 1) {
      const count = socket.receive()
      for (let slot = 0; slot < count; slot += 1) serveSlot(socket, slot, count, reader)
      if (count < BATCH_CAPACITY) return
    }
  })
}

const serveSlot = (socket: UdpSocket, slot: number, count: number, reader: ControlReader): void => {
  const length = socket.requestLengths[slot] ?? 0
  if (length > SLOT_BYTES) return
  const start = slot * SLOT_STRIDE
  const packet = socket.bytes.slice(start, start + length)
  const address = socketAddressText(socket.addresses, slot * ADDRESS_STRIDE, socket.family)
  const [from, to] = [
    socket.addresses.slice(slot * ADDRESS_STRIDE, (slot + 1) * ADDRESS_STRIDE),
    socket.localAddresses.slice(slot * 16, (slot + 1) * 16)
  ]
  let isCurrent = true
  reader.receive(packet, address, socketAddressPort(socket.addresses, slot * ADDRESS_STRIDE), (reply) => {
    if (reply.length > SLOT_BYTES) return
    // A late answer finds the slots free: nothing is received while this runs.
    const at = isCurrent ? slot : 0
    const used = isCurrent ? count : 1
    socket.addresses.set(from, at * ADDRESS_STRIDE)
    socket.localAddresses.set(to, at * 16)
    socket.replyLengths.fill(0, 0, used)
    socket.bytes.set(reply, at * SLOT_STRIDE)
    socket.replyLengths[at] = reply.length
    socket.send(used)
    socket.replyLengths[at] = 0
  })
  isCurrent = false
}
