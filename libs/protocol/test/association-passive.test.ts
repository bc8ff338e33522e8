/** The passive end of a symmetric association: what it answers, what it measures, and when it goes. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { KeyTable } from "@meridian/auth/key-table"
import { SymmetricMacs } from "@meridian/auth/mac"
import type { Association } from "../src/association.ts"
import type { Sample } from "../src/association-action.ts"
import { symmetricKey } from "../src/association-authentication.ts"
import { UNREACH, UNREACH_UNPROVEN } from "../src/association-passive.ts"
import { encodeHeader, Mode } from "@meridian/wire/ntp"
import {
  associate,
  at,
  dropsIn,
  environment,
  hand,
  headerOf,
  moment,
  NO_TIME,
  recordedMacs,
  samplesIn,
  sendIn,
  SERVER,
  stamp,
  tags,
  timerIn
} from "./association-harness.ts"

const macs = recordedMacs()
const KEY = 2
const passive = (authentication = symmetricKey(macs, KEY)): Association =>
  associate({ mode: "passive", minpoll: 0, maxpoll: 10 }, authentication)
const active = (xleave = false): Association => associate({ mode: "active", xleave }, symmetricKey(macs, KEY))

/** A packet of a peer that is not modelled further, under the key. */
const sealed = (seconds: number, origin = NO_TIME, poll = 6, keyId = KEY): Uint8Array => {
  const header = encodeHeader({
    leap: 0,
    version: 4,
    mode: Mode.symmetricActive,
    stratum: 2,
    poll,
    precision: -20,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: 1,
    reference: NO_TIME,
    origin,
    receive: origin === NO_TIME ? NO_TIME : at(seconds - 0.02),
    transmit: at(seconds)
  })
  const packet = symmetricKey(macs, keyId).seal(header, () => {})
  return packet._tag === "Sealed" ? packet.bytes : header
}

/** The peer polls every 64 s and hears each answer. Gives the last one's transmit timestamp. */
const converse = (association: Association, polls: number): bigint => {
  let origin = NO_TIME
  for (let poll = 0; poll < polls; poll += 1) {
    const answer = sendIn(hand(association, 64 * poll, sealed(64 * poll, origin)))
    origin = headerOf(answer.bytes).transmit
  }
  return origin
}

