/**
 * Streams of requests, good and changed on their way, by seeds: nothing throws, every datagram is counted once, answers have good
 * MACs, are no longer than a slot and longer than their requests to few who proved nothing. MERIDIAN_LONG=1 takes many seeds.
 */
import { PUBLIC_COOKIE } from "@meridian/auth/autokey/session-key"
import { Dice, HostileLink } from "@meridian/testkit/autokey-link"
import { SLOT_BYTES } from "@meridian/udp/udp"
import { AutokeyOperation, decodeAutokeyPacket } from "@meridian/wire/autokey-fields"
import { Offset } from "@meridian/wire/ntp"
import { expect, it } from "vitest"
import { UNPROVED_ANSWERS_PER_SECOND } from "../src/answering.ts"
import { address, type Asked, host, keys, makeServer, OURS, publicKey, request } from "./server.ts"

const isLong = process.env["MERIDIAN_LONG"] === "1"
const SEEDS = isLong ? 300 : 6
const ROUNDS = 150
const CLIENTS = 12

const stampAt = (bytes: Uint8Array, offset: number): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(offset)

const values = [
  [AutokeyOperation.association, new TextEncoder().encode("bob")],
  [AutokeyOperation.certificate, new TextEncoder().encode("alice")],
  [AutokeyOperation.cookie, publicKey],
  [AutokeyOperation.sign, host.certificate.der],
  [AutokeyOperation.iff, Uint8Array.of(1, 2, 3)],
  [AutokeyOperation.autokey, undefined],
  [AutokeyOperation.leapSeconds, undefined]
] as const

const play = (seed: number): Readonly<Record<string, number>> => {
  const dice = new Dice(seed)
  const { serve, answering, advance } = makeServer()
  const clients = Array.from({ length: CLIENTS }, (_, index) => ({
    source: address(index),
    link: new HostileLink(dice, keys),
    /** The transmit timestamp of the server's last reply: who echoes it is there. */
    heard: 0n
  }))
  let [replied, unproved, seconds] = [0, 0, 1]
  for (let round = 0; round < ROUNDS; round += 1) {
    const asked = Array.from({ length: 1 + dice.below(10) }, () => dice.of(clients)).flatMap((client) => {
      const [operation, value] = dice.of(values)
      const packet = request(operation, client.source, value, dice.once(3) ? 0n : client.heard)
      const pair = { source: client.source, destination: OURS }
      return client.link.pass(packet, pair).map((each): Asked & { client: typeof client } => ({
        client,
        source: client.source,
        packet: each
      }))
    })
    const replies = serve(asked)
    for (const [index, reply] of replies.entries()) {
      if (reply.length === 0) continue
      const { client, packet, source } = asked[index]!
      replied += 1
      expect(reply.length).toBeLessThanOrEqual(SLOT_BYTES)
      const [ask, answer] = [decodeAutokeyPacket(packet), decodeAutokeyPacket(reply)]
      if (typeof ask === "string" || typeof answer === "string")
        throw new Error(`seed ${seed}: ${JSON.stringify([ask, answer])}`)
      expect(keys.verify(packet, ask.macOffset, { source, destination: OURS }, PUBLIC_COOKIE)).toBe(true)
      expect(keys.verify(reply, answer.macOffset, { source: OURS, destination: source }, PUBLIC_COOKIE)).toBe(true)
      expect([answer.fields.length, answer.keyId]).toEqual([1, ask.keyId])
      const origin = stampAt(packet, Offset.origin)
      const isProved = origin !== 0n && origin === client.heard
      const isName = answer.fields[0]!.operation === AutokeyOperation.association
      if (reply.length > packet.length && !isProved && !isName) unproved += 1
      client.heard = stampAt(reply, Offset.transmit)
    }
    const step = dice.below(3)
    seconds += step
    advance(step)
  }
  expect(unproved).toBeLessThanOrEqual(UNPROVED_ANSWERS_PER_SECOND * seconds)
  const counted = Object.values(answering.outcomes).reduce((sum, count) => sum + count, 0)
  expect([counted, answering.replied]).toEqual([answering.received, replied])
  return answering.outcomes
}

it(
  "requests over hostile links are each counted, and answered within bounds or not at all",
  () => {
    const seen = new Set<string>()
    for (let seed = 1; seed <= SEEDS; seed += 1) for (const outcome of Object.keys(play(seed))) seen.add(outcome)
    for (const outcome of ["bad-mac", "malformed-length", "limited-address", "cookie", "certificate", "bad-value"])
      expect(seen).toContain(outcome)
  },
  isLong ? 600_000 : 300_000
)
