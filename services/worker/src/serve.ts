/**
 * The packet line: receive a batch, answer it in place, send it. Synchronous from receive to send; nothing here waits,
 * logs or allocates.
 */
import { BATCH_CAPACITY, NOW_MONOTONIC, NOW_UNIX, SLOT_STRIDE, type UdpSocket } from "@meridian/udp/udp"
import type { Outcome } from "@meridian/protocol/outcome"
import type { NtpServer } from "@meridian/protocol/server"
import { Offset } from "@meridian/wire/ntp"
import type { Counters } from "./counters.ts"
import type { PeerSightings } from "./peer-sightings.ts"

/** Full batches handled before the event loop gets its turn: timers and messages run at least every 512 packets. */
const BATCHES_PER_WAKE = 8

/** Answers what waits on the socket, at most {@link BATCHES_PER_WAKE} batches. Returns the datagrams read. */
export const serveWaiting = (
  socket: UdpSocket,
  server: NtpServer,
  counters: Counters,
  sightings: PeerSightings
): number => {
  let total = 0
  for (let batch = 0; batch < BATCHES_PER_WAKE; batch += 1) {
    const count = socket.receive()
    if (count === 0) return total
    const written = answer(socket, count, server, counters, sightings)
    const sent = written > 0 ? socket.send(count, Offset.transmit) : 0
    counters.batch(count, written, sent)
    total += count
    if (count < BATCH_CAPACITY) return total
  }
  return total
}

const answer = (
  socket: UdpSocket,
  count: number,
  server: NtpServer,
  counters: Counters,
  sightings: PeerSightings
): number => {
  const { bytes, served, now, requestLengths, replyLengths, arrivalSeconds, arrivalFractions } = socket
  let written = 0
  let pending = 0
  server.beginBatch(socket, served, now[NOW_UNIX]!, now[NOW_MONOTONIC]!)
  for (let slot = 0; slot < count; slot += 1) {
    counters.kinds[bytes[slot * SLOT_STRIDE]! & 63]! += 1
    const outcome = server.handle(
      slot,
      slot * SLOT_STRIDE,
      requestLengths[slot]!,
      arrivalSeconds[slot]!,
      arrivalFractions[slot]!
    )
    if (outcome._tag === "Pending") {
      replyLengths[slot] = PENDING
      pending += 1
    } else written += settle(socket, slot, outcome, server, counters)
  }
  if (pending > 0) written += finishPending(socket, count, server, counters, sightings)
  return written
}

/** Marks the slots whose outcome the end of the batch decides. No reply is as long. */
const PENDING = 0xffffffff

const finishPending = (
  socket: UdpSocket,
  count: number,
  server: NtpServer,
  counters: Counters,
  sightings: PeerSightings
): number => {
  const { replyLengths, arrivalSeconds, arrivalFractions } = socket
  let written = 0
  for (let slot = 0; slot < count; slot += 1) {
    if (replyLengths[slot] !== PENDING) continue
    const outcome = server.finish(slot, slot * SLOT_STRIDE, arrivalSeconds[slot]!, arrivalFractions[slot]!)
    written += settle(socket, slot, outcome, server, counters)
    if (outcome.reason === "served-peer") sightings.note(socket, slot)
  }
  server.endBatch()
  return written
}

/** Counts an outcome and notes the reply's length. Returns 1 for a reply, 0 for none. */
const settle = (socket: UdpSocket, slot: number, outcome: Outcome, server: NtpServer, counters: Counters): number => {
  counters.outcomes[outcome.index]! += 1
  if (outcome._tag !== "Respond") {
    socket.replyLengths[slot] = 0
    return 0
  }
  // The reply carries the request's version.
  if (((socket.bytes[slot * SLOT_STRIDE]! >> 3) & 7) < 4) counters.oldVersion += 1
  // The last belt: whatever went wrong above, no reply leaves that is longer than its request.
  const length = server.replyLength <= socket.requestLengths[slot]! ? server.replyLength : 0
  socket.replyLengths[slot] = length
  return length > 0 ? 1 : 0
}
