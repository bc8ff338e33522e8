/** What must hold for any packets, any losses and any clocks. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { nobleAeads } from "@meridian/auth/aead-noble"
import { NtsAssociation } from "@meridian/auth/nts-client"
import { Association } from "../src/association.ts"
import { type AssociationAction, dropReasons, type Sample } from "../src/association-action.ts"
import {
  type AssociationAuthentication,
  networkTimeSecurity,
  symmetricKey,
  unauthenticated
} from "../src/association-authentication.ts"
import { type AssociationOptions, defaultAssociationOptions, type Moment } from "../src/association-options.ts"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { encodeHeader, HEADER_BYTES } from "@meridian/wire/ntp"
import {
  at,
  environment,
  headerOf,
  moment,
  recordedMacs,
  replyTo,
  samplesIn,
  sendIn,
  SERVER,
  stamp,
  tags
} from "./association-harness.ts"

const macs = recordedMacs()
const authentications: Record<string, () => AssociationAuthentication> = {
  none: () => unauthenticated,
  key: () => symmetricKey(macs, 2),
  nts: () =>
    networkTimeSecurity(
      new NtsAssociation(nobleAeads.get(15)!, {
        c2s: new Uint8Array(32),
        s2c: new Uint8Array(32).fill(1),
        cookies: Array.from({ length: 8 }, () => new Uint8Array(100))
      })
    )
}
const associate = (options: Partial<AssociationOptions>, authentication = unauthenticated): Association =>
  new Association(
    { endpoint: SERVER, options: { ...defaultAssociationOptions, ...options }, authentication },
    environment()
  )

/** Bytes of any length, and bytes that begin like a reply to the request that was sent. */
const noise = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.record({ flags: fc.nat(255), body: fc.uint8Array({ minLength: HEADER_BYTES, maxLength: 200 }) })
)

/** Drops have names, and samples are numbers: without keys noise can be a good reply, with keys it never is. */
const isSound = (action: AssociationAction, kind: string): boolean => {
  if (action._tag === "Drop") return dropReasons.includes(action.reason)
  if (action._tag !== "Sample") return true
  const { offset, delay, dispersion, stratum } = action
  return kind === "none" && [offset, delay, dispersion].every(Number.isFinite) && delay > 0 && stratum > 0
}

describe.each(["client", "active"] as const)("mode %s", (mode) => {
  it.each(["none", "key", "nts"])("any bytes at all are a named drop or a valid sample (%s)", (kind) => {
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 8 }), fc.boolean(), (packets, xleave) => {
        const association = associate({ mode, xleave }, authentications[kind]!())
        const seen: AssociationAction[] = []
        for (const [index, packet] of packets.entries()) {
          const sent = association.poll(moment(index)).find((action) => action._tag === "Send")
          const bytes = packet instanceof Uint8Array ? packet : packet.body
          if (!(packet instanceof Uint8Array) && sent !== undefined) {
            bytes[0] = packet.flags
            bytes.set(sent.bytes.subarray(40, 48), 24)
          }
          for (const action of association.receive(moment(index + 0.5), bytes, at(index + 0.5), SERVER)) {
            seen.push(action)
          }
        }
        expect(seen.filter((action) => !isSound(action, kind))).toEqual([])
      }),
      { numRuns: 200 }
    )
  })
})

it("a reply to a nonce that was not sent never gives a sample, nor changes anything", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.boolean(), fc.nat(64), (origin, xleave, bit) => {
      const association = associate({ xleave })
      const first = sendIn(association.poll(moment(0))).bytes
      association.receive(moment(0.1), replyTo(first, at(0), at(0)), at(0.1), SERVER)
      const request = sendIn(association.poll(moment(64))).bytes
      const nonce = headerOf(request).transmit
      /** Also the true nonce with one bit flipped. */
      for (const wrong of [stamp(origin), stamp(nonce ^ (1n << BigInt(bit % 64)))]) {
        if (wrong === nonce || wrong === headerOf(request).receive) continue
        const forged = replyTo(request, at(64), at(64), { origin: wrong })
        expect(tags(association.receive(moment(64.1), forged, at(64.1), SERVER))).toEqual(["Drop"])
      }
      const reach = association.reach
      expect(
        samplesIn(association.receive(moment(64.1), replyTo(request, at(64), at(64)), at(64.1), SERVER))
      ).toHaveLength(1)
      expect(reach).toBe(0b10)
    })
  )
})

