import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { cluster, type ClusterCandidate } from "../src/cluster.ts"
import { combine } from "../src/combine.ts"
import { type CorrectnessInterval, intersect, select } from "../src/selection.ts"

const interval = (low: number, high: number): CorrectnessInterval => ({
  offset: (low + high) / 2,
  distance: (high - low) / 2
})

/** Powers of two keep offset ± distance exact, so that containment can be asserted without a tolerance. */
const exact = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min: min * 256, max: max * 256 }).map((it) => it / 256)

const holdingZero = fc
  .tuple(exact(0, 4), exact(-1, 1))
  .map(([distance, share]): CorrectnessInterval => ({ distance, offset: distance * share }))
const away = fc
  .tuple(exact(0, 4), exact(1, 20), fc.boolean())
  .map(([distance, gap, below]): CorrectnessInterval => ({ distance, offset: (below ? -1 : 1) * (distance + gap) }))
/** A majority that holds zero and a minority that does not, in any order. */
const mostlyTrue = fc
  .integer({ min: 0, max: 4 })
  .chain((falsetickers) =>
    fc.tuple(
      fc.array(holdingZero, { minLength: falsetickers + 1, maxLength: falsetickers + 5 }),
      fc.array(away, { minLength: falsetickers, maxLength: falsetickers })
    )
  )

describe("intersection (RFC 5905 §11.2.1)", () => {
  it("finds the common part of three that agree", () => {
    expect(intersect([interval(0, 10), interval(4, 10), interval(2, 8)], "midpoint")).toEqual({
      low: 4,
      high: 8,
      allowed: 0
    })
  })

  it("calls one of four false when it stands alone", () => {
    const outcome = select([interval(9, 13), interval(11, 13), interval(10, 12), interval(20, 22)], "midpoint")
    expect(outcome).toEqual({
      _tag: "Agreed",
      intersection: { low: 11, high: 12, allowed: 1 },
      rivals: [],
      truechimers: [0, 1, 2],
      falsetickers: [3]
    })
  })

  it("goes on to more falsetickers while midpoints lie outside the intersection", () => {
    // All three overlap in 9 … 10, but no midpoint lies there (5, 14.5, 15): three midpoints outside are not allowed
    // with none false, and two false would be no majority.
    expect(intersect([interval(0, 10), interval(9, 20), interval(9, 21)], "midpoint")).toEqual({
      low: 9,
      high: 20,
      allowed: 1
    })
    expect(intersect([interval(0, 10), interval(9, 20), interval(-10, 9)], "midpoint")).toBeUndefined()
  })

  it("takes a lone source at its word and sees no majority among two that disagree", () => {
    expect(select([interval(3, 5)], "midpoint")).toMatchObject({ _tag: "Agreed", truechimers: [0] })
    expect(select([interval(0, 1), interval(2, 3)], "midpoint")).toEqual({ _tag: "NoMajority", sources: 2 })
    expect(select([], "midpoint")).toEqual({ _tag: "NoSources" })
  })

  it("lets intervals that touch agree, and exact clocks too", () => {
    expect(select([interval(5, 5), interval(5, 5), interval(5, 5)], "midpoint")).toMatchObject({
      intersection: { low: 5, high: 5, allowed: 0 }
    })
  })

  it("counts what is no interval as false", () => {
    const bad = [Number.NaN, Number.POSITIVE_INFINITY].map((offset) => ({ offset, distance: 1 }))
    const negative = { offset: 0, distance: -1 }
    expect(select([...bad, interval(0, 2)], "midpoint")).toEqual({ _tag: "NoMajority", sources: 3 })
    expect(select([negative, interval(0, 2), interval(0, 2)], "midpoint")).toMatchObject({
      truechimers: [1, 2],
      falsetickers: [0]
    })
  })

  it("does not care for the order of sources", () => {
    fc.assert(
      fc.property(
        fc
          .array(fc.oneof(holdingZero, away), { minLength: 1, maxLength: 9 })
          .chain((all) =>
            fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }))
          ),
        ([all, shuffled]) => {
          expect(intersect(shuffled, "midpoint")).toEqual(intersect(all, "midpoint"))
        }
      )
    )
  })

  it("always agrees on something when all hold the truth, and holds it", () => {
    fc.assert(
      fc.property(fc.array(holdingZero, { minLength: 1, maxLength: 9 }), (all) => {
        const found = intersect(all, "midpoint")
        expect(found?.allowed === 0 && (found.low > 0 || found.high < 0)).toBe(false)
      })
    )
  })

  it("a false minority never pulls the RFC's intersection out of what some truechimer claims", () => {
    fc.assert(
      fc.property(mostlyTrue, ([good, bad]) => {
        const found = intersect([...bad, ...good], "midpoint")
        for (const end of found === undefined ? [] : [found.low, found.high])
          expect(good.some(({ offset, distance }) => Math.abs(end - offset) <= distance)).toBe(true)
      })
    )
  })
})

