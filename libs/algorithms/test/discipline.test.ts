import { isSynchronised, Leap, rootDispersionAt } from "@meridian/time/clock-curve"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  ClockDiscipline,
  defaultDisciplineOptions,
  type DisciplineAction,
  type DisciplineOptions
} from "../src/discipline.ts"
import { publishedCurve } from "../src/publication.ts"
import { smearAt } from "../src/smear.ts"
import { type SourceReport, TrackedSource } from "../src/tracked-source.ts"

const report: SourceReport = { stratum: 1, leap: 0, rootDelay: 0, rootDispersion: 1e-5, loop: false }
const configured = (id: string) => ({ id, prefer: false, noselect: false, alwaysTrue: false, minpoll: 6, maxpoll: 10 })

interface Rig {
  readonly discipline: ClockDiscipline
  readonly sources: readonly TrackedSource[]
  /** One poll of every source, all of which say that we are this much off; returns what was done. */
  readonly poll: (now: number, offset: number | readonly (number | undefined)[]) => DisciplineAction
}

const rig = (count = 1, options: Partial<DisciplineOptions> = {}): Rig => {
  const sources = Array.from({ length: count }, (_, i) => new TrackedSource(configured(`s${i}`), 1e-7))
  const discipline = new ClockDiscipline({ ...defaultDisciplineOptions, ...options })
  return {
    discipline,
    sources,
    poll: (now, offset) => {
      for (const [i, source] of sources.entries()) {
        const own = typeof offset === "number" ? offset : offset[i]
        source.polled()
        if (own !== undefined) source.answered({ time: now, offset: own, delay: 0.002, dispersion: 1e-6 }, report)
      }
      return discipline.decide(sources, now).action
    }
  }
}

/** Polls every 64 s from 64 s to the end. */
const polls = (
  { poll }: Rig,
  from: number,
  until: number,
  offset: number | readonly (number | undefined)[]
): DisciplineAction[] => {
  const actions: DisciplineAction[] = []
  for (let now = from; now <= until; now += 64) actions.push(poll(now, offset))
  return actions
}

