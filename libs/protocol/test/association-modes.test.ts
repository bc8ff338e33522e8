/** Associations that share a secret or a role with the other side: NTS and symmetric peers. */
import { describe, expect, it } from "vitest"
import { nobleAeads } from "@meridian/auth/aead-noble"
import { NtsAssociation } from "@meridian/auth/nts-client"
import { type AssociationAuthentication, networkTimeSecurity, symmetricKey } from "../src/association-authentication.ts"
import { encodeHeader } from "@meridian/wire/ntp"
import { referenceIdFromText } from "@meridian/wire/reference-id"
import {
  at,
  dropsIn,
  environment,
  headerOf,
  hex,
  moment,
  replyTo,
  recordedMacs,
  recordedNts,
  samplesIn,
  sendIn,
  SERVER,
  tags,
  timerIn,
  associate,
  ask,
  hand,
  exchange
} from "./association-harness.ts"

describe("NTS", () => {
  const aead = nobleAeads.get(15)!
  const jar = (cookies: number): NtsAssociation =>
    new NtsAssociation(aead, {
      c2s: new Uint8Array(32).fill(1),
      s2c: new Uint8Array(32).fill(2),
      cookies: Array.from({ length: cookies }, (_, index) => new Uint8Array(100).fill(index))
    })

  it("asks for keys first, more and more rarely, and polls at once when they are there", () => {
    const association = associate({ iburst: true }, networkTimeSecurity(undefined))
    expect(association.poll(moment(0))).toEqual([
      { _tag: "NeedKeyExchange", reason: "no-cookies" },
      { _tag: "SetTimer", at: 2 }
    ])
    expect(timerIn(association.poll(moment(2)))).toBe(6)
    expect(dropsIn(hand(association, 3, new Uint8Array(48).fill(0x24)))).toEqual(["unasked"])
    const elsewhere = { address: "192.0.2.9", port: 4123 }
    const send = sendIn(association.keysExchanged(moment(3), jar(8), elsewhere))
    expect(send.to).toEqual(elsewhere)
    expect(send.bytes.length).toBeGreaterThan(200)
    expect(association.endpoint).toEqual(elsewhere)
  })

  it("uses a cookie once and asks for new keys when the jar is empty or nobody answers", () => {
    const association = associate({}, networkTimeSecurity(jar(8)))
    const sent = Array.from({ length: 9 }, (_, index) => tags(association.poll(moment(index * 64))))
    expect(sent.slice(0, 7).every((each) => each.join() === "Send,SetTimer")).toBe(true)
    expect(sent[7]).toEqual(["Send", "NeedKeyExchange", "SetTimer"])
    expect(sent[8]).toEqual(["NeedKeyExchange", "SetTimer"])
  })

  it("takes nothing without a seal, and no kiss either", () => {
    const association = associate({}, networkTimeSecurity(jar(8)))
    expect(exchange(association, 0)).toEqual([{ _tag: "Drop", reason: "not-authenticated" }])
    const deny = { leap: 3, stratum: 0, referenceId: referenceIdFromText("DENY") }
    expect(exchange(association, 64, deny)).toEqual([{ _tag: "Drop", reason: "not-authenticated" }])
  })

  it("waits for the next poll after a NAK as chronyd sends it, then asks for keys", () => {
    const [request, nak] = [hex(recordedNts.nak.request), hex(recordedNts.nak.nak)]
    const draws = [request.slice(40, 48), request.slice(52, 84)]
    const association = associate(
      {},
      networkTimeSecurity(jar(8)),
      environment([], { fillRandom: (out) => (draws[0]?.length === out.length ? out.set(draws.shift()!) : undefined) })
    )
    association.poll(moment(0))
    const foreign = nak.slice()
    foreign[60] = foreign[60]! ^ 1
    expect(dropsIn(hand(association, 0, foreign))).toEqual(["wrong-identifier"])
    expect(hand(association, 0, nak)).toEqual([
      { _tag: "Kiss", code: "NTSN" },
      { _tag: "Drop", reason: "nts-nak" }
    ])
    expect(association.poll(moment(64))[0]).toEqual({ _tag: "NeedKeyExchange", reason: "nak" })
    expect(tags(association.keysExchanged(moment(65), jar(8)))).toEqual(["Send", "SetTimer"])
  })
})