describe("selection by overlap", () => {
  it("keeps the near source when two far ones are asymmetric the same way, where the midpoint rule throws it out", () => {
    const near: CorrectnessInterval = { offset: -0.001, distance: 0.0025 }
    const far: CorrectnessInterval = { offset: 0.5, distance: 0.5005 }
    expect(select([near, far, far], "overlap")).toMatchObject({ truechimers: [0, 1, 2], falsetickers: [] })
    expect(select([near, far, far], "midpoint")).toMatchObject({ falsetickers: [0] })
  })

  it("agrees with the midpoint rule on a source that stands alone", () => {
    const all = [interval(9, 13), interval(11, 13), interval(10, 12), interval(20, 22)]
    expect(select(all, "overlap")).toMatchObject({ intersection: { low: 11, high: 12, allowed: 1 }, falsetickers: [3] })
  })

  it("calls no more false than it allowed, and no truechimer when all hold the truth", () => {
    fc.assert(
      fc.property(mostlyTrue, ([good, bad]) => {
        const outcome = select([...good, ...bad], "overlap")
        const agreed = outcome._tag === "Agreed" && outcome.rivals.length === 0 ? outcome : undefined
        expect(agreed?.falsetickers.length ?? 0).toBeLessThanOrEqual(agreed?.intersection.allowed ?? 0)
        expect(select(good, "overlap")).toMatchObject({ falsetickers: [] })
      })
    )
  })

  it("takes no side between two majorities that only a vague source makes: what agrees with both holds for sure", () => {
    const [vague, near, far] = [interval(-8, 8), interval(-1, 1), interval(4, 6)]
    expect(select([vague, near, far], "overlap")).toMatchObject({
      intersection: { low: -1, high: 6, allowed: 1 },
      truechimers: [0],
      falsetickers: [1, 2]
    })
    // One more on either side decides.
    expect(select([vague, near, far, near], "overlap")).toMatchObject({ truechimers: [0, 1, 3], falsetickers: [2] })
    expect(select([interval(-8, 5), interval(3, 12), near, interval(10, 11)], "overlap")).toMatchObject({
      _tag: "NoMajority"
    })
  })

  it("follows nobody of a minority that agrees among itself, however vague some of the majority are", () => {
    const few = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(few, fc.nat(4), few, fc.infiniteStream(exact(-1, 1)), (sharp, vague, liars, shift) => {
        fc.pre(liars < sharp + vague)
        const moved = (offset: number, distance: number) => ({ offset: offset + shift.next().value!, distance })
        const outcome = select(
          [
            ...Array.from({ length: liars }, () => moved(40, 3)),
            ...Array.from({ length: sharp }, () => moved(0, 3)),
            ...Array.from({ length: vague }, () => moved(0, 100))
          ],
          "overlap"
        )
        const taken = outcome._tag === "Agreed" ? outcome.truechimers : []
        expect(taken.filter((index) => index < liars)).toEqual([])
      })
    )
  })

  it("never ends outside what some truechimer claims", () => {
    fc.assert(
      fc.property(mostlyTrue, ([good, bad]) => {
        const found = intersect([...bad, ...good], "overlap")
        for (const end of [found?.low ?? Number.NaN, found?.high ?? Number.NaN])
          expect(good.some(({ offset, distance }) => Math.abs(end - offset) <= distance)).toBe(true)
      })
    )
  })
})

const candidate = (offset: number, jitter: number, more: Partial<ClusterCandidate> = {}): ClusterCandidate => ({
  offset,
  jitter,
  distance: 0.01,
  stratum: 2,
  keep: false,
  ...more
})

