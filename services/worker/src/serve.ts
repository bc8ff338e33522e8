/**
 * The packet line: receive a batch, answer it in place, send it. Synchronous from receive to send; nothing here waits,
 * logs or allocates.
 */
import {
  ADDRESS_STRIDE,
  BATCH_CAPACITY,
  NOW_MONOTONIC_SECONDS,
  NOW_REALTIME_NANOSECONDS,
  NOW_REALTIME_SECONDS,
  SLOT_STRIDE,
  type UdpSocket
} from "@meridian/native-io/udp"
import type { NtpServer } from "@meridian/protocol/server"
import type { ClockCurve } from "@meridian/time/clock-curve"
import type { Counters } from "./counters.ts"

/** Full batches handled before the event loop gets its turn: timers and messages run at least every 512 packets. */
const BATCHES_PER_WAKE = 8

/** Where a sockaddr_in and a sockaddr_in6 both hold the port, in network order. */
const PORT_OFFSET = 2

/** Reads the published clock into a curve; false leaves the curve as it was. */
export interface ClockSource {
  readonly readInto: (curve: ClockCurve) => boolean
}

/** Answers what waits on the socket, at most {@link BATCHES_PER_WAKE} batches. Returns the datagrams read. */
export const serveWaiting = (socket: UdpSocket, server: NtpServer, clock: ClockSource, counters: Counters): number => {
  let total = 0
  for (let batch = 0; batch < BATCHES_PER_WAKE; batch += 1) {
    const count = socket.receive()
    if (count === 0) return total
    clock.readInto(server.curve)
    const written = answer(socket, count, server, counters)
    const sent = written > 0 ? socket.send(count) : 0
    counters.batch(count, written, sent)
    total += count
    if (count < BATCH_CAPACITY) return total
  }
  return total
}

const answer = (socket: UdpSocket, count: number, server: NtpServer, counters: Counters): number => {
  const { view, now, addresses, requestLengths, replyLengths, arrivalSeconds, arrivalNanoseconds } = socket
  const outcomes = counters.outcomes
  let written = 0
  server.beginBatch(now[NOW_REALTIME_SECONDS]!, now[NOW_REALTIME_NANOSECONDS]!, now[NOW_MONOTONIC_SECONDS]!)
  for (let slot = 0; slot < count; slot += 1) {
    const portAt = slot * ADDRESS_STRIDE + PORT_OFFSET
    const outcome = server.handle(
      view,
      slot * SLOT_STRIDE,
      requestLengths[slot]!,
      arrivalSeconds[slot]!,
      arrivalNanoseconds[slot]!,
      (addresses[portAt]! << 8) | addresses[portAt + 1]!
    )
    outcomes[outcome.index]! += 1
    if (outcome._tag === "Respond") {
      // The last belt: whatever went wrong above, no reply leaves that is longer than its request.
      const length = Math.min(server.replyLength, requestLengths[slot]!)
      replyLengths[slot] = length
      written += 1
    } else replyLengths[slot] = 0
  }
  return written
}
