/** When an association asks, and how kisses change that. */
import { describe, expect, it } from "vitest"
import { Association } from "../src/association.ts"
import { symmetricKey, unauthenticated } from "../src/association-authentication.ts"
import { InvalidAssociationOption } from "../src/association-options.ts"
import { type NtpHeader } from "@meridian/wire/ntp"
import { referenceIdFromText } from "@meridian/wire/reference-id"
import {
  at,
  dropsIn,
  environment,
  moment,
  NO_TIME,
  recordedMacs,
  replyTo,
  SERVER,
  sendIn,
  tags,
  timerIn,
  associate,
  hand,
  headerOf,
  exchange
} from "./association-harness.ts"

const kiss = (code: string, poll = 6): Partial<NtpHeader> => ({
  leap: 3,
  stratum: 0,
  referenceId: referenceIdFromText(code),
  poll
})

describe("a kiss-o'-death", () => {
  it.each([
    ["DENY", "denied"],
    ["RSTR", "restricted"]
  ])("%s ends the association", (code, reason) => {
    const association = associate()
    expect(exchange(association, 0, kiss(code))).toEqual([
      { _tag: "Kiss", code },
      { _tag: "Drop", reason: "kiss" },
      { _tag: "Demobilise", reason }
    ])
    expect(association.poll(moment(64))).toEqual([])
    expect(dropsIn(hand(association, 64, new Uint8Array(48)))).toEqual(["demobilised"])
  })

  it("RATE slows down, by one step at least, as far as the server asks and no further than 1024 s", () => {
    const association = associate({ minpoll: 3, maxpoll: 6, burst: true })
    exchange(association, 0)
    expect(timerIn(exchange(association, 64, kiss("RATE", 0)))).toBe(64 + 16)
    expect(timerIn(exchange(association, 128, kiss("RATE", 8)))).toBe(128 + 256)
    expect(timerIn(exchange(association, 512, kiss("RATE", 127)))).toBe(512 + 1024)
    expect(timerIn(exchange(association, 2048, kiss("RATE", -128)))).toBe(2048 + 1024)
    association.wantPoll(3)
    expect(association.pollExponent).toBe(10)
  })

  it("RATE is obeyed from the first reply on, and starts interleaving over", () => {
    const association = associate({ iburst: true, xleave: true })
    expect(timerIn(exchange(association, 0, kiss("RATE")))).toBe(128)
    exchange(association, 128)
    exchange(association, 256, kiss("RATE"))
    expect(headerOf(sendIn(association.poll(moment(512))).bytes).origin).toBe(0n)
  })

  it("is not believed without our origin", () => {
    const association = associate()
    for (const code of ["DENY", "RSTR", "RATE", "NTSN"]) {
      expect(exchange(association, 0, { ...kiss(code), origin: at(3) })).toEqual([
        { _tag: "Drop", reason: "bogus-origin" }
      ])
      expect(exchange(association, 0, { ...kiss(code), origin: NO_TIME })).toEqual([
        { _tag: "Drop", reason: "zero-origin" }
      ])
    }
    expect(association.pollExponent).toBe(6)
  })

  it("is not believed without the key that was asked with", () => {
    const association = associate({}, symmetricKey(recordedMacs(), 2))
    expect(exchange(association, 0, kiss("DENY"))).toEqual([{ _tag: "Drop", reason: "not-authenticated" }])
    expect(tags(association.poll(moment(64)))).toContain("Send")
  })

  it("that asks for nothing says that the source is not synchronised", () => {
    expect(exchange(associate(), 0, kiss("INIT"))).toEqual([
      { _tag: "Kiss", code: "INIT" },
      expect.objectContaining({ _tag: "Unusable", stratum: 16 }),
      { _tag: "Drop", reason: "unsynchronised" }
    ])
    expect(exchange(associate(), 0, kiss("NTSN"))).toEqual([
      { _tag: "Kiss", code: "NTSN" },
      { _tag: "Drop", reason: "kiss" }
    ])
  })
})

