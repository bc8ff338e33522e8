/** A client of broadcast servers: the volley, what is told afterwards, and what is not believed. */
import { describe, expect, it } from "vitest"
import { unauthenticated } from "../src/association-authentication.ts"
import type { Teller } from "../src/association-callers.ts"
import { AssociationSet, defaultSetOptions } from "../src/association-set.ts"
import type { Mobilised, SetAction } from "../src/association-set-actions.ts"
import { encodeHeader, Mode } from "@meridian/wire/ntp"
import { at, environment, headerOf, moment, NO_TIME, replyTo } from "./association-harness.ts"

const endpoint = { address: "192.0.2.1", port: 123 }
const teller = (delay?: number): Teller => ({ endpoint, version: 4, poll: 6, authentication: unauthenticated, delay })
const newSet = (broadcastServers = 4): AssociationSet =>
  new AssociationSet({ ...defaultSetOptions, broadcastServers }, environment())
/** What a server tells at its second `seconds`. */
const told = (seconds: number, change: object = {}): Uint8Array =>
  encodeHeader({
    ...headerOf(replyTo(new Uint8Array(48), at(seconds), at(seconds))),
    version: 4,
    mode: Mode.broadcast,
    poll: 6,
    origin: NO_TIME,
    receive: NO_TIME,
    ...change
  })
const tags = (actions: readonly SetAction[]): readonly string[] =>
  actions.map((each) =>
    each._tag !== "Associated" ? each._tag : each.action._tag === "Drop" ? each.action.reason : each.action._tag
  )
const idOf = (actions: readonly SetAction[]): number =>
  actions.find((each): each is Mobilised => each._tag === "Mobilised")?.id ?? -1

/** Polls until `seconds`, answering each request after `delay`; how many were asked. */
const answerUntil = (set: AssociationSet, id: number, until: number, delay: number): number => {
  let asked = 0
  for (let now = set.nextDue; now <= until; now = set.nextDue) {
    for (const each of set.poll(moment(now))) {
      if (each._tag !== "Associated" || each.action._tag !== "Send") continue
      asked += 1
      const reply = replyTo(each.action.bytes, at(now + delay / 2), at(now + delay / 2))
      set.receive(moment(now + delay), id, reply, at(now + delay), endpoint)
    }
  }
  return asked
}

describe("a broadcast server", () => {
  it("is asked six times, and then heard only", () => {
    const set = newSet()
    const mobilised = set.heard(moment(0), teller())
    const id = idOf(mobilised)
    expect(mobilised).toMatchObject([{ host: undefined, options: { mode: "broadcast", minpoll: 6 } }])
    expect(tags(set.told(moment(0.1), id, told(0), at(0.1)))).toEqual(["delay-unknown"])
    expect(answerUntil(set, id, 60, 0.02)).toBe(6)
    const [sample] = set.told(moment(64), id, told(64), at(64.01))
    expect(sample).toMatchObject({ action: { _tag: "Sample", stratum: 2 } })
    const { offset, delay } = (sample as { action: { offset: number; delay: number } }).action
    expect(delay).toBeCloseTo(0.02, 6)
    expect(offset).toBeCloseTo(0, 6)
    expect(answerUntil(set, id, 120, 0.02)).toBe(0)
  })

  it("is asked nothing where the delay is known", () => {
    const set = newSet()
    const id = idOf(set.heard(moment(0), teller(0.004)))
    expect(tags(set.told(moment(0), id, told(0), at(0.002)))).toEqual(["ReachabilityChanged", "Sample"])
    expect(set.poll(moment(60))).toEqual([])
  })

  it("is let go when it does not answer, and not taken again for an hour", () => {
    const set = newSet()
    set.heard(moment(0), teller())
    let ended: readonly string[] = []
    for (let now = set.nextDue; now < 5_000 && !ended.includes("Demobilised"); now = set.nextDue)
      ended = tags(set.poll(moment(now)))
    expect(ended).toEqual(["Demobilised"])
    expect(set.heard(moment(100), teller())).toEqual([{ _tag: "CallerRefused", reason: "unproven" }])
  })

  it("becomes unreachable when it falls silent, and is let go after twelve times", () => {
    const set = newSet()
    const id = idOf(set.heard(moment(0), teller(0.004)))
    set.told(moment(0), id, told(0), at(0.002))
    const seen: string[] = []
    for (let now = set.nextDue; now < 5_000; now = set.nextDue) seen.push(...tags(set.poll(moment(now))))
    expect(seen).toEqual([...Array(7).fill("Missed"), "ReachabilityChanged", ...Array(4).fill("Missed"), "Demobilised"])
  })

  it.each([
    ["a packet again", told(0), "duplicate"],
    ["an older one", told(-1), "duplicate"],
    ["one that comes too soon", told(20), "duplicate"],
    ["another mode", told(64, { mode: Mode.server }), "mode"],
    ["no time", told(64, { leap: 3 }), "Unusable"],
    ["no transmit timestamp", told(64, { transmit: NO_TIME }), "duplicate"]
  ])("is not believed with %s", (_what, packet, reason) => {
    const set = newSet()
    const id = idOf(set.heard(moment(0), teller(0.004)))
    set.told(moment(0), id, told(0), at(0.002))
    expect(tags(set.told(moment(reason === "duplicate" ? 20 : 64), id, packet, at(64)))[0]).toBe(reason)
  })

  it("is one of so many, beside what lines name", () => {
    const set = newSet(2)
    const from = (address: string) => set.heard(moment(0), { ...teller(), endpoint: { address, port: 123 } })
    expect(tags(from("192.0.2.1"))).toEqual(["Mobilised"])
    expect(tags(from("192.0.2.1"))).toEqual([])
    expect(tags(from("192.0.2.2"))).toEqual(["Mobilised"])
    expect(from("192.0.2.3")).toEqual([{ _tag: "CallerRefused", reason: "full" }])
  })
})