describe("a passive association", () => {
  it("sends nothing until the peer does, then one packet in mode 2 for each of the peer's", () => {
    const association = passive()
    expect(association.awaitPeer(moment(0), 6)).toEqual([{ _tag: "SetTimer", at: 98 }])
    const actions = hand(association, 64, sealed(64))
    expect(dropsIn(actions)).toEqual(["zero-origin"])
    expect(headerOf(sendIn(actions).bytes)).toMatchObject({
      mode: Mode.symmetricPassive,
      stratum: 3,
      poll: 6,
      origin: at(64),
      receive: at(64.021),
      transmit: at(64.021)
    })
    expect(sendIn(actions)).toMatchObject({ to: SERVER, newSourcePort: false })
    expect(tags(association.poll(moment(200)))).toEqual(["Missed", "SetTimer"])
  })

  it("is measured by the peer, and measures it", () => {
    const [peer, association] = [active(), passive()]
    hand(association, 0, sendIn(peer.poll(moment(0))).bytes)
    const [first, second] = [64, 128].map((seconds) => {
      const asked = sendIn(peer.poll(moment(seconds))).bytes
      const actions = hand(association, seconds, asked)
      const measured = hand(peer, seconds + 0.021, sendIn(actions).bytes)
      return { ours: samplesIn(actions), theirs: samplesIn(measured) }
    })
    expect(first?.ours).toEqual([])
    expect(first?.theirs[0]?.offset).toBeCloseTo(0, 9)
    expect(second?.ours[0]).toMatchObject({ t1: at(64.021), t2: at(64.042), t3: at(128), t4: at(128.021) })
    expect(second?.ours[0]?.offset).toBeCloseTo(0, 9)
    expect(association.reach).toBe(0b10)
    expect(association.isProven).toBe(true)
  })

  it("keeps to the peer's pace, between a second and 1024, whatever the discipline wishes", () => {
    const association = passive()
    association.awaitPeer(moment(0), 6)
    association.wantPoll(3)
    expect(association.pollExponent).toBe(6)
    for (const [seconds, poll, kept] of [
      [100, 8, 8],
      [200, -4, 0],
      [300, 17, 10]
    ] as const) {
      const actions = hand(association, seconds, sealed(seconds, NO_TIME, poll))
      expect(association.pollExponent).toBe(kept)
      expect(timerIn(actions)).toBeCloseTo(seconds + 0.021 + 1.5 * 2 ** kept + 2, 6)
    }
  })

  it("lets a peer go that was heard, after as many silent polls as RFC 5905 says, out of reach by then", () => {
    const association = passive()
    converse(association, 4)
    let actions = association.poll(moment(400))
    const said: string[] = []
    for (let poll = 1; poll < UNREACH; poll += 1) {
      said.push(...tags(actions).filter((tag) => tag !== "SetTimer"))
      actions = association.poll(moment(400 + 64 * poll))
    }
    expect(said.filter((tag) => tag !== "Missed")).toEqual(["ReachabilityChanged"])
    expect(actions).toEqual([{ _tag: "Demobilise", reason: "silent" }])
    expect(dropsIn(hand(association, 2_000, sealed(2_000)))).toEqual(["demobilised"])
  })

  it("lets who never echoed a packet of ours go sooner", () => {
    const association = passive()
    hand(association, 0, sealed(0))
    const all = Array.from({ length: UNREACH_UNPROVEN }, (_, poll) => tags(association.poll(moment(100 + 64 * poll))))
    expect(all.slice(0, -1).every((each) => each.join() === "Missed,SetTimer")).toBe(true)
    expect(all.at(-1)).toEqual(["Demobilise"])
  })

  it("keeps a peer that is not synchronised for as long as it is heard", () => {
    const association = passive()
    let origin = NO_TIME
    for (let poll = 0; poll < 30; poll += 1) {
      const peer = headerOf(sealed(64 * poll, origin))
      const packet = symmetricKey(macs, KEY).seal(
        encodeHeader({ ...peer, leap: 3, stratum: 0, referenceId: 0 }),
        () => {}
      )
      const actions = hand(association, 64 * poll, packet._tag === "Sealed" ? packet.bytes : new Uint8Array(0))
      expect(samplesIn(actions)).toEqual([])
      origin = headerOf(sendIn(actions).bytes).transmit
    }
    expect(association.reach).toBe(0)
  })

  it("gives an address back to the workers when a client asks from there, unless a proven peer is heard", () => {
    const client = encodeHeader({ ...headerOf(sealed(1)), mode: Mode.client })
    const unproven = passive()
    hand(unproven, 0, sealed(0))
    expect(hand(unproven, 1, client).at(-1)).toEqual({ _tag: "Demobilise", reason: "client" })
    const proven = passive()
    converse(proven, 3)
    expect(tags(hand(proven, 130, client))).toEqual(["Drop"])
    proven.poll(moment(260))
    expect(hand(proven, 261, client).at(-1)).toEqual({ _tag: "Demobilise", reason: "client" })
  })

  it("answers neither replays nor other keys, other modes or other addresses", () => {
    const association = passive()
    const first = sealed(0)
    hand(association, 0, first)
    expect(tags(hand(association, 1, first))).toEqual(["Drop"])
    expect(dropsIn(hand(association, 64, sealed(64, NO_TIME, 6, 3)))).toEqual(["forged"])
    expect(dropsIn(hand(association, 64, sealed(64).subarray(0, 48)))).toEqual(["not-authenticated"])
    expect(dropsIn(hand(association, 64, sealed(64), { address: "192.0.2.9", port: 123 }))).toEqual(["wrong-address"])
    for (const mode of [0, 2, 4, 5, 6, 7])
      expect(tags(hand(association, 64, encodeHeader({ ...headerOf(sealed(64)), mode })))).toEqual(["Drop"])
    expect(tags(hand(association, 64, sealed(64)))).toContain("Send")
  })

  it("falls silent when its key is trusted no more", () => {
    const own = new SymmetricMacs(recordedMacs()["port" as never], macs.keys)
    const association = passive(symmetricKey(own, KEY))
    hand(association, 0, sealed(0))
    own.keys = KeyTable.empty
    expect(dropsIn(hand(association, 64, sealed(64)))).toEqual(["forged"])
  })

  it("answers whole digests with whole ones", () => {
    const keyId = 6
    const association = passive(symmetricKey(macs, keyId))
    const cut = sealed(0, NO_TIME, 6, keyId)
    // In version 4 what is longer than a cut digest is an extension field.
    expect(sendIn(hand(association, 0, cut)).bytes).toHaveLength(cut.length)
    const whole = new Uint8Array(48 + 4 + 64)
    whole.set(cut.subarray(0, 48))
    const header = headerOf(whole)
    whole.set(encodeHeader({ ...header, version: 3, transmit: at(64) }))
    const table = macs.keys.get(keyId)!
    const length = macs.append(new DataView(whole.buffer), whole, 0, 48, table, 4 + table.algorithm.digestBytes)
    expect(length).toBeGreaterThan(24)
    const answer = sendIn(hand(association, 64, whole.subarray(0, 48 + length))).bytes
    expect(answer).toHaveLength(48 + length)
    expect(macs.verify(new DataView(answer.buffer, answer.byteOffset), answer, 0, 48, length)).toBe("verified")
  })
})

