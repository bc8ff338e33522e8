/** What an association does with packets good and bad: one test for each named outcome. */
import { describe, expect, it } from "vitest"
import { Association } from "../src/association.ts"
import { type DropReason, dropReasons } from "../src/association-action.ts"
import { symmetricKey } from "../src/association-authentication.ts"
import { type AssociationOptions } from "../src/association-options.ts"
import { encodeHeader, type NtpHeader } from "@meridian/wire/ntp"
import {
  at,
  dropsIn,
  headerOf,
  moment,
  NO_TIME,
  recordedMacs,
  replyTo,
  samplesIn,
  sendIn,
  SERVER,
  stamp,
  tags,
  associate,
  ask,
  hand,
  exchange
} from "./association-harness.ts"

describe("a client's exchange", () => {
  it("is measured", () => {
    const association = associate()
    const [change, next, sample, ...rest] = exchange(association, 10)
    expect(rest).toEqual([])
    expect(next).toEqual({ _tag: "SetTimer", at: 12 })
    expect(change).toEqual({ _tag: "ReachabilityChanged", reachable: true, reach: 1 })
    expect(sample).toMatchObject({
      _tag: "Sample",
      interleaved: false,
      time: 10.021,
      stratum: 2,
      leap: 0,
      precision: -24
    })
    expect(sample).toMatchObject({ rootDelay: 2 ** -8, rootDispersion: 2 ** -7, referenceId: 0x0a0b0c0d, poll: 6 })
    expect(sample).toMatchObject({ t1: at(10), t2: at(10.26), t3: at(10.261), t4: at(10.021), referenceTime: at(-100) })
    const [{ offset, delay, dispersion } = { offset: 0, delay: 0, dispersion: 0 }] = samplesIn([sample!])
    expect(offset).toBeCloseTo(0.25, 9)
    expect(delay).toBeCloseTo(0.02, 9)
    expect(dispersion).toBeCloseTo(2 ** -24 + 2 ** -25 + 15e-6 * 0.021, 12)
  })

  it("is measured from when the request really left", () => {
    const association = associate()
    const send = sendIn(association.poll(moment(0)))
    association.transmitted(send.exchange, at(0.004))
    association.transmitted(send.exchange + 1, at(99))
    const [sample] = samplesIn(hand(association, 0, replyTo(send.bytes, at(0.26), at(0.261))))
    expect(sample?.delay).toBeCloseTo(0.016, 9)
    expect(sample?.offset).toBeCloseTo(0.248, 9)
  })

  it("asks with a request that tells nothing, from a new port, and never with the same nonce", () => {
    const association = associate({ version: 3 })
    const sent = [0, 64, 128].map((seconds) => sendIn(association.poll(moment(seconds))))
    expect(new Set(sent.map(({ bytes }) => headerOf(bytes).transmit)).size).toBe(3)
    for (const { bytes, newSourcePort, expectTransmitStamp, to } of sent) {
      expect({ newSourcePort, expectTransmitStamp, to }).toEqual({
        newSourcePort: true,
        expectTransmitStamp: true,
        to: SERVER
      })
      expect({ ...headerOf(bytes), transmit: 0n }).toEqual({
        leap: 0,
        version: 3,
        mode: 3,
        stratum: 0,
        poll: 6,
        precision: 32,
        rootDelay: 0,
        rootDispersion: 0,
        referenceId: 0,
        reference: 0n,
        origin: 0n,
        receive: 0n,
        transmit: 0n
      })
    }
  })

  it("is right across the end of an era", () => {
    const association = associate()
    const era = 2n ** 64n
    const send = sendIn(association.poll({ wall: stamp(era - 2n ** 32n), monotonic: 0 }))
    const reply = replyTo(send.bytes, stamp(2n ** 32n), stamp(2n ** 32n), { reference: stamp(era - 2n ** 40n) })
    const [sample] = samplesIn(association.receive(moment(1), reply, stamp(era - 2n ** 31n), SERVER))
    expect(sample).toMatchObject({ offset: 1.75, delay: 0.5 })
  })
})

