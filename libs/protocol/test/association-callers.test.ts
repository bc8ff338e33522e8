/** Peers that come by themselves, as the set of associations takes them in. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { unauthenticated } from "../src/association-authentication.ts"
import type { Caller } from "../src/association-callers.ts"
import { defaultAssociationOptions } from "../src/association-options.ts"
import { AssociationSet, defaultSetOptions } from "../src/association-set.ts"
import type { Mobilised, SetAction } from "../src/association-set-actions.ts"
import { encodeHeader, Mode } from "@meridian/wire/ntp"
import { at, environment, headerOf, moment, NO_TIME, replyTo } from "./association-harness.ts"

const newSet = (passivePeers: number, maxclock = 10): AssociationSet =>
  new AssociationSet({ ...defaultSetOptions, maxclock, passivePeers }, environment())
const caller = (address: string, poll = 6): Caller => ({
  endpoint: { address, port: 123 },
  version: 4,
  poll,
  authentication: unauthenticated
})
const addresses = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `198.51.100.${index + 1}`)
const text = (actions: readonly SetAction[]): readonly string[] =>
  actions.map((each) => {
    switch (each._tag) {
      case "Mobilised":
        return `+${each.endpoint.address} ${each.options.mode}`
      case "Demobilised":
        return `-${each.endpoint.address} ${each.reason}`
      case "CallerRefused":
      case "Refused":
        return each.reason
      case "Associated":
      case "Resolve":
        return each._tag
    }
  })
const idOf = (actions: readonly SetAction[]): number =>
  actions.find((each): each is Mobilised => each._tag === "Mobilised")?.id ?? -1
/** A peer's packet whose origin may be what was sent to it. */
const packet = (seconds: number, origin = NO_TIME): Uint8Array =>
  encodeHeader({
    ...headerOf(replyTo(new Uint8Array(48), at(seconds), at(seconds))),
    version: 4,
    mode: Mode.symmetricActive,
    poll: 6,
    origin
  })
/** The peer speaks twice, the second time in answer to us. */
const prove = (set: AssociationSet, id: number, endpoint: Caller["endpoint"], seconds: number): void => {
  const [, sent] = set.receive(moment(seconds), id, packet(seconds), at(seconds), endpoint)
  if (sent?._tag !== "Associated" || sent.action._tag !== "Send")
    throw new Error(`expected a Send, found ${sent?._tag}`)
  const { transmit } = headerOf(sent.action.bytes)
  set.receive(moment(seconds + 64), id, packet(seconds + 64, transmit), at(seconds + 64), endpoint)
}