it("replies handed in again, in any order, give each sample once", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 60 }), fc.boolean(), (order, xleave) => {
      const association = associate({ xleave })
      const replies: Uint8Array[] = []
      const samples: Sample[] = []
      let polls = 0
      for (const choice of order) {
        const known = replies[choice]
        if (choice === 9 || known === undefined) {
          const request = sendIn(association.poll(moment(polls))).bytes
          replies.push(replyTo(request, at(polls + 0.01), at(polls + 0.01)))
          polls += 1
        } else samples.push(...samplesIn(association.receive(moment(polls), known, at(polls), SERVER)))
      }
      expect(new Set(samples.map(({ t1 }) => t1)).size).toBe(samples.length)
    })
  )
})

/** Answers between silences of up to nine requests, so that registers run out. */
const rarelyAnswered = fc
  .array(fc.nat(9), { maxLength: 12 })
  .map((silences) => silences.flatMap((silence) => [...Array<boolean>(silence).fill(false), true]))

it("the reach register holds the last eight requests, and the edges are told", () => {
  fc.assert(
    fc.property(rarelyAnswered, (answered) => {
      const association = associate({})
      let expected = 0
      for (const [index, isAnswered] of answered.entries()) {
        const actions = [...association.poll(moment(index))]
        const was = expected
        expected = (expected << 1) & 0xff
        // The request that shifts the last answer out may be answered itself: both edges are told then.
        const told = was !== 0 && expected === 0 ? [false] : []
        if (isAnswered && expected === 0) told.push(true)
        if (isAnswered) {
          const reply = replyTo(sendIn(actions).bytes, at(index), at(index))
          actions.push(...association.receive(moment(index + 0.1), reply, at(index + 0.1), SERVER))
          expected |= 1
        }
        expect(association.reach).toBe(expected)
        const edges = actions.flatMap((action) => (action._tag === "ReachabilityChanged" ? [action.reachable] : []))
        expect(edges).toEqual(told)
      }
    })
  )
})

it("timers are always ahead, and never closer than the shortest interval allowed", () => {
  const options = fc.record({ minpoll: fc.nat(6), span: fc.nat(6), iburst: fc.boolean(), burst: fc.boolean() })
  fc.assert(
    fc.property(options, fc.array(fc.boolean(), { maxLength: 40 }), ({ minpoll, span, iburst, burst }, answered) => {
      const association = associate({ minpoll, maxpoll: minpoll + span, iburst, burst })
      let due = 0
      for (const isAnswered of answered) {
        const now = due
        const actions = [...association.poll(moment(now))]
        if (isAnswered) {
          const reply = replyTo(sendIn(actions).bytes, at(now), at(now))
          actions.push(...association.receive(moment(now + 0.1), reply, at(now + 0.1), SERVER))
        }
        for (const action of actions) if (action._tag === "SetTimer") due = action.at
        expect(due - now).toBeGreaterThanOrEqual(Math.min(2, 2 ** minpoll))
        expect(due - now).toBeLessThanOrEqual(1.02 * 2 ** (minpoll + span))
      }
    })
  )
})

/** Nanoseconds of true time as an NTP timestamp, some time in 2027. */
const wire = (nanoseconds: number): NtpTimestamp =>
  stamp((0xeef0_0000n << 32n) + (BigInt(Math.round(nanoseconds)) * 2n ** 32n) / 1_000_000_000n)
/** CLOCK_MONOTONIC need not agree with anything. */
const when = (nanoseconds: number): Moment => ({ wall: wire(nanoseconds), monotonic: nanoseconds / 1e9 + 4711 })

/** Rounding of four timestamps to 2^-32 s, and a little. Seconds. */
const NANOSECOND = 1e-9
const network = fc.record({
  /** The server's clock minus ours. */
  offset: fc.integer({ min: -1e15, max: 1e15 }),
  outward: fc.nat(5e8),
  homeward: fc.nat(5e8),
  held: fc.nat(1e7),
  /** From the making of a packet to its leaving, on either side. */
  lag: fc.nat(1e6),
  polls: fc.integer({ min: 2, max: 6 })
})