describe("a symmetric peer", () => {
  const macs = recordedMacs()
  const pair = (xleave = false) => {
    const key = (): AssociationAuthentication => symmetricKey(macs, 2)
    return [associate({ mode: "active", xleave }, key()), associate({ mode: "active", xleave }, key())] as const
  }

  it("is heard before it has heard us, and measured after", () => {
    const [active, other] = pair()
    const first = sendIn(active.poll(moment(0))).bytes
    expect(dropsIn(hand(other, 0, first))).toEqual(["zero-origin"])
    const second = sendIn(other.poll(moment(1))).bytes
    expect(headerOf(second)).toMatchObject({
      mode: 1,
      stratum: 3,
      referenceId: 7,
      origin: at(0),
      receive: at(0.021),
      transmit: at(1)
    })
    const [sample] = samplesIn(hand(active, 1, second))
    expect(sample).toMatchObject({ t1: at(0), t2: at(0.021), t3: at(1), t4: at(1.021), stratum: 3 })
    expect(sample?.offset).toBeCloseTo(0, 9)
    expect(sample?.delay).toBeCloseTo(0.042, 9)
  })

  it("is not taken back by replays, nor by anybody without the key", () => {
    const [active, other] = pair()
    const packets = [0, 64, 128].map((seconds) => sendIn(active.poll(moment(seconds))).bytes)
    for (const packet of packets) hand(other, 128, packet)
    for (const packet of packets) expect(dropsIn(hand(other, 129, packet))).toEqual(["duplicate"])
    const forged = packets[2]!.slice()
    forged[42] = 255
    expect(dropsIn(hand(other, 129, forged))).toEqual(["forged"])
    expect(headerOf(sendIn(other.poll(moment(130))).bytes)).toMatchObject({ origin: at(128), receive: at(128.021) })
  })

  it("interleaved is measured though its clock was updated since the packet that it tells of", () => {
    const end = (reference: number) => {
      const system = () => ({
        leap: 0,
        stratum: 3,
        referenceId: 7,
        reference: at(reference),
        rootDelay: 0,
        rootDispersion: 0
      })
      return associate({ mode: "active", xleave: true }, undefined, environment([], { system: system as never }))
    }
    const [active, other] = [end(0), end(0)]
    const dropped: string[] = []
    let measured = 0
    for (let turn = 0; turn < 5; turn += 1) {
      const seconds = 1 + 2 * turn
      hand(other, seconds, sendIn(active.poll(moment(seconds))).bytes)
      // Its clock was set a moment before it sends: after all that the packet tells of but the packet itself.
      const fresh = { ...headerOf(sendIn(other.poll(moment(seconds + 1))).bytes), reference: at(seconds + 0.9) }
      const actions = hand(active, seconds + 1, encodeHeader(fresh))
      dropped.push(...dropsIn(actions))
      measured += samplesIn(actions).filter(({ interleaved }) => interleaved).length
    }
    expect(dropped.filter((reason) => reason === "reference-time")).toEqual([])
    expect(measured).toBeGreaterThanOrEqual(2)
  })

  it("measures once per packet of ours", () => {
    const [active, other] = pair()
    hand(other, 0, sendIn(active.poll(moment(0))).bytes)
    const [a, b] = [1, 2].map((seconds) => sendIn(other.poll(moment(seconds))).bytes)
    expect(samplesIn(hand(active, 1, a!))).toHaveLength(1)
    expect(dropsIn(hand(active, 2, b!))).toEqual(["unasked"])
  })

  it("goes on after its clock was set back, from its next packet that has heard us", () => {
    const [active, other] = pair()
    hand(other, 5000, sendIn(active.poll(moment(5000))).bytes)
    hand(active, 5001, sendIn(other.poll(moment(5001))).bytes)
    const later = sendIn(active.poll(moment(5064)))
    other.clockStepped()
    hand(other, 100, later.bytes)
    const stepped = sendIn(other.poll(moment(101))).bytes
    const actions = active.receive(moment(5066), stepped, at(5066), SERVER)
    expect(samplesIn(actions).map(({ offset }) => Math.round(offset))).toEqual([-4964])
  })

  it("is measured by its answers in symmetric passive mode, as from a server that has no line for us", () => {
    const active = associate({ mode: "active" }, symmetricKey(macs, 2))
    const request = sendIn(active.poll(moment(0))).bytes
    const bare = replyTo(request, at(0.01), at(0.011), { mode: 2 })
    expect(dropsIn(hand(active, 0, bare))).toEqual(["not-authenticated"])
    const sealed = symmetricKey(macs, 2).seal(bare, () => {})
    expect(sealed._tag === "Sealed" && samplesIn(hand(active, 0, sealed.bytes))).toMatchObject([{ interleaved: false }])
  })

  it("does not take the modes of others", () => {
    const [active] = pair()
    const packet = (mode: number): Uint8Array => encodeHeader({ ...headerOf(ask(associate(), 0)), mode })
    for (const mode of [0, 3, 4, 5, 6, 7]) expect(dropsIn(hand(active, 0, packet(mode)))).toEqual(["mode"])
  })
})
