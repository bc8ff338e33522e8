/** An NTP server that says what a test wants it to say. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { systemClock } from "@meridian/native-io/system-clock"
import { fromUnix, type NtpTimestamp, shiftInPlace } from "@meridian/time/timestamp"
import { decodeHeader, encodeHeader, Mode, type NtpHeader } from "@meridian/wire/ntp"
import type { RunningServer } from "./real-upstreams.ts"

export interface FakeServer extends RunningServer {
  /** Requests so far. */
  readonly requests: () => number
}

export interface FakeAnswer {
  /** Seconds by which its clock is ahead. */
  readonly offset?: number
  readonly header?: Partial<NtpHeader>
  /** Sends this many copies. */
  readonly copies?: number
}

const clock = systemClock()
const now = (offset: number): NtpTimestamp => {
  const time = { seconds: 0, nanoseconds: 0 }
  clock.wall.read(time)
  shiftInPlace(time, offset)
  return fromUnix(time)
}

/** @param answer undefined for silence; called for every request with its number, from 0 */
export const startFakeServer = async (
  address: string,
  answer: (request: number, asked: NtpHeader) => FakeAnswer | undefined,
  ownPort = 0
): Promise<FakeServer> => {
  const socket = createSocket("udp4")
  let requests = 0
  let isOpen = true
  socket.on("message", (packet, from) => {
    const asked = decodeHeader(packet)
    if ("_tag" in asked) return
    const said = answer(requests++, asked)
    if (said === undefined) return
    const { offset = 0, header = {}, copies = 1 } = said
    const receive = now(offset)
    const reply = encodeHeader({
      leap: 0,
      version: asked.version,
      mode: Mode.server,
      stratum: 2,
      poll: asked.poll,
      precision: -23,
      rootDelay: 0x10,
      rootDispersion: 0x20,
      referenceId: 0xc0000201,
      reference: now(offset - 8),
      origin: asked.transmit,
      receive,
      transmit: now(offset),
      ...header
    })
    for (let copy = 0; copy < copies; copy += 1) socket.send(reply, from.port, from.address)
  })
  socket.bind(ownPort, address)
  await once(socket, "listening")
  const { port } = socket.address()
  return {
    address,
    port,
    requests: () => requests,
    stop: async () => {
      if (!isOpen) return
      isOpen = false
      await new Promise<void>((closed) => socket.close(() => closed()))
    }
  }
}