describe("a caller", () => {
  it("is taken as no line's, waits for its next packet, and is not taken twice", () => {
    const set = newSet(2)
    const actions = set.called(moment(0), caller("192.0.2.1"))
    expect(actions).toMatchObject([{ _tag: "Mobilised", host: undefined, options: { mode: "passive" } }])
    expect(set.nextDue).toBe(98)
    expect(set.called(moment(1), caller("192.0.2.1"))).toEqual([])
    const id = idOf(actions)
    const [, sent] = set.receive(moment(64), id, packet(64), at(64), { address: "192.0.2.1", port: 123 })
    expect(sent).toMatchObject({ action: { _tag: "Send" } })
  })

  it("is not taken where none is wanted, nor when the places are taken", () => {
    expect(text(newSet(0).called(moment(0), caller("192.0.2.1")))).toEqual(["full"])
    const set = newSet(3)
    const all = addresses(5).flatMap((address) => text(set.called(moment(0), caller(address))))
    expect(all.slice(3)).toEqual(["full", "full"])
  })

  it("that a line leads to stays with the line", () => {
    const set = newSet(2)
    const line = {
      kind: "server",
      port: 123,
      options: defaultAssociationOptions,
      authentication: () => unauthenticated
    }
    set.configure(moment(0), { ...line, kind: "server", host: "192.0.2.1", address: "192.0.2.1" })
    expect(set.called(moment(0), caller("192.0.2.1"))).toEqual([])
    set.called(moment(0), caller("192.0.2.2"))
    set.configure(moment(0), { ...line, kind: "server", host: "name", address: undefined })
    expect(text(set.resolved(moment(1), "name", ["192.0.2.2"]))).toEqual(["-192.0.2.2 replaced", "+192.0.2.2 client"])
  })

  it("takes no pool's place", () => {
    const set = newSet(4, 3)
    for (const address of addresses(4)) set.called(moment(0), caller(address))
    const options = { ...defaultAssociationOptions }
    set.configure(moment(0), {
      kind: "pool",
      host: "pool",
      address: undefined,
      port: 123,
      options,
      authentication: () => unauthenticated
    })
    expect(text(set.resolved(moment(1), "pool", ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]))).toHaveLength(3)
  })

  it("that never answered goes soon, and is not taken again soon; one that did may come again at once", () => {
    const set = newSet(2)
    const gone = (from: number): { readonly at: number; readonly said: readonly string[] } => {
      for (let now = from; now < from + 5_000; now = Math.max(now + 1, Math.ceil(set.nextDue))) {
        const said = text(set.poll(moment(now))).filter((each) => each.startsWith("-"))
        if (said.length > 0) return { at: now, said }
      }
      throw new Error("nothing went")
    }
    set.called(moment(0), caller("192.0.2.1"))
    const silent = gone(0)
    expect(silent.said).toEqual(["-192.0.2.1 silent"])
    expect(silent.at).toBeLessThan(300)
    expect(text(set.called(moment(silent.at + 1), caller("192.0.2.1")))).toEqual(["unproven"])
    expect(text(set.called(moment(silent.at + 3_601), caller("192.0.2.1")))[0]).toBe("+192.0.2.1 passive")
    const other = caller("192.0.2.2")
    prove(set, idOf(set.called(moment(4_000), other)), other.endpoint, 4_064)
    let left = gone(4_128)
    if (!left.said.includes("-192.0.2.2 silent")) left = gone(left.at + 1)
    expect(text(set.called(moment(left.at + 1), other))[0]).toBe("+192.0.2.2 passive")
  })

  it("can be dismissed, and nobody else can", () => {
    const set = newSet(2)
    const id = idOf(set.called(moment(0), caller("192.0.2.1")))
    expect(text(set.dismiss(moment(1), id, "key-withdrawn"))).toEqual(["-192.0.2.1 key-withdrawn"])
    expect(set.dismiss(moment(1), id, "key-withdrawn")).toEqual([])
    const options = { ...defaultAssociationOptions }
    const line = { kind: "peer", host: "192.0.2.3", address: "192.0.2.3", port: 123, options } as const
    const peer = idOf(set.configure(moment(2), { ...line, authentication: () => unauthenticated }))
    expect(set.dismiss(moment(3), peer, "no-socket")).toEqual([])
    expect(set.find("192.0.2.3")).toBe(peer)
  })
})

it("of however many callers, never more are kept than may be, nor taken faster than allowed", () => {
  const step = fc.record({ who: fc.nat(2_000), after: fc.nat(30), poll: fc.integer({ min: -128, max: 127 }) })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 16 }), fc.array(step, { maxLength: 300 }), (most, steps) => {
      const set = newSet(most)
      let [now, kept, taken] = [0, 0, 0]
      for (const { who, after, poll } of steps) {
        now += after
        const actions = [...set.poll(moment(now)), ...set.called(moment(now), caller(`2001:db8::${who}`, poll))]
        for (const said of text(actions)) {
          if (said.startsWith("+")) [kept, taken] = [kept + 1, taken + 1]
          if (said.startsWith("-")) kept -= 1
        }
        expect(kept).toBeLessThanOrEqual(most)
        expect(taken).toBeLessThanOrEqual(most + now / 4)
      }
    })
  )
})
