/**
 * Exchanges of real daemons, replayed: given the same random numbers, clock readings and replies, the association must send
 * what chronyd or ntpd sent, byte for byte, and measure what can be computed from the recording by hand.
 */
import { describe, expect, it } from "vitest"
import { nobleAeads } from "@meridian/auth/aead-noble"
import type { AeadId } from "@meridian/auth/aead"
import { NtsAssociation } from "@meridian/auth/nts-client"
import { Association } from "../src/association.ts"
import { networkTimeSecurity, symmetricKey, unauthenticated } from "../src/association-authentication.ts"
import { defaultAssociationOptions } from "../src/association-options.ts"
import { differenceSeconds, type NtpTimestamp } from "@meridian/time/timestamp"
import { shortToSeconds } from "@meridian/time/short"
import {
  dropsIn,
  environment,
  headerOf,
  hex,
  moment,
  type Packet,
  recordedMacs,
  recordedNts,
  recording,
  samplesIn,
  sendIn,
  SERVER,
  stamp,
  tags,
  toHex
} from "./association-harness.ts"

/** chronyd draws the receive field's random number before the transmit field's, and only when it interleaves. */
const nonces = (packets: readonly Packet[]): readonly bigint[] =>
  packets
    .filter(({ dir }) => dir === "c2s")
    .flatMap(({ header: { receive, transmit } }) => (receive === 0n ? [transmit] : [receive, transmit]))

const clientOptions = (packets: readonly Packet[], xleave: boolean) => {
  const { poll, version } = packets[0]!.header
  return { ...defaultAssociationOptions, minpoll: poll, maxpoll: 10, version, xleave }
}

describe.each([
  { name: "basic", keyId: 0, xleave: false },
  { name: "xleave", keyId: 0, xleave: true },
  { name: "xleave-key", keyId: 3, xleave: true },
  { name: "chrony-chronyd-key1", keyId: 1, xleave: false },
  { name: "classic-chronyd-key2", keyId: 2, xleave: false },
  { name: "ntpsec-chronyd-v4-key6", keyId: 6, xleave: false },
  { name: "ntpsec-chronyd-v4-key8", keyId: 8, xleave: false },
  { name: "ntpsec-chronyd-v3-key1", keyId: 1, xleave: false }
])("as the client of $name", ({ name, keyId, xleave }) => {
  const packets = recording(name)
  const authentication = keyId === 0 ? unauthenticated : symmetricKey(recordedMacs(), keyId)

  it("sends the bytes that chronyd sent, and takes every reply", () => {
    const association = new Association(
      { endpoint: SERVER, options: clientOptions(packets, xleave), authentication },
      environment(nonces(packets))
    )
    const sent: unknown[] = []
    const recorded: unknown[] = []
    let taken = 0
    for (const [index, { dir, bytes, header }] of packets.entries()) {
      if (dir === "c2s") {
        const left = stamp(packets[index + 1]!.header.receive - 100_000n)
        const send = sendIn(association.poll({ wall: left, monotonic: index }))
        sent.push({ bytes: toHex(send.bytes), to: send.to, newSourcePort: send.newSourcePort })
        recorded.push({ bytes: toHex(bytes), to: SERVER, newSourcePort: true })
        continue
      }
      /** The first interleaved reply is about an exchange that was measured in basic mode. */
      const isSecondTelling = isInterleaved(packets, index) && !isInterleaved(packets, index - 2)
      const arrival = stamp(header.receive + 400_000n)
      const actions = association.receive({ wall: arrival, monotonic: index }, bytes, arrival, SERVER)
      expect(dropsIn(actions)).toEqual(isSecondTelling ? ["measured-already"] : [])
      taken += 1
    }
    expect(sent).toEqual(recorded)
    expect(association.reach).toBe(2 ** taken - 1)
  })
})

/** Whether the reply at this place echoes the request's receive field. */
const isInterleaved = (packets: readonly Packet[], index: number): boolean =>
  packets[index]!.header.origin === packets[index - 1]!.header.receive

