/** The worker's packet line on a socket in memory, with a clock that a test moves. */
import { describe, expect, it } from "vitest"
import { batchOver, nobleAeads } from "@meridian/auth/aead-noble"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { KeyRing } from "@meridian/auth/key-ring"
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { type DigestPort, SymmetricMacs } from "@meridian/auth/mac"
import { macAlgorithms } from "@meridian/auth/mac-algorithms"
import { macBatchOver } from "@meridian/auth/mac-batch"
import { MacServer } from "@meridian/auth/mac-server"
import { NtsServer } from "@meridian/auth/nts-server"
import { serveWaiting } from "@meridian/udp/packet-loop"
import { ADDRESS_STRIDE, BATCH_CAPACITY, SLOT_BYTES, SLOT_STRIDE, type UdpSocket } from "@meridian/udp/udp"
import { KeyedAuthenticator } from "@meridian/protocol/keyed-authenticator"
import { NtsAuthenticator } from "@meridian/protocol/nts-authenticator"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { NtpServer } from "@meridian/protocol"
import { servedMoment } from "@meridian/testkit/served-moment"
import { Leap, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { differenceSeconds, ntpSeconds, ntpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader, type NtpHeader, Offset } from "@meridian/wire/ntp"
import { Counters } from "../src/counters.ts"
import { PeerSightings } from "../src/peer-sightings.ts"
import { answer } from "../src/serve.ts"

const NOW = 1_795_000_000
const TAKEN_UP = 10

const curve = { ...unsynchronisedCurve(), leap: Leap.none, stratum: 2, deadline: 1_000 }

const digests: DigestPort = {
  supports: () => true,
  digest: (_name, key, bytes, offset, length, out) => nobleCmac(key, bytes, offset, length, out)
}
const key = new SymmetricKey(7, macAlgorithms["AES-128"], new Uint8Array(16).fill(0x77))
const table = KeyTable.of([key]).withTrusted([{ first: 7, last: 7 }])
const macs = new SymmetricMacs(digests, table)

const plain = (): Uint8Array => clientRequest(4, ntpTimestamp(1, 2))
const keyed = (): Uint8Array => {
  const packet = new Uint8Array(68)
  packet.set(plain())
  macs.append(new DataView(packet.buffer), packet, 0, 48, key)
  return packet
}

/** Hands out each batch once, and keeps the replies as they stand when they are sent. */
const socketWith = (batches: (readonly Uint8Array[])[]) => {
  const bytes = new Uint8Array(BATCH_CAPACITY * SLOT_STRIDE)
  const requestLengths = new Uint32Array(BATCH_CAPACITY)
  const replyLengths = new Uint32Array(BATCH_CAPACITY)
  const sent: (Uint8Array | undefined)[] = []
  const stampsAt: (number | undefined)[] = []
  const socket: UdpSocket = {
    kind: "fallback",
    family: 4,
    port: 123,
    bytes,
    view: new DataView(bytes.buffer),
    requestLengths,
    replyLengths,
    arrivalSeconds: new Uint32Array(BATCH_CAPACITY).fill(ntpSeconds(NOW)),
    arrivalFractions: new Uint32Array(BATCH_CAPACITY),
    served: servedMoment(curve, { seconds: NOW, nanoseconds: 0 }, TAKEN_UP),
    now: Float64Array.of(NOW, TAKEN_UP, 0),
    addresses: new Uint8Array(BATCH_CAPACITY * ADDRESS_STRIDE).fill(0x99),
    localAddresses: new Uint8Array(0),
    latencies: () => [],
    receive: () => {
      const batch = batches.shift() ?? []
      batch.forEach((request, slot) => {
        bytes.set(request, slot * SLOT_STRIDE)
        requestLengths[slot] = request.length
      })
      return batch.length
    },
    send: (count, stampAt) => {
      stampsAt.push(stampAt)
      for (let slot = 0; slot < count; slot += 1) {
        const length = replyLengths[slot]!
        sent.push(length === 0 ? undefined : bytes.slice(slot * SLOT_STRIDE, slot * SLOT_STRIDE + length))
      }
      return replyLengths.subarray(0, count).filter((length) => length > 0).length
    },
    sent: () => sent.filter((reply) => reply !== undefined).length,
    sendErrors: () => 0,
    overflows: () => 0,
    shed: () => {},
    onReadable: () => {},
    pause: () => {},
    close: () => {}
  }
  return { socket, sent, stampsAt }
}

/** @param monotonic the clock that sealing reads */
const serverWith = (monotonic: () => number): NtpServer => {
  const server = new NtpServer({ precision: -24, minimumPoll: 0, longestRequest: SLOT_BYTES })
  const keyedServer = new MacServer(macBatchOver(digests, monotonic), BATCH_CAPACITY)
  keyedServer.useKeys(table)
  const nts = new NtsServer({
    batch: batchOver("reference", nobleAeads, monotonic),
    fillRandom: () => {},
    slots: BATCH_CAPACITY
  })
  nts.useRing(KeyRing.empty)
  server.authenticators = [new NtsAuthenticator(nts, false), new KeyedAuthenticator(keyedServer, false)]
  return server
}

/** As the worker does it. */
const serve = (socket: UdpSocket, server: NtpServer, counters = new Counters()): number =>
  serveWaiting(socket, (own, count) => answer(own, count, server, counters, new PeerSightings()), Offset.transmit)

const heldOf = (reply: Uint8Array | undefined): number => {
  const header = decodeHeader(reply!) as NtpHeader
  return differenceSeconds(header.transmit, header.receive)
}

describe("a batch on its way through the worker", () => {
  it("leaves with stamps of the moment at which each keyed reply was sealed, however long the batch took until then", () => {
    let now = TAKEN_UP
    const server = serverWith(() => (now += 0.0625))
    // A cold worker: the batch is held up between its receipt and the first seal.
    now += 0.25
    const { socket, sent, stampsAt } = socketWith([[keyed(), plain(), keyed().with(20, 0xee), keyed()]])
    const counters = new Counters()
    expect(serve(socket, server, counters)).toBe(4)
    expect(sent.map((reply) => reply?.length)).toEqual([68, 48, undefined, 68])
    expect([sent[0], sent[3]].map(heldOf)).toEqual([0.25 + 0.0625, 0.25 + 0.125])
    for (const reply of [sent[0]!, sent[3]!])
      expect(macs.verify(new DataView(reply.buffer), reply, 0, 48, 20)).toBe("verified")
    // The plain reply's is moved on by the socket, which is told where it lies.
    expect(heldOf(sent[1])).toBe(0)
    expect(stampsAt).toEqual([40])
    const { served, dropped, received, replied } = counters.snapshot(socket.sent(), 0, [])
    expect([received, replied, served["served"], served["served-keyed"], dropped["bad-mac"]]).toEqual([4, 3, 1, 2, 1])
  })

  it("is answered whole when it is full, and the next one after it", () => {
    const server = serverWith(() => TAKEN_UP)
    const full = Array.from({ length: BATCH_CAPACITY }, (_, slot) => (slot % 3 === 0 ? plain() : keyed()))
    const { socket, sent } = socketWith([full, [keyed()]])
    expect(serve(socket, server)).toBe(BATCH_CAPACITY + 1)
    expect(sent.map((reply) => reply?.length)).toEqual([...full, keyed()].map(({ length }) => length))
    const authenticated = sent.filter((reply) => reply?.length === 68)
    expect(authenticated).toHaveLength(43)
    for (const reply of authenticated)
      expect(macs.verify(new DataView(reply!.buffer), reply!, 0, 48, 20)).toBe("verified")
  })
})