describe("a simulated exchange with known offset and delay", () => {
  it("is measured to the nanosecond in basic mode", () => {
    fc.assert(
      fc.property(network, ({ offset, outward, held, lag, polls }) => {
        const association = associate({})
        for (let poll = 0; poll < polls; poll += 1) {
          const start = poll * 64e9
          const send = sendIn(association.poll(when(start)))
          association.transmitted(send.exchange, wire(start + lag))
          const arrived = start + lag + outward
          const reply = replyTo(send.bytes, wire(arrived + offset), wire(arrived + held + offset), {
            reference: stamp(0n)
          })
          const home = arrived + held + outward
          const [sample] = samplesIn(association.receive(when(home + 5e5), reply, wire(home), SERVER))
          expect(Math.abs(sample!.offset - offset / 1e9)).toBeLessThan(NANOSECOND)
          expect(Math.abs(sample!.delay - Math.max(2 ** -25, (2 * outward) / 1e9))).toBeLessThan(NANOSECOND)
        }
      })
    )
  })

  /** A server that does what RFC 9769 says: it remembers when the reply with each receive timestamp really left. */
  it("is measured to the nanosecond in interleaved mode, whatever the server's lag, with losses", () => {
    fc.assert(
      fc.property(
        network,
        fc.array(fc.boolean(), { maxLength: 12 }),
        ({ offset, outward, homeward, held, lag }, lost) => {
          const association = associate({ xleave: true })
          const left = new Map<bigint, NtpTimestamp>()
          let interleaved = 0
          for (const [poll, isLost] of [false, false, false, ...lost].entries()) {
            const start = poll * 64e9
            const send = sendIn(association.poll(when(start)))
            const request = headerOf(send.bytes)
            association.transmitted(send.exchange, wire(start + lag))
            const arrived = start + lag + outward
            const before = request.receive === request.transmit ? undefined : left.get(request.origin)
            const receive = wire(arrived + offset)
            const reply = replyTo(send.bytes, receive, before ?? wire(arrived + held + offset), {
              reference: stamp(0n),
              origin: before === undefined ? request.transmit : request.receive
            })
            left.set(receive, wire(arrived + held + lag + offset))
            if (isLost) continue
            const home = arrived + held + lag + homeward
            for (const sample of samplesIn(association.receive(when(home), reply, wire(home), SERVER))) {
              if (!sample.interleaved) continue
              interleaved += 1
              expect(Math.abs(sample.offset - (offset + (outward - homeward) / 2) / 1e9)).toBeLessThan(NANOSECOND)
              expect(Math.abs(sample.delay - Math.max(2 ** -25, (outward + homeward) / 1e9))).toBeLessThan(NANOSECOND)
            }
          }
          expect(interleaved).toBeGreaterThan(0)
        }
      )
    )
  })

  it.each([false, true])("is measured alike by both ends of a symmetric pair (xleave %s)", (xleave) => {
    fc.assert(
      fc.property(network, ({ offset, outward, homeward, lag, polls }) => {
        const near = associate({ mode: "active", xleave }, symmetricKey(macs, 2))
        const far = associate({ mode: "active", xleave }, symmetricKey(macs, 2))
        const measured: Record<"near" | "far", Sample[]> = { near: [], far: [] }
        const carry = (from: Association, to: Association, side: "near" | "far", start: number): void => {
          const [ahead, behind] = side === "far" ? [0, offset] : [offset, 0]
          const delay = side === "far" ? outward : homeward
          const send = sendIn(from.poll(when(start + ahead)))
          /** Without xleave a packet can only tell when it was made: then that is taken for when it left. */
          const really = start + (xleave ? lag : 0)
          if (xleave) from.transmitted(send.exchange, wire(really + ahead))
          const arrival = really + delay
          measured[side].push(
            ...samplesIn(to.receive(when(arrival + behind), send.bytes, wire(arrival + behind), SERVER))
          )
        }
        for (let poll = 0; poll < polls + 3; poll += 1) {
          carry(near, far, "far", poll * 64e9)
          carry(far, near, "near", poll * 64e9 + 10e9)
        }
        for (const [side, sign] of [
          ["near", 1],
          ["far", -1]
        ] as const) {
          const samples = measured[side].filter(({ interleaved }) => interleaved === xleave)
          expect(samples.length).toBeGreaterThanOrEqual(xleave ? polls : polls + 2)
          for (const sample of samples) {
            expect(Math.abs(sample.offset - (sign * (offset + (outward - homeward) / 2)) / 1e9)).toBeLessThan(
              NANOSECOND
            )
            expect(Math.abs(sample.delay - Math.max(2 ** -25, (outward + homeward) / 1e9))).toBeLessThan(NANOSECOND)
          }
        }
      })
    )
  })
})

it("a header cut or lengthened anywhere is dropped, and the true reply still counts", () => {
  const association = associate({}, symmetricKey(macs, 2))
  const request = sendIn(association.poll(moment(0))).bytes
  const sealed = symmetricKey(macs, 2).seal(encodeHeader(headerOf(replyTo(request, at(0), at(0)))), () => {})
  const reply = sealed._tag === "Sealed" ? sealed.bytes : new Uint8Array(0)
  for (let length = 0; length < reply.length; length += 1)
    expect(tags(association.receive(moment(0.1), reply.subarray(0, length), at(0.1), SERVER))).toEqual(["Drop"])
  for (let more = 1; more < 80; more += 1) {
    const longer = new Uint8Array(reply.length + more)
    longer.set(reply)
    expect(tags(association.receive(moment(0.1), longer, at(0.1), SERVER))).toEqual(["Drop"])
  }
  expect(samplesIn(association.receive(moment(0.1), reply, at(0.1), SERVER))).toHaveLength(1)
})