/** chronyd interleaved from the third response on: transmit is of the response before. */
it("measures what the interleaved recording says", () => {
  const packets = recording("xleave")
  const association = new Association(
    { endpoint: SERVER, options: clientOptions(packets, true), authentication: unauthenticated },
    environment(nonces(packets))
  )
  const before = 30_000n * 4n
  const after = 40_000n * 4n
  const measured: { offset: number; delay: number; t3: bigint; interleaved: boolean }[] = []
  for (const [index, { dir, bytes, header }] of packets.entries()) {
    if (dir === "c2s") {
      const send = sendIn(association.poll({ wall: stamp(1n), monotonic: index }))
      const left = stamp(packets[index + 1]!.header.receive - before)
      association.transmitted(send.exchange, left)
      continue
    }
    /** The reply that left at its transmit time, or at what the next reply says when that is interleaved. */
    const next = packets[index + 2]?.header
    const isToldLater = next !== undefined && next.origin === packets[index + 1]!.header.receive
    const left = isToldLater ? next.transmit : header.transmit
    const arrival = stamp(left + after)
    for (const sample of samplesIn(association.receive({ wall: arrival, monotonic: index }, bytes, arrival, SERVER)))
      measured.push(sample)
  }
  const kinds = measured.map(({ interleaved }) => interleaved)
  expect(kinds.slice(0, 2)).toEqual([false, false])
  expect(kinds.slice(2).every(Boolean)).toBe(true)
  expect(measured.length).toBe(packets.length / 2 - 1)
  const told = packets.filter(({ dir }, index) => dir === "s2c" && isInterleaved(packets, index))
  expect(measured.slice(2).map(({ t3 }) => t3)).toEqual(told.slice(1).map(({ header }) => header.transmit))
  for (const sample of measured.slice(2)) {
    expect(sample.delay).toBeCloseTo(Number(before + after) / 2 ** 32, 10)
    expect(sample.offset).toBeCloseTo(Number(before - after) / 2 ** 33, 10)
  }
})

it("takes replies with extension fields it does not know", () => {
  const packets = recording("xleave-extf323")
  const association = new Association(
    { endpoint: SERVER, options: clientOptions(packets, true), authentication: unauthenticated },
    environment(nonces(packets))
  )
  const sent: string[] = []
  for (const [index, { dir, bytes, header }] of packets.entries()) {
    const left = stamp((packets[index + 1]?.header.receive ?? 0n) - 100_000n)
    if (dir === "c2s") sent.push(toHex(sendIn(association.poll({ wall: left, monotonic: index })).bytes))
    else association.receive(moment(index), bytes, stamp(header.receive + 400_000n), SERVER)
  }
  const requests = packets.filter(({ dir }) => dir === "c2s")
  expect(sent).toEqual(requests.map(({ bytes }) => toHex(bytes.slice(0, 48))))
  expect(association.reach).toBe(2 ** requests.length - 1)
})

/**
 * A symmetric association has no secrets: what it sends follows from its clock. Its readings are taken from the recording:
 * a basic packet's transmit field, the arrival it tells of, and (interleaved) when the packet before left.
 */
describe.each([
  { name: "sym-chrony", ours: "c2s", mode: "active", xleave: false, samples: 8 },
  { name: "sym-chrony", ours: "s2c", mode: "active", xleave: false, samples: 6 },
  { name: "sym-chrony-xleave", ours: "c2s", mode: "active", xleave: true, samples: 8 },
  { name: "sym-classic-passive", ours: "c2s", mode: "active", xleave: false, samples: 6 }
] as const)("as the $ours side of $name, $mode", ({ name, ours, mode, xleave, samples }) => {
  it("sends the bytes that were sent, and measures what they say", () => {
    const packets = recording(name)
    let own = packets[0]!.header
    const association = new Association(
      {
        endpoint: SERVER,
        options: { ...defaultAssociationOptions, mode, minpoll: packets[0]!.header.poll, xleave },
        authentication: symmetricKey(recordedMacs(), 2)
      },
      environment([], {
        precision: packets.find(({ dir }) => dir === ours)!.header.precision,
        system: () => ({
          ...own,
          leap: own.leap as 0 | 3,
          rootDelay: shortToSeconds(own.rootDelay),
          rootDispersion: shortToSeconds(own.rootDispersion)
        })
      })
    )
    const sent: unknown[] = []
    const recorded: unknown[] = []
    let measured = 0
    const rejected: string[] = []
    for (const [index, { dir, bytes, header }] of packets.entries()) {
      const nextOwn = packets.slice(index + 1).find((each) => each.dir === ours)?.header
      if (dir === ours) {
        own = header
        const send = sendIn(association.poll({ wall: header.transmit, monotonic: index }))
        const isRepeated = packets[index + 1]?.dir === ours
        const form = isRepeated ? withoutNoise : toHex
        sent.push([index, form(send.bytes), send.newSourcePort])
        recorded.push([index, form(bytes), false])
        const isToldLater = xleave && nextOwn !== undefined && differenceSeconds(nextOwn.transmit, nextOwn.receive) < 0
        if (isToldLater) association.transmitted(send.exchange, nextOwn.transmit)
        continue
      }
      /** Nothing was heard by that side yet, or it was not running. */
      if (nextOwn === undefined || nextOwn.receive === 0n) continue
      /** Of several packets in a row the last one's fields are what the answer echoes. */
      const answerAt = packets.findIndex(
        (each, place) => place > index && each.dir !== ours && packets[place - 1]!.dir === ours
      )
      const telling = packets[answerAt - 1]?.header ?? nextOwn
      const isTold = telling.origin === header.transmit || telling.origin === header.receive
      const arrival = isTold ? telling.receive : header.transmit
      const actions = association.receive({ wall: arrival, monotonic: index }, bytes, arrival, SERVER)
      rejected.push(...dropsIn(actions))
      for (const sample of samplesIn(actions)) {
        measured += 1
        /** Both ends were on one machine: the offset is what scheduling made of it. */
        expect(Math.abs(sample.offset)).toBeLessThan(1e-3)
        expect(sample.delay).toBeLessThan(2e-3)
      }
    }
    expect(sent).toEqual(recorded)
    expect(measured).toBe(samples)
    expect(
      [...new Set(rejected)].every((reason) => /zero-origin|unsynchronised|measured-already|unasked/.test(reason))
    ).toBe(true)
  })
})

