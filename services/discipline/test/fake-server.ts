/**
 * An NTP server that says what a test wants it to say. Requests are stamped by the kernel: a busy test answers late, and its
 * time is right all the same.
 */
import { systemClock } from "@meridian/clocks/system-clock"
import { NOW_UNIX, SLOT_BYTES, SLOT_STRIDE } from "@meridian/udp/udp"
import { bindSocket } from "@meridian/udp/udp-open"
import {
  fractionNanoseconds,
  fromUnix,
  type NtpTimestamp,
  shiftInPlace,
  unixSeconds,
  type UnixTime
} from "@meridian/time/timestamp"
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
const shifted = (time: UnixTime, offset: number): NtpTimestamp => {
  const there = { ...time }
  shiftInPlace(there, offset)
  return fromUnix(there)
}
const now = (offset: number): NtpTimestamp => {
  const time = { seconds: 0, nanoseconds: 0 }
  clock.wall.read(time)
  return shifted(time, offset)
}

/** @param answer undefined for silence; called for every request with its number, from 0 */
export const startFakeServer = async (
  address: string,
  answer: (request: number, asked: NtpHeader) => FakeAnswer | undefined,
  ownPort = 0
): Promise<FakeServer> => {
  const socket = await bindSocket({ address, port: ownPort, exclusive: true })
  let requests = 0
  /** What is said to one request: the reply, and how often; nothing for silence and for what is no request. */
  const replyTo = (packet: Uint8Array, arrival: UnixTime): readonly [reply: Uint8Array, copies: number] | undefined => {
    const asked = decodeHeader(packet)
    if ("_tag" in asked) return undefined
    const said = answer(requests++, asked)
    if (said === undefined) return undefined
    const { offset = 0, header = {}, copies = 1 } = said
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
      receive: shifted(arrival, offset),
      transmit: now(offset),
      ...header
    })
    return [reply, copies]
  }
  socket.onReadable(() => {
    const count = socket.receive()
    for (let slot = 0; slot < count; slot += 1) {
      const start = slot * SLOT_STRIDE
      const length = Math.min(socket.requestLengths[slot]!, SLOT_BYTES)
      const arrival = {
        seconds: unixSeconds(socket.arrivalSeconds[slot]!, socket.now[NOW_UNIX]!),
        nanoseconds: fractionNanoseconds(socket.arrivalFractions[slot]!)
      }
      const [reply = new Uint8Array(0), copies = 0] =
        replyTo(socket.bytes.subarray(start, start + length), arrival) ?? []
      socket.bytes.set(reply, start)
      socket.replyLengths.fill(0)
      for (let copy = 0; copy < copies; copy += 1) {
        socket.replyLengths[slot] = reply.length
        socket.send(count)
      }
    }
  })
  return {
    address,
    port: socket.port,
    requests: () => requests,
    stop: async () => socket.close()
  }
}