describe("clustering (RFC 5905 §11.2.2)", () => {
  it("drops the one farthest from the rest while that beats the best jitter", () => {
    const outcome = cluster(
      [candidate(0, 1e-4), candidate(1e-4, 1e-4), candidate(0.02, 1e-4), candidate(-1e-4, 1e-4)],
      1,
      3
    )
    expect(outcome.survivors).toEqual([3, 0, 1])
    expect(outcome.outliers).toHaveLength(1)
    // phi of the third: sqrt((0.02² + 0.0199² + 0.0201²) / 3).
    expect(outcome.outliers[0]).toMatchObject({
      index: 2,
      selectionJitter: expect.closeTo(Math.sqrt((0.02 ** 2 + 0.0199 ** 2 + 0.0201 ** 2) / 3), 12)
    })
  })

  it("stops at minclock, and when dropping would not help", () => {
    expect(cluster([candidate(0, 1e-9), candidate(1, 1e-9), candidate(2, 1e-9)], 1, 3).outliers).toEqual([])
    expect(
      cluster(
        [0, 1, 2, 3, 4].map((offset) => candidate(offset, 10)),
        1,
        3
      ).outliers
    ).toEqual([])
  })

  it("orders by stratum, then by distance", () => {
    const outcome = cluster(
      [
        candidate(0, 1, { stratum: 3, distance: 0.001 }),
        candidate(0, 1, { distance: 0.9 }),
        candidate(0, 1, { distance: 0.1 })
      ],
      1,
      3
    )
    expect(outcome.survivors).toEqual([2, 1, 0])
  })

  it("never drops what must be kept", () => {
    const outcome = cluster(
      [candidate(0, 1e-6), candidate(1, 1e-6, { keep: true }), candidate(0, 1e-6), candidate(1e-5, 1e-6)],
      1,
      1
    )
    expect(outcome.survivors).toContain(1)
  })

  it("does not care for the order of candidates", () => {
    const some = fc.array(fc.tuple(exact(-1, 1), exact(0, 1), fc.integer({ min: 1, max: 4 })), {
      minLength: 1,
      maxLength: 8
    })
    fc.assert(
      fc.property(some, (values) => {
        const all = values.map(([offset, jitter, stratum], index) =>
          candidate(offset, jitter, { stratum, distance: 0.01 + index / 1000 })
        )
        const forwards = cluster(all, 1, 3).survivors.map((index) => all[index])
        const reversed = all.toReversed()
        expect(cluster(reversed, 1, 3).survivors.map((index) => reversed[index])).toEqual(forwards)
      })
    )
  })
})

describe("combining (RFC 5905 §11.2.3)", () => {
  it("weighs by the reciprocal of the distance", () => {
    const combined = combine([
      { offset: 0, distance: 0.1, jitter: 0 },
      { offset: 0.3, distance: 0.2, jitter: 0 }
    ])
    // Weights 10 and 5: (0·10 + 0.3·5) / 15 = 0.1, jitter sqrt(5·0.09 / 15).
    expect(combined?.offset).toBeCloseTo(0.1, 12)
    expect(combined?.jitter).toBeCloseTo(Math.sqrt(0.03), 12)
  })

  it("stays within the hull of the offsets", () => {
    const member = fc.record({
      offset: exact(-1000, 1000),
      distance: fc.double({ min: 1e-6, max: 16, noNaN: true }),
      jitter: exact(0, 1)
    })
    fc.assert(
      fc.property(fc.array(member, { minLength: 1, maxLength: 12 }), (members) => {
        const offsets = members.map((it) => it.offset)
        const offset = combine(members)?.offset ?? Number.NaN
        const slack = 1e-9
        expect(offset).toBeGreaterThanOrEqual(Math.min(...offsets) - slack)
        expect(offset).toBeLessThanOrEqual(Math.max(...offsets) + slack)
      })
    )
  })

  it("gives nothing rather than a number that is none", () => {
    const good = { offset: 0, distance: 1, jitter: 0 }
    expect(combine([])).toBeUndefined()
    for (const bad of [
      { offset: Number.NaN },
      { distance: 0 },
      { distance: -1 },
      { distance: Number.NaN },
      { offset: Number.NEGATIVE_INFINITY }
    ])
      expect(combine([good, { ...good, ...bad }])).toBeUndefined()
  })
})