/** chronyd draws the bits below its precision anew when it tells an arrival a second time. */
const withoutNoise = (bytes: Uint8Array) => {
  const header = headerOf(bytes)
  return { ...header, receive: header.receive >> 7n }
}

it("slows down when ntpd sends RATE", () => {
  const packets = recording("kod-rate-classic")
  const association = new Association(
    { endpoint: SERVER, options: { ...defaultAssociationOptions, iburst: true }, authentication: unauthenticated },
    environment(nonces(packets))
  )
  sendIn(association.poll(moment(0)))
  expect(
    samplesIn(association.receive(moment(0.1), packets[1]!.bytes, packets[1]!.header.transmit, SERVER))
  ).toHaveLength(1)
  sendIn(association.poll(moment(2)))
  const actions = association.receive(moment(2.1), packets[3]!.bytes, packets[3]!.header.transmit, SERVER)
  expect(actions).toEqual([
    { _tag: "Kiss", code: "RATE" },
    { _tag: "Drop", reason: "kiss" },
    { _tag: "SetTimer", at: 2 + 128 }
  ])
  expect(association.pollExponent).toBe(7)
})

describe.each(recordedNts.exchanges)("as the client of $name", ({ aead, c2s, s2c, packets }) => {
  it("takes the recorded replies and keeps its jar as full as the server makes it", () => {
    const bytes = packets.map((packet) => ({ dir: packet.dir, bytes: hex(packet.hex) }))
    const requests = bytes.filter(({ dir }) => dir === "c2s")
    /** Transmit field, unique identifier, in the order they are drawn. */
    const draws = requests.flatMap((each) => [each.bytes.slice(40, 48), identifierOf(each.bytes)])
    let draw = 0
    const nts = new NtsAssociation(nobleAeads.get(aead as AeadId)!, {
      c2s: hex(c2s),
      s2c: hex(s2c),
      cookies: Array.from({ length: 8 }, () => new Uint8Array(96))
    })
    const association = new Association(
      { endpoint: SERVER, options: defaultAssociationOptions, authentication: networkTimeSecurity(nts) },
      environment([], {
        fillRandom: (out) => {
          const value = draws[draw]
          if (value?.length !== out.length) return
          out.set(value)
          draw += 1
        }
      })
    )
    for (const [index, each] of bytes.entries()) {
      if (each.dir === "c2s") {
        association.poll(moment(index))
        continue
      }
      expect(nts.cookies).toBe(7)
      const header = headerOf(each.bytes)
      association.transmitted((index + 1) / 2, stamp(header.receive - 300_000n))
      const arrival = stamp(header.transmit + 300_000n) as NtpTimestamp
      const damaged = each.bytes.slice()
      damaged[20] = damaged[20]! ^ 1
      expect(dropsIn(association.receive(moment(index), damaged, arrival, SERVER))).toEqual(["forged"])
      const actions = association.receive(moment(index), each.bytes, arrival, SERVER)
      expect(tags(actions)).toContain("Sample")
      expect(nts.cookies).toBe(8)
    }
  })
})

const identifierOf = (packet: Uint8Array): Uint8Array => {
  for (let offset = 48; offset < packet.length;) {
    const type = (packet[offset]! << 8) | packet[offset + 1]!
    const length = (packet[offset + 2]! << 8) | packet[offset + 3]!
    if (type === 0x0104) return packet.slice(offset + 4, offset + length)
    offset += length
  }
  throw new Error("no unique identifier")
}