describe("a packet that gives no sample", () => {
  const reasons = new Set<DropReason>()
  const drops = (association: Association, reply: Uint8Array, seconds = 0, from = SERVER): readonly string[] => {
    const actions = hand(association, seconds, reply, from)
    expect(samplesIn(actions)).toEqual([])
    for (const action of actions) if (action._tag === "Drop") reasons.add(action.reason)
    return dropsIn(actions)
  }
  const dropped = (change: Partial<NtpHeader>, options: Partial<AssociationOptions> = {}): readonly string[] => {
    const association = associate(options)
    return drops(association, ask(association, 0, change))
  }

  it.each<[DropReason, Partial<NtpHeader>]>([
    ["version", { version: 0 }],
    ["version", { version: 5 }],
    ["mode", { mode: 3 }],
    ["mode", { mode: 5 }],
    ["bogus-origin", { origin: at(0) }],
    ["zero-origin", { origin: NO_TIME }],
    ["zero-timestamp", { receive: NO_TIME }],
    ["zero-timestamp", { transmit: NO_TIME }],
    ["unsynchronised", { leap: 3 }],
    ["unsynchronised", { stratum: 0, referenceId: 0 }],
    ["unsynchronised", { stratum: 16 }],
    ["unsynchronised", { stratum: 255 }],
    ["root-distance", { rootDispersion: 16 * 2 ** 16 }],
    ["root-distance", { rootDelay: 32 * 2 ** 16 }],
    ["root-distance", { rootDelay: 0xffffffff, rootDispersion: 0xffffffff }],
    ["reference-time", { reference: at(1) }],
    ["server-timestamps", { transmit: at(0.2) }],
    ["negative-delay", { transmit: at(0.5) }]
  ])("is dropped as %s: %o", (reason, change) => {
    expect(dropped(change)).toEqual([reason])
    reasons.add(reason)
  })

  it("is dropped when short, malformed, with a MAC that was not asked for, or a crypto-NAK", () => {
    const association = associate()
    const reply = ask(association, 0)
    const longer = (bytes: number): Uint8Array => Uint8Array.from([...reply, ...new Uint8Array(bytes)])
    expect(drops(association, reply.subarray(0, 47))).toEqual(["short"])
    expect(drops(association, longer(28))).toEqual(["malformed"])
    expect(drops(association, longer(20))).toEqual(["not-authenticated"])
    expect(drops(association, longer(4))).toEqual(["crypto-nak"])
    expect(samplesIn(hand(association, 0, reply))).toHaveLength(1)
  })

  it("is dropped when it comes from elsewhere, unasked or again", () => {
    const association = associate()
    expect(drops(association, replyTo(encodeHeader(headerOf(ask(associate(), 0))), at(0), at(0)))).toEqual(["unasked"])
    const reply = ask(association, 0)
    expect(drops(association, reply, 0, { address: "192.0.2.2", port: 123 })).toEqual(["wrong-address"])
    expect(drops(association, reply, 0, { address: "192.0.2.1", port: 124 })).toEqual(["wrong-address"])
    expect(samplesIn(hand(association, 0, reply))).toHaveLength(1)
    expect(drops(association, reply)).toEqual(["duplicate"])
    association.poll(moment(64))
    expect(drops(association, reply)).toEqual(["duplicate"])
  })

  it("is dropped when it answers the request before the last", () => {
    const association = associate()
    const late = ask(association, 0)
    const onTime = ask(association, 64)
    expect(drops(association, late, 64)).toEqual(["bogus-origin"])
    expect(samplesIn(hand(association, 64, onTime))).toHaveLength(1)
  })

  it("is dropped when our clock was stepped in between", () => {
    const association = associate()
    const reply = ask(association, 0)
    association.clockStepped()
    expect(drops(association, reply)).toEqual(["unasked"])
    const next = ask(association, 64)
    expect(dropsIn(association.receive(moment(64.1), next, at(3), SERVER))).toEqual(["local-timestamps"])
    reasons.add("local-timestamps")
  })

  it.each<[string, string]>([
    ["2", "not-authenticated"],
    ["1", "forged"]
  ])("is dropped under key %s when key 2 was asked with: %s", (id, reason) => {
    const macs = recordedMacs()
    const association = associate({}, symmetricKey(macs, 2))
    const plain = replyTo(sendIn(association.poll(moment(0))).bytes, at(0.26), at(0.261))
    const sealed = (keyId: number): Uint8Array => {
      const result = symmetricKey(macs, keyId).seal(plain, () => {})
      return result._tag === "Sealed" ? result.bytes : plain
    }
    expect(drops(association, id === "2" ? plain : sealed(1))).toEqual([reason])
    const changed = sealed(2).slice()
    changed[1] = 1
    expect(drops(association, changed)).toEqual(["forged"])
    expect(samplesIn(hand(association, 0, sealed(2)))).toHaveLength(1)
  })

  it("is not sent without its key, nor under one that is not trusted", () => {
    const macs = recordedMacs()
    const association = associate({}, symmetricKey(macs, 77))
    expect(tags(association.poll(moment(0)))).toEqual(["Drop", "SetTimer"])
    const untrusted = associate({}, symmetricKey(macs, 2))
    macs.keys = macs.keys.withTrusted([{ first: 3, last: 3 }])
    expect(dropsIn(untrusted.poll(moment(0)))).toEqual(["no-key"])
    macs.keys = macs.keys.withTrusted([{ first: 2, last: 2 }])
    expect(sendIn(untrusted.poll(moment(64))).bytes).toHaveLength(72)
  })

  it("has a name that these tests know", () => {
    const elsewhere: readonly DropReason[] = [
      "demobilised",
      "wrong-identifier",
      "nts-nak",
      "kiss",
      "measured-already",
      "no-key",
      "autokey-incomplete",
      "delay-unknown",
      "sent-ahead"
    ]
    expect(dropReasons.filter((reason) => !reasons.has(reason) && !elsewhere.includes(reason))).toEqual([])
  })
})