it("whatever comes and whenever, one packet is sent for each authentic one, and the timer is always ahead", () => {
  const step = fc.record({
    kind: fc.constantFrom("true", "echo", "replay", "forged", "bare", "late", "random"),
    after: fc.integer({ min: 1, max: 200 }),
    noise: fc.uint8Array({ maxLength: 120 })
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const association = passive()
      association.awaitPeer(moment(0), 6)
      let [now, origin, ended] = [0, NO_TIME, false]
      let last = sealed(0)
      hand(association, 0, last)
      for (const { kind, after, noise } of steps) {
        now += after
        const fresh = sealed(now, kind === "echo" ? origin : NO_TIME)
        const packets: Record<string, Uint8Array> = {
          true: fresh,
          echo: fresh,
          replay: last,
          forged: fresh.with(50, fresh[50]! ^ 1),
          bare: fresh.subarray(0, 48),
          random: noise
        }
        const packet = packets[kind]
        const actions = packet === undefined ? association.poll(moment(now)) : hand(association, now, packet)
        const isAuthentic = kind === "true" || kind === "echo"
        const sends = actions.filter(({ _tag }) => _tag === "Send")
        expect(sends).toHaveLength(isAuthentic && !ended ? 1 : 0)
        if (isAuthentic) last = packet!
        if (sends.length > 0) origin = headerOf(sendIn(actions).bytes).transmit
        const timers = actions.flatMap((action) => (action._tag === "SetTimer" ? [action.at] : []))
        expect(timers.filter((due) => due <= now)).toEqual([])
        ended ||= actions.some(({ _tag }) => _tag === "Demobilise")
      }
    })
  )
})

it.each([false, true])(
  "both ends measure alike whatever the network does (the active end interleaved: %s)",
  (xleave) => {
    const wire = (nanoseconds: number) =>
      stamp((0xeef0_0000n << 32n) + (BigInt(Math.round(nanoseconds)) * 2n ** 32n) / 1_000_000_000n)
    const when = (nanoseconds: number) => ({ wall: wire(nanoseconds), monotonic: nanoseconds / 1e9 })
    const network = fc.record({
      offset: fc.integer({ min: -1e15, max: 1e15 }),
      outward: fc.nat(5e8),
      homeward: fc.nat(5e8),
      held: fc.integer({ min: 1, max: 1e7 }),
      polls: fc.integer({ min: 4, max: 9 })
    })
    fc.assert(
      fc.property(network, ({ offset, outward, homeward, held, polls }) => {
        const peer = associate({ mode: "active", xleave }, symmetricKey(macs, KEY), environment())
        const association = passive()
        const found: Record<"ours" | "theirs", Sample[]> = { ours: [], theirs: [] }
        for (let poll = 0; poll < polls; poll += 1) {
          const start = poll * 64e9
          const asked = sendIn(peer.poll(when(start)))
          peer.transmitted(asked.exchange, wire(start))
          const there = start + outward + offset
          // The kernel's stamp is always a little before it is looked at; else basic and interleaved would look alike.
          const actions = association.receive(when(there + held), asked.bytes, wire(there), SERVER)
          found.ours.push(...samplesIn(actions))
          const answer = sendIn(actions)
          association.transmitted(answer.exchange, wire(there + held))
          const back = start + outward + held + homeward
          found.theirs.push(...samplesIn(peer.receive(when(back), answer.bytes, wire(back), SERVER)))
        }
        expect(found.ours.length).toBeGreaterThanOrEqual(polls - (xleave ? 3 : 2))
        expect(found.theirs.length).toBeGreaterThanOrEqual(polls - 1)
        const asymmetry = (outward - homeward) / 2
        for (const sample of found.theirs) expect(sample.offset).toBeCloseTo((offset + asymmetry) / 1e9, 6)
        for (const sample of found.ours) expect(sample.offset).toBeCloseTo(-(offset + asymmetry) / 1e9, 6)
        for (const { delay } of [...found.ours, ...found.theirs])
          expect(delay).toBeCloseTo((outward + homeward) / 1e9, 6)
      })
    )
  }
)
