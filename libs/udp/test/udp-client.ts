/** A plain client for the socket suites, on node:dgram. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { SERVED } from "@meridian/time/clock-line"
import { unixSeconds } from "@meridian/time/timestamp"
import { ADDRESS_STRIDE, NOW_UNIX, SLOT_BYTES, SLOT_STRIDE, type UdpSocket } from "../src/udp.ts"

export interface Answer {
  readonly bytes: Uint8Array
  readonly source: RemoteInfo
}

export interface Client {
  readonly socket: Socket
  readonly answers: Array<Answer>
  readonly send: (bytes: Uint8Array, port: number, address: string) => Promise<void>
  readonly close: () => void
}

export const loopback = (family: 4 | 6): string => (family === 4 ? "127.0.0.1" : "::1")
export const everywhere = (family: 4 | 6): string => (family === 4 ? "0.0.0.0" : "::")

export const openClient = async (family: 4 | 6): Promise<Client> => {
  const socket = createSocket(family === 4 ? "udp4" : "udp6")
  const answers: Array<Answer> = []
  socket.on("message", (bytes, source) => answers.push({ bytes, source }))
  socket.bind(0, loopback(family))
  await once(socket, "listening")
  return {
    socket,
    answers,
    send: (bytes, port, address) =>
      new Promise((resolve, reject) =>
        socket.send(bytes, port, address, (error) => (error === null ? resolve() : reject(error)))
      ),
    close: () => socket.close()
  }
}

/** Waits until something is true, for a bounded time; what is still false then is the assertion's to find. */
export const until = async (condition: () => boolean, milliseconds = PATIENCE_MS): Promise<void> => {
  for (const end = performance.now() + milliseconds; !condition() && performance.now() < end;) await sleep(1)
}

interface Taken {
  readonly length: number
  readonly bytes: Uint8Array
  readonly address: Uint8Array
  readonly arrival: number
  readonly now: number
}

const unixTime = (seconds: number, fraction: number, { now }: UdpSocket): number =>
  unixSeconds(seconds, now[NOW_UNIX]!) + fraction / 2 ** 32

/** Takes datagrams without the readable callback until `wanted` have come (or a bounded time has passed). */
export const take = async (socket: UdpSocket, wanted: number): Promise<ReadonlyArray<Taken>> => {
  const taken: Array<Taken> = []
  await until(() => {
    const count = socket.receive()
    for (let slot = 0; slot < count; slot++) {
      const length = socket.requestLengths[slot]!
      const start = slot * SLOT_STRIDE
      taken.push({
        length,
        bytes: socket.bytes.slice(start, start + Math.min(length, SLOT_BYTES)),
        address: socket.addresses.slice(slot * ADDRESS_STRIDE, (slot + 1) * ADDRESS_STRIDE),
        arrival: unixTime(socket.arrivalSeconds[slot]!, socket.arrivalFractions[slot]!, socket),
        now: unixTime(socket.served[SERVED.seconds]!, socket.served[SERVED.fraction]!, socket)
      })
    }
    return taken.length >= wanted
  })
  return taken
}

/** Answers every datagram with its own bytes. Returns how many it answered so far. */
export const echo = (socket: UdpSocket): (() => number) => {
  let answered = 0
  socket.onReadable(() => {
    const count = socket.receive()
    for (let slot = 0; slot < count; slot++)
      socket.replyLengths[slot] = Math.min(socket.requestLengths[slot]!, SLOT_BYTES)
    answered += socket.send(count)
  })
  return () => answered
}