describe("interleaved mode", () => {
  it("starts over in basic mode after a lost reply", () => {
    const association = associate({ xleave: true })
    exchange(association, 0)
    const interleaved = headerOf(sendIn(association.poll(moment(64))).bytes)
    expect(interleaved.origin).toBe(at(0.26))
    expect(new Set([interleaved.origin, interleaved.receive, interleaved.transmit]).size).toBe(3)
    const basic = headerOf(sendIn(association.poll(moment(128))).bytes)
    expect([basic.origin, basic.receive]).toEqual([0n, 0n])
  })

  it("stays with basic replies where the server knows no better", () => {
    const association = associate({ xleave: true })
    for (const seconds of [0, 64, 128]) {
      const [sample] = samplesIn(exchange(association, seconds))
      expect(sample).toMatchObject({ interleaved: false, time: seconds + 0.021 })
    }
  })

  it("uses a transmit stamp that came after the reply", () => {
    const association = associate({ xleave: true })
    exchange(association, 0)
    const echo = (seconds: number): Uint8Array => {
      const { bytes, exchange: number } = sendIn(association.poll(moment(seconds)))
      const { receive } = headerOf(bytes)
      const reply = replyTo(bytes, at(seconds + 0.26), at(seconds - 64 + 0.262), { origin: receive })
      const actions = hand(association, seconds, reply)
      association.transmitted(number, at(seconds + 0.002))
      results.push(...samplesIn(actions))
      return reply
    }
    const results: { delay: number; offset: number; time: number }[] = []
    echo(64)
    echo(128)
    expect(results).toHaveLength(1)
    expect(results[0]!.time).toBe(64.021)
    expect(results[0]!.delay).toBeCloseTo(0.021 - 0.002 - 0.002, 9)
  })

  it("takes a reply although its clock was set between the reply before and this one", () => {
    const association = associate({ xleave: true })
    exchange(association, 0)
    const { bytes } = sendIn(association.poll(moment(64)))
    const reply = replyTo(bytes, at(64.26), at(0.262), { origin: headerOf(bytes).receive, reference: at(30) })
    expect(dropsIn(hand(association, 64, reply))).toEqual(["measured-already"])
    expect(association.reach).toBe(0b11)
  })

  it("drops what says that the reply before left before its request came, or after this one", () => {
    for (const transmit of [at(-1), at(65)]) {
      const association = associate({ xleave: true })
      exchange(association, 0)
      const first = sendIn(association.poll(moment(64))).bytes
      hand(association, 64, replyTo(first, at(64.26), at(0.262), { origin: headerOf(first).receive }))
      const second = sendIn(association.poll(moment(128))).bytes
      const reply = replyTo(second, at(128.26), transmit === at(65) ? at(129) : transmit, {
        origin: headerOf(second).receive
      })
      expect(dropsIn(hand(association, 128, reply))).toEqual(["server-timestamps"])
    }
  })
})