describe("clock discipline", () => {
  it("waits for three samples, sets the clock, then slews", () => {
    const one = rig()
    expect(one.discipline.rootDistance(0)).toBe(Number.POSITIVE_INFINITY)
    expect(polls(one, 64, 320, 0.3).map((it) => it._tag)).toEqual(["Waiting", "Waiting", "Set", "Slewed", "Slewed"])
    expect(one.discipline.served(320).offset).toBeCloseTo(0.3, 6)
    expect(one.discipline.root).toMatchObject({ peer: "s0", stratum: 2, leap: 0 })
  })

  it("does not believe the first source that is ready while others are on their way", () => {
    const three = rig(3)
    three.poll(64, [5, undefined, undefined])
    three.poll(128, [5, 0, 0])
    expect(three.poll(192, [5, 0, 0])).toEqual({ _tag: "Waiting" })
    expect(three.poll(256, [5, 0, 0])).toMatchObject({ _tag: "Set", offset: expect.closeTo(0, 6) })
  })

  it("waits until half of its sources can be judged, or the silent ones were asked three times in vain", () => {
    const four = rig(4)
    const tags = polls(four, 64, 640, [0, undefined, undefined, undefined]).map((it) => it._tag)
    expect(tags.indexOf("Set")).toBe(3)
    const both = rig(4)
    expect(polls(both, 64, 192, [0, 0, undefined, undefined]).at(-1)?._tag).toBe("Set")
  })

  it("does not wait for a source to which nothing can be sent, and does for one that can be asked meanwhile", () => {
    const five = rig(5)
    for (const source of five.sources.slice(2)) source.isUnaskable = true
    const answers = [0, 0, undefined, undefined, undefined]
    expect(polls(five, 1, 129, answers).at(-1)?._tag).toBe("Set")
    const asked = rig(5)
    for (const source of asked.sources.slice(2)) source.isUnaskable = true
    asked.sources[2]!.isUnaskable = false
    asked.sources[3]!.isUnaskable = false
    expect(polls(asked, 1, 129, [0, undefined, undefined, undefined, undefined]).at(-1)?._tag).toBe("Waiting")
  })

  it("does not wait for ever for a source that answered once", () => {
    const two = rig(2)
    two.poll(64, [0, 0])
    expect(polls(two, 128, 1024, [0, undefined]).some((it) => it._tag === "Set")).toBe(true)
  })

  it("takes a lasting step only after the stepout, and vouches for no less meanwhile", () => {
    const one = rig()
    polls(one, 64, 6400, 0)
    const tags = polls(one, 6464, 8000, 0.5).map((it) => it._tag)
    const spikes = tags.filter((tag) => tag === "Spike").length
    expect(spikes).toBeGreaterThanOrEqual(4)
    expect(tags.filter((tag) => tag === "Stepped")).toHaveLength(1)
    expect(tags.indexOf("Stepped")).toBeGreaterThan(tags.indexOf("Spike"))
    expect(one.discipline.served(8000).offset).toBeCloseTo(0.5, 3)
  })

  it("has a threshold of its own for steps back, and none where that is 0", () => {
    const tagsAfter = (offset: number, options: Partial<DisciplineOptions>): ReadonlySet<string> => {
      const one = rig(1, options)
      polls(one, 64, 6400, 0)
      return new Set(polls(one, 6464, 8000, offset).map((it) => it._tag))
    }
    const lenient = { step: 0.128, stepBack: 1 }
    expect(tagsAfter(-0.5, lenient)).toEqual(new Set(["Slewed"]))
    expect(tagsAfter(0.5, lenient)).toContain("Stepped")
    expect(tagsAfter(-2, lenient)).toContain("Stepped")
    const neverBack = { step: 0.128, stepBack: 0 }
    expect(tagsAfter(-2, neverBack)).toEqual(new Set(["Slewed"]))
    expect(tagsAfter(0.5, neverBack)).toContain("Stepped")
    expect(tagsAfter(2, { step: 0, stepBack: 0.128 })).toEqual(new Set(["Slewed"]))
  })

  it("includes what is in dispute in its bound", () => {
    const one = rig()
    polls(one, 64, 6400, 0)
    const actions = polls(one, 6464, 6720, 0.5)
    expect(actions.at(-1)?._tag).toBe("Spike")
    expect(one.discipline.rootDistance(6720)).toBeGreaterThan(0.5)
    expect(Math.abs(one.discipline.served(6720).offset)).toBeLessThan(0.01)
  })

  it("counts what is still to be slewed into its bound, and lets the curve's bound grow as if the slew ran on", () => {
    const one = rig()
    polls(one, 64, 6400, 0)
    const settled = one.discipline.rootDispersion(6400)
    const actions = polls(one, 6464, 6656, 0.05)
    expect(actions.at(-1)?._tag).toBe("Slewed")
    expect(one.discipline.rootDispersion(6656)).toBeGreaterThan(settled + 0.04)
    const { offset, until } = one.discipline.served(6656)
    expect(Math.abs(offset)).toBeLessThan(0.005)
    expect(until - 6656).toBeGreaterThan(0.04 / 500e-6)
    expect(one.discipline.rootDispersion(until)).toBeLessThan(one.discipline.rootDispersion(6656) - 0.03)
    const curve = publishedCurve(
      one.discipline,
      { seconds: 0, nanoseconds: 0, monotonic: 6656 },
      { referenceId: 1, leap: 0, horizon: 4, distanceLimit: 16, smear: undefined }
    )
    expect(curve.frequency).toBeCloseTo(500e-6, 5)
    expect(curve.dispersionRate - one.discipline.dispersionRate(6656, 4)).toBeCloseTo(500e-6, 5)
  })

  it("never follows over the panic threshold, and says so", () => {
    const fresh = rig()
    expect(polls(fresh, 64, 192, 2000).at(-1)).toMatchObject({ _tag: "Panic", offset: expect.closeTo(2000, 3) })
    expect(fresh.discipline.state).toBe("unset")
    expect(polls(rig(1, { firstMayPanic: true }), 64, 192, 2000).at(-1)?._tag).toBe("Set")
    const set = rig()
    polls(set, 64, 640, 0)
    expect(polls(set, 704, 2000, 2000).at(-1)?._tag).toBe("Panic")
    expect(Math.abs(set.discipline.served(2000).offset)).toBeLessThan(1e-3)
    expect(set.discipline.rootDistance(2000)).toBeGreaterThan(1999)
  })

  it("goes into holdover when nobody answers, with a bound that grows, and out of it again", () => {
    const one = rig()
    polls(one, 64, 6400, 0.1)
    expect(polls(one, 6464, 7100, [undefined]).at(-1)).toMatchObject({ _tag: "Holdover", since: expect.any(Number) })
    expect(one.discipline.state).toBe("holdover")
    const [soon, late] = [one.discipline.rootDispersion(7200), one.discipline.rootDispersion(7200 + 86_400)]
    expect(late - soon).toBeGreaterThan(15e-6 * 86_400)
    expect(one.poll(9000, 0.1)._tag).toBe("Slewed")
    expect(one.discipline.state).toBe("synchronised")
  })

  it("serves the same time on when somebody steps the clock below it", () => {
    const one = rig()
    polls(one, 64, 640, 0.02)
    const before = one.discipline.served(700).offset
    one.discipline.clockStepped(123.25)
    for (const source of one.sources) source.clockStepped(123.25)
    expect(one.discipline.served(700).offset).toBeCloseTo(before - 123.25, 9)
    expect(polls(one, 704, 1280, 0.02 - 123.25).every((it) => it._tag === "Slewed")).toBe(true)
  })

  it("takes the frequency of a drift file before it knows the time", () => {
    const discipline = new ClockDiscipline(defaultDisciplineOptions, 100, 2e-5)
    expect(discipline.served(1100).offset).toBeCloseTo(0.02, 12)
    expect(discipline.tracking(1100)).toBeUndefined()
  })

  it("does not measure a server that says that it has no time", () => {
    const one = rig()
    const source = one.sources[0] as TrackedSource
    source.polled()
    expect(
      source.answered({ time: 1, offset: 9, delay: 0.01, dispersion: 0 }, { ...report, leap: 3, stratum: 16 })
    ).toBe("unsynchronised")
    expect(source.estimate(1)).toBeUndefined()
    expect(one.discipline.decide(one.sources, 1).decision.verdicts[0]?.verdict).toBe("unsynchronised")
    expect(polls(one, 64, 192, 0.01).at(-1)).toMatchObject({ _tag: "Set", offset: expect.closeTo(0.01, 6) })
  })

  it("leaves a server that says that it lost its time, whatever it said before, and follows it when it has it back", () => {
    const one = rig()
    const [source] = one.sources
    polls(one, 64, 640, 0)
    source!.polled()
    source!.unusable({ stratum: 16, leap: 3, rootDelay: 0, rootDispersion: 0 })
    const lost = one.discipline.decide(one.sources, 704)
    expect(lost.action._tag).toBe("Holdover")
    expect(lost.decision.verdicts[0]).toMatchObject({
      verdict: "unsynchronised",
      reason: expect.stringContaining("16")
    })
    expect(one.poll(768, 0)._tag).toBe("Slewed")
    source!.unusable({ stratum: 2, leap: 0, rootDelay: 1, rootDispersion: 20 })
    expect(one.discipline.decide(one.sources, 770).decision.verdicts[0]?.verdict).toBe("distance")
  })

  it("calls a server without time what it says it is for as long as it answers, and unreachable when it does not", () => {
    const one = rig()
    const [source] = one.sources
    const verdict = () => one.discipline.decide(one.sources, 1).decision.verdicts[0]?.verdict
    for (let poll = 0; poll < 20; poll += 1) {
      source!.polled()
      source!.unusable({ stratum: 16, leap: 3, rootDelay: 0, rootDispersion: 0 })
      expect([verdict(), source!.reach]).toEqual(["unsynchronised", 0])
    }
    source!.unusable({ stratum: 2, leap: 0, rootDelay: 0, rootDispersion: 17 })
    expect(verdict()).toBe("distance")
    for (let poll = 0; poll < 8; poll += 1) source!.polled()
    expect(verdict()).toBe("unreachable")
  })

  it("names a verdict for every source it was given", () => {
    const five = rig(5)
    for (let now = 64; now <= 640; now += 64) five.poll(now, [0, 0, 0, 7, 8])
    const { decision } = five.discipline.decide(five.sources, 700)
    expect(decision.verdicts.map((it) => it.verdict).toSorted()).toEqual([
      "candidate",
      "candidate",
      "falseticker",
      "falseticker",
      "system-peer"
    ])
  })

  it("claims no less than its own curve promises until the horizon", () => {
    const one = rig()
    polls(one, 64, 640, 0.01)
    for (const [start, horizon] of [
      [640, 4],
      [650, 64],
      [700, 4096]
    ] as const) {
      const rate = one.discipline.dispersionRate(start, horizon)
      for (let age = 0; age <= horizon; age += horizon / 16) {
        const promised = one.discipline.rootDispersion(start) + rate * age
        expect(promised).toBeGreaterThanOrEqual(one.discipline.rootDispersion(start + age) - 1e-12)
      }
    }
  })

  it("never throws and never says NaN, whatever the samples", () => {
    const value = fc.oneof(fc.double(), fc.double({ min: -1, max: 1, noNaN: true }))
    const step = fc.record({
      offset: value,
      delay: value,
      rootDelay: value,
      rootDispersion: value,
      stratum: fc.integer({ min: -1, max: 17 })
    })
    fc.assert(
      fc.property(fc.array(fc.tuple(step, step), { maxLength: 25 }), (rounds) => {
        const two = rig(2)
        for (const [round, pair] of rounds.entries()) {
          const now = 64 * (round + 1)
          for (const [i, { offset, delay, ...rest }] of pair.entries()) {
            two.sources[i]?.polled()
            two.sources[i]?.answered({ time: now, offset, delay, dispersion: 0 }, { ...report, ...rest })
          }
          two.discipline.decide(two.sources, now)
          expect(two.discipline.served(now).offset).not.toBeNaN()
          expect(two.discipline.rootDistance(now)).not.toBeNaN()
          expect(two.discipline.rootDistance(now)).toBeGreaterThan(0)
        }
      }),
      { numRuns: 60 }
    )
  })
})

