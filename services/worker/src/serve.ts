/**
 * The packet line between receive and send: a batch is answered in place. Synchronous; nothing here waits, logs or allocates.
 */
import { NOW_CROWD, NOW_MONOTONIC, NOW_UNIX, SLOT_STRIDE, type UdpSocket } from "@meridian/udp/udp"
import type { Outcome, NtpServer } from "@meridian/protocol"
import type { Counters } from "./counters.ts"
import type { PeerSightings } from "./peer-sightings.ts"

/** Answers a batch that was received. Returns the replies that it wrote. */
export const answer = (
  socket: UdpSocket,
  count: number,
  server: NtpServer,
  counters: Counters,
  sightings: PeerSightings
): number => {
  const { bytes, served, now, requestLengths, replyLengths, arrivalSeconds, arrivalFractions } = socket
  let written = 0
  let pending = 0
  server.beginBatch(socket, served, now[NOW_UNIX]!, now[NOW_MONOTONIC]!, count, now[NOW_CROWD]!)
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
  counters.batch(count, written)
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