describe("the schedule", () => {
  /** Times of the first requests when those in `answered` (all, unless told) get a reply. */
  const times = (association: Association, count: number, isAnswered: (index: number) => boolean = () => true) => {
    const sent: number[] = []
    let due = 0
    for (let index = 0; index < count; index += 1) {
      sent.push(due)
      const actions = [...association.poll(moment(due))]
      if (isAnswered(index)) {
        const reply = replyTo(sendIn(actions).bytes, at(due + 0.26), at(due + 0.261))
        actions.push(...hand(association, due, reply))
      }
      due = timerIn(actions)
    }
    return sent
  }
  const never = (): boolean => false

  it("polls every 2^minpoll seconds until the discipline wants otherwise, within minpoll and maxpoll", () => {
    const association = associate({ minpoll: 4, maxpoll: 6 })
    expect(times(association, 6)).toEqual([0, 2, 4, 20, 36, 52])
    for (const [wanted, got] of [
      [5, 5],
      [9, 6],
      [-3, 4],
      [NaN, 4],
      [5.4, 5]
    ] as const) {
      association.wantPoll(wanted)
      expect(association.pollExponent).toBe(got)
    }
    expect(times(association, 3)).toEqual([0, 32, 64])
  })

  it("asks a server three times two seconds apart when it answers for the first time, and once when it is back", () => {
    const association = associate()
    expect(times(association, 5)).toEqual([0, 2, 4, 68, 132])
    times(association, 8, never)
    expect(tags(exchange(association, 4096))).toEqual(["ReachabilityChanged", "Sample"])
  })

  it("does not hurry a peer", () => {
    const peer = associate({ mode: "active" })
    expect(timerIn(peer.poll(moment(0)))).toBe(64)
    expect(timerIn(peer.poll(moment(64)))).toBe(64 + 128)
  })

  it("iburst: six requests two seconds apart once the first is answered", () => {
    expect(times(associate({ iburst: true }), 9)).toEqual([0, 2, 4, 6, 8, 10, 74, 138, 202])
  })

  it("iburst: a lost reply does not hold up the rest", () => {
    expect(times(associate({ iburst: true }), 8, (index) => index !== 2)).toEqual([0, 2, 4, 6, 8, 10, 74, 138])
  })

  it("burst: eight requests at each poll while the source answers", () => {
    const sent = times(associate({ burst: true }), 18)
    expect(sent.slice(0, 12)).toEqual([0, 2, 4, 68, 70, 72, 74, 76, 78, 80, 82, 146])
    expect(sent.slice(12, 15)).toEqual([148, 150, 152])
  })

  it("never comes faster than 2^minpoll because of a burst", () => {
    expect(times(associate({ iburst: true, minpoll: 0 }), 4)).toEqual([0, 1, 2, 3])
  })

  it("asks a near source several times a second where its line says so, once it has shown that it is near and answers", () => {
    const near = associate({ minpoll: -3, maxpoll: -3 })
    expect(near.pollExponent).toBe(0)
    const send = sendIn(near.poll(moment(0)))
    expect(tags(near.receive(moment(0.002), replyTo(send.bytes, at(0.26), at(0.261)), at(0.002), SERVER))).toContain(
      "Sample"
    )
    expect(near.pollExponent).toBe(-3)
    expect(timerIn(near.poll(moment(1)))).toBeCloseTo(1.125, 2)
    for (let silent = 0; silent < 8; silent += 1) near.poll(moment(2 + silent))
    expect(near.pollExponent).toBe(0)
  })

  it("asks a far source once a second at most, whatever its line says", () => {
    expect(times(associate({ minpoll: -7, maxpoll: -7 }), 6)).toEqual([0, 1, 2, 3, 4, 5])
  })

  it("asks a dead source ever more rarely up to maxpoll, for ever, and one at a time", () => {
    expect(times(associate({ minpoll: 6, maxpoll: 8 }), 11, never)).toEqual([
      0, 2, 6, 14, 30, 62, 126, 254, 510, 766, 1022
    ])
    const lost = associate({ minpoll: 6, maxpoll: 8 })
    times(lost, 11)
    expect(times(lost, 14, never).slice(8)).toEqual([512, 640, 896, 1152, 1408, 1664])
    const eager = times(associate({ iburst: true, burst: true }), 400, never)
    expect(eager.slice(0, 11)).toEqual([0, 2, 6, 14, 30, 62, 126, 254, 510, 1022, 2046])
    expect(eager[399]! - eager[398]!).toBe(1024)
  })

  it("notices that a source fell silent after eight requests, asks on, and bursts when it is back", () => {
    const association = associate({ iburst: true })
    times(association, 8)
    const reached: number[] = []
    const changes: unknown[] = []
    for (let index = 0; index < 10; index += 1) {
      changes.push(...association.poll(moment(1000 + index)).filter(({ _tag }) => _tag === "ReachabilityChanged"))
      reached.push(association.reach)
    }
    expect(reached).toEqual([0xfe, 0xfc, 0xf8, 0xf0, 0xe0, 0xc0, 0x80, 0, 0, 0])
    expect(changes).toEqual([{ _tag: "ReachabilityChanged", reachable: false, reach: 0 }])
    expect(timerIn(association.poll(moment(1010)))).toBe(1010 + 512)
    const back = exchange(association, 2000)
    expect(tags(back)).toEqual(["ReachabilityChanged", "SetTimer", "Sample"])
    expect(timerIn(back)).toBe(2002)
  })

  it("presend: at long intervals a packet goes two seconds ahead, whose reply is no sample and no poll", () => {
    const association = associate({ minpoll: 5, maxpoll: 6, presend: 6 })
    expect(times(association, 5)).toEqual([0, 2, 4, 36, 68])
    association.wantPoll(6)
    const ahead = association.poll(moment(100))
    expect(sendIn(ahead).isAhead).toBe(true)
    expect(timerIn(ahead)).toBe(102)
    const reply = replyTo(sendIn(ahead).bytes, at(100.26), at(100.261))
    expect(dropsIn(hand(association, 100, reply))).toEqual(["sent-ahead"])
    expect(association.reach).toBe(0b11111)
    const measuring = association.poll(moment(102))
    expect(sendIn(measuring).isAhead).toBe(false)
    expect(timerIn(measuring)).toBe(102 + 64)
    expect(tags(hand(association, 102, replyTo(sendIn(measuring).bytes, at(102.26), at(102.261))))).toContain("Sample")
    expect(sendIn(association.poll(moment(166))).isAhead).toBe(true)
  })

  it("presend: a lost packet ahead costs nothing, and a silent source is asked without", () => {
    const association = associate({ presend: 6 })
    times(association, 3)
    association.poll(moment(68))
    expect(tags(exchange(association, 70))).toEqual(["Sample"])
    expect(association.reach).toBe(0b1111)
    for (let index = 0; index < 16; index += 1) association.poll(moment(134 + index))
    expect(association.reach).toBe(0)
    expect(sendIn(association.poll(moment(1000))).isAhead).toBe(false)
  })

  it("presend: a kiss to the packet ahead is obeyed", () => {
    const association = associate({ presend: 6 })
    times(association, 3)
    expect(timerIn(exchange(association, 68, kiss("RATE")))).toBe(68 + 128)
  })

  it("is jittered by two per cent either way", () => {
    const early = associate({}, unauthenticated, environment([], { random: () => 0 }))
    const late = associate({}, unauthenticated, environment([], { random: () => 1 }))
    for (const association of [early, late]) times(association, 3)
    expect(timerIn(early.poll(moment(100)))).toBeCloseTo(162.72, 9)
    expect(timerIn(late.poll(moment(100)))).toBeCloseTo(165.28, 9)
  })

  it("counts only replies of use as reached", () => {
    const association = associate()
    exchange(association, 0)
    exchange(association, 64, { leap: 3 })
    exchange(association, 128, { rootDispersion: 0xffffffff })
    exchange(association, 192)
    expect(association.reach).toBe(0b1001)
    expect(association.unanswered).toBe(0)
  })

  it.each([
    { minpoll: -8 },
    { maxpoll: 18 },
    { minpoll: 7, maxpoll: 6 },
    { minpoll: 3.5 },
    { version: 0 },
    { version: 5 }
  ])("cannot be made with %o", (options) => {
    expect(() => associate(options)).toThrow(InvalidAssociationOption)
  })
})