describe("published curve", () => {
  const moment = { seconds: 1_800_000_000, nanoseconds: 250_000_000, monotonic: 640 }
  const options = { referenceId: 0x7f000001, leap: Leap.insert, horizon: 8, distanceLimit: 16, smear: undefined }

  it("vouches for nothing before the clock is set, or past the distance limit", () => {
    const one = rig()
    expect(isSynchronised(publishedCurve(one.discipline, moment, options), 640)).toBe(false)
    polls(one, 64, 640, 0.01)
    expect(isSynchronised(publishedCurve(one.discipline, moment, options), 640)).toBe(true)
    const tight = publishedCurve(one.discipline, moment, { ...options, distanceLimit: 1e-6 })
    expect(tight).toMatchObject({ stratum: 16, leap: 3, baseSeconds: moment.seconds })
  })

  it("carries the line, the root values, the leap and a deadline", () => {
    const one = rig()
    polls(one, 64, 630, 0.01)
    const curve = publishedCurve(one.discipline, moment, options)
    expect(curve).toMatchObject({
      stratum: 2,
      leap: 1,
      referenceId: 0x7f000001,
      deadline: 648,
      rootDelay: 0.002,
      baseMonotonic: 640
    })
    expect(curve.offset).toBeCloseTo(0.01, 5)
    // The reference time is that of the last update, which was at 576 s: 64 s before.
    expect([curve.referenceSeconds, curve.referenceNanoseconds]).toEqual([1_799_999_936, 250_000_000])
    expect(rootDispersionAt(curve, 648)).toBeGreaterThanOrEqual(one.discipline.rootDispersion(648))
  })

  it("hides the leap second and marks the reference id while it smears", () => {
    const one = rig()
    polls(one, 64, 640, 0)
    const leap = { at: 1_800_000_000, change: 1 } as const
    const smear = smearAt(86_400, leap, 1_799_956_800)
    const curve = publishedCurve(one.discipline, moment, { ...options, smear })
    expect(curve.leap).toBe(Leap.none)
    expect(curve.referenceId >>> 24).toBe(254)
    expect(curve.offset).toBeCloseTo(-0.5, 5)
    const waiting = publishedCurve(one.discipline, moment, {
      ...options,
      smear: smearAt(86_400, leap, 1_799_900_000)
    })
    expect(waiting).toMatchObject({ leap: Leap.none, referenceId: 0x7f000001 })
  })
})
