/** The keeper with clocks of the test's own: steps by others, leap seconds, the end of holdover, the local reference. */
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { defaultDisciplineOptions, type LocalOptions, noLocalMode, TrackedSource } from "@meridian/algorithms"
import { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
import { type ClockCurve, Leap, servedTimeAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ClockKeeper } from "../src/clock-keeper.ts"
import { type Reading, unixOf } from "../src/clocks.ts"
import { LeapSeconds } from "../src/leap-seconds.ts"
import { type Folder, makeFolder } from "./running-discipline.ts"

/** 2016-12-31T23:59:00Z, a minute before a leap second. */
const BEFORE_LEAP = 1_483_228_740
const LEAP_AT = BEFORE_LEAP + 60

let folder: Folder
let page: ClockPageWriter
/** CLOCK_REALTIME is `wall` at monotonic 0, and runs right. */
let wall: number
let monotonic: number
/** Seconds that the machine slept. */
let slept: number
const read = (): Reading => {
  const unix = wall + monotonic
  const seconds = Math.floor(unix)
  return { seconds, nanoseconds: Math.round((unix - seconds) * 1e9), monotonic }
}

beforeEach(() => {
  folder = makeFolder()
  page = new ClockPageWriter(folder.page.writable)
  wall = BEFORE_LEAP - 100
  page.begin({ seconds: wall, nanoseconds: 0 })
  monotonic = 100
  slept = 0
})
afterEach(() => {
  page.close()
  folder.remove()
})

interface Options {
  readonly local?: LocalOptions
  readonly hasSources?: boolean
  readonly leaps?: LeapSeconds
}

const noLeaps = (): LeapSeconds => new LeapSeconds(null, 0, () => {})
const keeperWith = ({ local = noLocalMode, hasSources = true, leaps = noLeaps() }: Options = {}): ClockKeeper =>
  new ClockKeeper(
    { discipline: { ...defaultDisciplineOptions, minpoll: 0, maxpoll: 0 }, frequency: 0, local, hasSources },
    page,
    new ClockPageReader(folder.page.readable),
    read,
    leaps,
    () => monotonic + slept
  )

const source = (): TrackedSource =>
  new TrackedSource(
    { id: "192.0.2.1", prefer: false, noselect: false, alwaysTrue: false, minpoll: 0, maxpoll: 0 },
    2 ** -20
  )

/** A second passes, and the source says how far true time is from CLOCK_REALTIME. */
const measure = (keeper: ClockKeeper, tracked: TrackedSource, offset: number, leap: number = Leap.none): void => {
  monotonic += 1
  tracked.polled()
  const report = { stratum: 2, leap, rootDelay: 0, rootDispersion: 0, loop: false }
  const fromUncorrected = offset + keeper.added(monotonic)
  tracked.answered({ time: monotonic, offset: fromUncorrected, delay: 1e-4, dispersion: 1e-6 }, report)
  keeper.decide([tracked])
}
const measures = (count: number, ...args: Parameters<typeof measure>): void => {
  for (let done = 0; done < count; done += 1) measure(...args)
}

const onPage = (): ClockCurve => {
  const curve = unsynchronisedCurve()
  new ClockPageReader(folder.page.readable).readInto(curve)
  return curve
}

describe("the page", () => {
  it("holds the source's offset, its stratum plus one and its reference id", () => {
    const keeper = keeperWith()
    measures(5, keeper, source(), 0.25)
    expect(onPage()).toMatchObject({ stratum: 3, referenceId: 0xc0000201, leap: Leap.none })
    expect(onPage().offset).toBeCloseTo(0.25, 5)
    expect(onPage().deadline).toBeGreaterThan(monotonic)
  })

  it("vouches for nothing once holdover has made the bound too wide", () => {
    const keeper = keeperWith()
    const tracked = source()
    measures(5, keeper, tracked, 0.25)
    tracked.reach = 0
    keeper.decide([tracked])
    expect(keeper.discipline.state).toBe("holdover")
    keeper.publish()
    expect(onPage().stratum).toBe(3)
    monotonic += 5e5
    keeper.publish()
    expect(onPage()).toMatchObject({ stratum: 16, leap: Leap.unsynchronised })
  })

  it("rests while its line goes on as it is, and has the end of a slew as soon as a tick is there", () => {
    const keeper = keeperWith()
    const tracked = source()
    expect(keeper.restsFor(1.25)).toBe(false)
    measures(5, keeper, tracked, 0.25)
    measure(keeper, tracked, 0.2505)
    const slewing = onPage().frequency
    const ticks = Array.from({ length: 120 }, () => {
      const passed = keeper.restsFor(1.25) ? 1 : 0.25
      monotonic += passed
      keeper.renew()
      const { frequency, baseMonotonic } = onPage()
      return { passed, slews: frequency === slewing, age: monotonic - baseMonotonic }
    })
    const over = ticks.findIndex(({ slews }) => !slews)
    expect(keeper.discipline.served(monotonic).until).toBe(Number.POSITIVE_INFINITY)
    expect(ticks[over]?.passed).toBe(0.25)
    expect(ticks.slice(over + 1).every(({ passed, slews }) => passed === 1 && !slews)).toBe(true)
    expect(Math.max(...ticks.map(({ age }) => age))).toBeLessThan(1)
  })

  it("goes on from the last estimate as the local reference when holdover has expired", () => {
    const keeper = keeperWith({ local: { ...noLocalMode, localStratum: 11 } })
    const tracked = source()
    measures(5, keeper, tracked, 0.25)
    tracked.reach = 0
    keeper.decide([tracked])
    monotonic += 5e5
    keeper.publish()
    expect(onPage()).toMatchObject({ stratum: 11, referenceId: 0x7f7f0100 })
    expect(onPage().offset).not.toBe(0)
    expect(keeper.isLocal).toBe(true)
  })
})

describe("CLOCK_REALTIME set by somebody else", () => {
  it.each([3_600, -5, 0.02])("by %d s is noticed at the next look, and served time stays before and after", (step) => {
    const keeper = keeperWith()
    const tracked = source()
    measures(6, keeper, tracked, 0.25)
    const served = keeper.served(monotonic)
    wall += step
    keeper.publish()
    expect(keeper.served(monotonic)).toEqual(served)
    expect(servedTimeAt(onPage(), monotonic)).toEqual(served)
    expect(keeper.watchRealtime()).toEqual({ _tag: "Stepped", seconds: expect.closeTo(step, 5) })
    keeper.publish()
    expect(servedTimeAt(onPage(), monotonic)).toEqual(served)
    expect(wall + monotonic + keeper.correction(monotonic)).toBeCloseTo(served.seconds + served.nanoseconds / 1e9, 5)
    expect(keeper.foreignSteps).toBe(1)
    expect(keeper.watchRealtime()._tag).toBe("Steady")
    measures(3, keeper, tracked, 0.25 - step)
    expect(keeper.discipline.state).toBe("synchronised")
    expect(keeper.steps).toBe(0)
    expect(keeper.correction(monotonic)).toBeCloseTo(0.25 - step, 4)
    expect(onPage().offset).toBeCloseTo(0.25, 4)
  })

  it("is not seen in a clock that is slewed", () => {
    const keeper = keeperWith()
    for (let tick = 0; tick < 100; tick += 1) {
      monotonic += 0.25
      wall += 2e-5
      expect(keeper.watchRealtime()._tag).toBe("Steady")
    }
  })

  it("while nobody watched does not show, neither on the page that was left behind nor once it is kept again", () => {
    const first = keeperWith()
    measures(5, first, source(), 0.25)
    const left = onPage()
    wall += 7
    monotonic += 1
    const second = keeperWith()
    expect(onPage()).toEqual(left)
    const tracked = source()
    measures(6, second, tracked, 0.25 - 7)
    expect(second.discipline.state).toBe("synchronised")
    expect(onPage().offset).toBeCloseTo(0.25, 4)
    expect(second.correction(monotonic)).toBeCloseTo(0.25 - 7, 4)
  })

  it("before there was ever good time is taken up: who was told to set the clock has set it", () => {
    wall -= 5_000
    page.begin({ seconds: wall, nanoseconds: 0 })
    const keeper = keeperWith()
    const tracked = source()
    measures(4, keeper, tracked, 5_000.25)
    expect(keeper.discipline.state).toBe("unset")
    wall += 5_000
    expect(keeper.watchRealtime()).toEqual({ _tag: "Reset", seconds: expect.closeTo(5_000, 5) })
    tracked.clockStepped(5_000)
    measures(4, keeper, tracked, 0.25)
    expect(onPage()).toMatchObject({ stratum: 3, offset: expect.closeTo(0.25, 4) })
    expect(onPage().baseSeconds).toBe(Math.floor(wall + monotonic))
  })

  it("does not show where this machine's own clock is served, whoever keeps the page", () => {
    const options = { local: { ...noLocalMode, localStratum: 5 }, hasSources: false } as const
    const first = keeperWith(options)
    first.publish()
    const began = wall
    wall += 3_600
    first.watchRealtime()
    first.publish()
    monotonic += 10
    const second = keeperWith(options)
    second.publish()
    expect(onPage()).toMatchObject({ stratum: 5, offset: 0 })
    expect(servedTimeAt(onPage(), monotonic)).toEqual({ seconds: began + monotonic, nanoseconds: 0 })
  })
})

describe("a machine that slept", () => {
  it("knows nothing of its clock any more, and says so", () => {
    const keeper = keeperWith()
    measures(5, keeper, source(), 0.25)
    expect(onPage().stratum).toBe(3)
    // CLOCK_REALTIME comes back from a clock of whole seconds.
    slept += 60
    wall += 60.4
    expect(keeper.watchRealtime()).toEqual({ _tag: "Slept", seconds: expect.closeTo(60, 5) })
    expect(onPage()).toMatchObject({ stratum: 16, leap: Leap.unsynchronised })
    expect(keeper.foreignSteps).toBe(0)
  })
})

describe("a page left behind", () => {
  it.each([0.21, 0.29])(
    "stays in force until there is something better, and the difference is worked off to %f",
    (to) => {
      measures(5, keeperWith(), source(), 0.25)
      const second = keeperWith()
      const tracked = source()
      second.publish()
      expect(onPage().offset).toBeCloseTo(0.25, 4)
      measures(3, second, tracked, to)
      const { offset, referenceSeconds: seconds, referenceNanoseconds: nanoseconds } = onPage()
      expect(offset).toBeCloseTo(0.25, 2)
      // The correction was at this moment, not a difference later.
      expect(unixOf({ seconds, nanoseconds })).toBeCloseTo(unixOf(servedTimeAt(onPage(), monotonic)), 5)
      const bound = (): number => onPage().rootDelay / 2 + onPage().rootDispersion
      expect(bound()).toBeGreaterThan(Math.abs(onPage().offset - to))
      measures(120, second, tracked, to)
      expect(onPage().offset).toBeCloseTo(to, 4)
    }
  )

  it("counts no longer once its deadline has passed", () => {
    measures(5, keeperWith(), source(), 0.25)
    monotonic += 60
    const second = keeperWith()
    second.publish()
    expect(onPage().stratum).toBe(16)
  })
})

describe("a leap second", () => {
  const pass = (keeper: ClockKeeper, tracked: TrackedSource): number => {
    const leapt = keeper.passLeapSecond()
    if (leapt !== 0) tracked.clockStepped(leapt)
    keeper.publish()
    return leapt
  }

  it("that the sources announce is shown, and taken when it comes", () => {
    const leaps = noLeaps()
    const keeper = keeperWith({ leaps })
    const tracked = source()
    for (let second = 0; second < 5; second += 1) {
      measure(keeper, tracked, 0.25, Leap.insert)
      pass(keeper, tracked)
    }
    expect(onPage().leap).toBe(Leap.insert)
    expect(leaps.armed).toEqual({ at: 1_483_228_800, change: 1, origin: "sources" })
    let leapt = 0
    while (wall + monotonic < 1_483_228_802) {
      monotonic += 0.25
      leapt += pass(keeper, tracked)
    }
    expect(leapt).toBe(1)
    expect(onPage().offset).toBeCloseTo(0.25 - 1, 4)
    expect(onPage().leap).toBe(Leap.none)
    measures(5, keeper, tracked, -0.75)
    expect(keeper.discipline.state).toBe("synchronised")
    expect(onPage().offset).toBeCloseTo(-0.75, 4)
  })

  it("is taken once, although sources and file go on naming it while the inserted second runs", () => {
    const numbers = [LEAP_AT - 1e7, LEAP_AT + 1e7, LEAP_AT - 1e8, LEAP_AT].map((unix) => unix + 2_208_988_800)
    const [updated, expires, first, second] = numbers
    const hash = createHash("sha1").update(`${updated}${expires}${first}36${second}37`).digest("hex").match(/.{8}/g)
    const text = `#$ ${updated}\n#@ ${expires}\n${first} 36\n${second} 37\n#h ${hash?.join(" ")}\n`
    writeFileSync(folder.file("leap"), text)
    for (const path of [null, folder.file("leap")]) {
      wall = BEFORE_LEAP - 100
      monotonic = 100
      const leaps = new LeapSeconds(path, 0, (message) => expect(message).toBe(""))
      const keeper = keeperWith({ leaps })
      const tracked = source()
      measures(5, keeper, tracked, 0, Leap.insert)
      const leapt: number[] = []
      while (wall + monotonic < LEAP_AT + 10) {
        const hasLeapt = leapt.some((seconds) => seconds !== 0)
        measure(keeper, tracked, hasLeapt ? -1 : 0, Leap.insert)
        leapt.push(pass(keeper, tracked))
      }
      expect(leapt.filter((seconds) => seconds !== 0)).toEqual([1])
      expect(onPage().offset).toBeCloseTo(-1, 4)
    }
  })

  it("that is deleted is taken as its second begins", () => {
    const keeper = keeperWith()
    const tracked = source()
    measures(5, keeper, tracked, 0, Leap.delete)
    let leaptAt = 0
    while (wall + monotonic < LEAP_AT + 2) {
      monotonic += 0.25
      if (pass(keeper, tracked) !== 0) leaptAt = wall + monotonic
    }
    expect(leaptAt).toBe(LEAP_AT - 1)
    expect(onPage().offset).toBeCloseTo(1, 4)
  })

  it("that is smeared is never shown, and ends where a stepping clock ends", () => {
    const keeper = keeperWith({ leaps: new LeapSeconds(null, 40, () => {}) })
    const tracked = source()
    measures(5, keeper, tracked, 0, Leap.insert)
    let lastOffset = 0
    let greatest = 0
    while (wall + monotonic < 1_483_228_802) {
      monotonic += 0.25
      pass(keeper, tracked)
      const { offset, leap, referenceId } = onPage()
      expect(leap).toBe(Leap.none)
      const isUnderWay = offset < -0.01 && offset > -0.99
      expect(isUnderWay ? referenceId >>> 24 : 254).toBe(254)
      greatest = Math.max(greatest, Math.abs(offset - lastOffset))
      lastOffset = offset
    }
    expect(greatest).toBeLessThan(0.02)
    expect(onPage().offset).toBeCloseTo(-1, 3)
    expect(onPage().referenceId).toBe(0xc0000201)
  })
})

describe("the local reference", () => {
  const local = { ...noLocalMode, localStratum: 10 }

  it("alone is served at once", () => {
    keeperWith({ local, hasSources: false }).publish()
    expect(onPage()).toMatchObject({ stratum: 10, offset: 0 })
  })

  it("beside sources that do not answer is served after some patience", () => {
    const keeper = keeperWith({ local })
    keeper.publish()
    expect(onPage().stratum).toBe(16)
    monotonic += 21
    keeper.publish()
    expect(onPage().stratum).toBe(10)
  })

  it("is served on to a peer that follows it, and answers with what it heard", () => {
    const keeper = keeperWith({ local })
    monotonic += 21
    const tracked = source()
    for (let second = 0; second < 10; second += 1) {
      monotonic += 1
      tracked.polled()
      const report = { stratum: 11, leap: Leap.none, rootDelay: 0, rootDispersion: 0, loop: true }
      tracked.answered({ time: monotonic, offset: 0, delay: 1e-4, dispersion: 1e-6 }, report)
      keeper.decide([tracked])
      expect(onPage().stratum).toBe(10)
    }
  })

  it("does not overrule sources that answer and are not believed", () => {
    const keeper = keeperWith({ local })
    const tracked = source()
    for (let second = 0; second < 60; second += 1) {
      monotonic += 1
      tracked.polled()
      // Stratum 0 and 16 never get here; a source outside tos floor … ceiling does.
      const report = { stratum: 16, leap: Leap.none, rootDelay: 0, rootDispersion: 0, loop: false }
      tracked.answered({ time: monotonic, offset: 0, delay: 1e-4, dispersion: 1e-6 }, report)
      keeper.decide([tracked])
    }
    expect(onPage().stratum).toBe(16)
    expect(keeper.isLocal).toBe(false)
  })
})
