/** Serves datagrams on several sockets: receives, has them answered, sends. The addon does so in libuv's place (native/packet-loop.c). */
import { loadNative, type NativeUdpHandle } from "@meridian/system/native"
import { nativeHandleOf } from "./udp-native.ts"
import { BATCH_CAPACITY, type UdpSocket } from "./udp.ts"

/** Full batches of a socket before others, timers and messages have their turn. */
const BATCHES_PER_TURN = 8

interface PacketLoopOptions {
  /** See {@link UdpSocket.send}. */
  readonly stampAt: number
  /**
   * Requests may wait for so long to be received together, microseconds; 0 for never. How long they do follows from their rate,
   * and where they are rare none waits (native/gather.h). The fallback never has them wait.
   */
  readonly gatherMicroseconds: number
}

export interface PacketLoop {
  /** Stops it for good, also from within an answer. What waits in the sockets is still to be received. */
  readonly stop: () => void
}

/**
 * @param answer writes replies over the datagrams 0 … count-1 of a socket and their lengths into `replyLengths`; returns how many
 *   replies it wrote. It is called from outside of the event loop's turns: nothing in it may be awaited. What it throws goes to
 *   uncaughtException, and its batch is not replied to.
 * @throws UdpClosedError where a socket is paused or closed
 */
export const servePackets = (
  sockets: readonly UdpSocket[],
  answer: (socket: UdpSocket, count: number) => number,
  { stampAt, gatherMicroseconds }: PacketLoopOptions
): PacketLoop => {
  const { addon } = loadNative()
  const handles = sockets.map(nativeHandleOf)
  if (
    addon !== undefined &&
    handles.length > 0 &&
    handles.every((handle): handle is NativeUdpHandle => handle !== undefined)
  ) {
    // Socket, datagrams, replies: of the batch that is being answered.
    const told = new Int32Array(3)
    const loop = new addon.PacketLoop(
      handles,
      () => {
        told[2] = answer(sockets[told[0]!]!, told[1]!)
      },
      told,
      stampAt,
      Math.round(gatherMicroseconds * 1_000)
    )
    return { stop: () => loop.stop() }
  }
  let isStopped = false
  for (const socket of sockets)
    socket.onReadable(() => {
      if (!isStopped) serveWaiting(socket, answer, stampAt)
    })
  return {
    stop: () => {
      isStopped = true
    }
  }
}

/** Answers what waits on one socket, at most {@link BATCHES_PER_TURN} batches. Returns the datagrams read. */
export const serveWaiting = (
  socket: UdpSocket,
  answer: (socket: UdpSocket, count: number) => number,
  stampAt: number
): number => {
  let total = 0
  for (let batch = 0; batch < BATCHES_PER_TURN; batch += 1) {
    const count = socket.receive()
    if (count === 0) return total
    if (answer(socket, count) > 0) socket.send(count, stampAt)
    total += count
    if (count < BATCH_CAPACITY) return total
  }
  return total
}
