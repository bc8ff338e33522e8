/**
 * Leap seconds with the real process. Its clock is not touched: its servers say that it is the last day of 2016, it believes
 * them, and so its served time is what decides.
 */
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { systemClock } from "@meridian/clocks/system-clock"
import { defaultTinker, type DisciplineReport } from "@meridian/ipc/discipline-report"
import { smearOfReferenceId, agrees, type Verdict } from "@meridian/algorithms"
import { type FakeServer, startFakeServer } from "./fake-server.ts"
import { type RunningDiscipline, servedOffset } from "./running-discipline.ts"
import { onStage, type Stage } from "./stage.ts"

/** 2017-01-01T00:00:00Z, after a leap second. */
const LEAP_AT = 1_483_228_800
const HOUR = 3_600
const NTP_UNIX = 2_208_988_800

const clock = systemClock()
const unixNow = (): number => {
  const time = { seconds: 0, nanoseconds: 0 }
  clock.wall.read(time)
  return time.seconds + time.nanoseconds / 1e9
}

/** A world whose time is `before` seconds before the leap second as it begins, and has that leap second when it comes. */
class World {
  shift = NaN
  private readonly before: number
  constructor(before: number, begins = true) {
    this.before = before
    if (begins) this.begin()
  }
  begin(): void {
    this.shift = LEAP_AT - this.before - unixNow()
  }
  /** True time less CLOCK_REALTIME. */
  get offset(): number {
    return unixNow() + this.shift >= LEAP_AT ? this.shift - 1 : this.shift
  }
  /** Servers that announce these leap indicators until it is over, and are silent before the world begins. */
  async servers(stage: Stage, ...leaps: readonly number[]): Promise<readonly FakeServer[]> {
    const starting = leaps.map((leap, index) =>
      startFakeServer(`127.0.2.${index + 1}`, () => {
        const { offset } = this
        if (Number.isNaN(offset)) return undefined
        return { offset, header: { leap: offset === this.shift ? leap : 0 } }
      })
    )
    return (await Promise.all(starting)).map((server) => stage.keep(server))
  }
}

/** A leap second file that names the one of 2016 and no other. */
const writeLeapFile = (stage: Stage, expires: number, altered = false): string => {
  const numbers = [LEAP_AT - 1e7, expires, LEAP_AT - 1e8, LEAP_AT].map((unix) => String(unix + NTP_UNIX))
  const [updated, until, first, second] = numbers
  const hash = createHash("sha1").update(`${updated}${until}${first}36${second}37`).digest("hex").match(/.{8}/g)
  const path = stage.folder.file("leap-seconds.list")
  const last = altered ? 35 : 37
  writeFileSync(path, `#$ ${updated}\n#@ ${until}\n${first} 36\n${second} ${last}\n#h ${hash?.join(" ")}\n`)
  return path
}

const panicOff = { tinker: { ...defaultTinker, panic: 0 } }
const synchronised = (discipline: RunningDiscipline): Promise<DisciplineReport> =>
  discipline.report(({ tracking }) => tracking.state === "synchronised")

describe.concurrent("a leap second that sources announce", () => {
  it.each([
    ["is not shown the day before", 25 * HOUR, [1, 1, 1], 0, "insert"],
    ["is shown on its day", HOUR, [1, 1, 1], 1, "insert"],
    ["to delete is shown as such", HOUR, [2, 2, 2], 2, "delete"],
    ["is shown when two of three agree", HOUR, [1, 0, 1], 1, "insert"],
    ["is not when one of three does", HOUR, [1, 0, 0], 0, undefined],
    ["is not when they are divided", HOUR, [1, 0, 1, 0], 0, undefined],
    ["is not when they contradict each other", HOUR, [1, 2, 0], 0, undefined]
  ] as const)("%s", (_what, before, leaps, shown, armed) =>
    onStage(async (stage) => {
      const world = new World(before)
      const discipline = await stage.follow(await world.servers(stage, ...leaps), panicOff)
      await synchronised(discipline)
      // All of them, since each may change the majority; and twice, since votes are counted a moment after the verdict.
      let agreed = 0
      const { tracking } = await discipline.report(({ tracking: now, sources }) => {
        const all = sources.every(({ verdict }) => agrees(verdict as Verdict))
        agreed = now.state === "synchronised" && all ? agreed + 1 : 0
        return agreed === 2
      })
      expect(tracking.leapArmed).toEqual(armed === undefined ? null : { leap: armed, at: LEAP_AT, origin: "sources" })
      expect(tracking.leap).toBe(shown)
      expect(discipline.page().leap).toBe(shown)
      expect(discipline.warnings).toEqual([])
    })()
  )

  it(
    "comes, once, and served time goes back by a second with the sources'",
    onStage(async (stage) => {
      const world = new World(40, false)
      const discipline = await stage.follow(await world.servers(stage, 1, 1, 1), panicOff)
      // However long the process took to start.
      world.begin()
      await synchronised(discipline)
      expect(discipline.page().leap).toBe(1)
      expect(servedOffset(discipline.page())).toBeCloseTo(world.shift, 1)
      const after = await discipline.report(({ tracking }) => tracking.leapArmed === null && tracking.leap === 0, 120)
      expect(servedOffset(discipline.page())).toBeCloseTo(world.shift - 1, 1)
      // Some seconds later too: it must not be armed and taken again.
      const until = LEAP_AT + 6 - world.shift
      const later = await discipline.report(() => unixNow() > until)
      expect(later.tracking).toMatchObject({ state: "synchronised", leap: 0, leapArmed: null, foreignSteps: 0 })
      expect(after.tracking.steps + later.tracking.steps).toBe(0)
      expect(servedOffset(discipline.page())).toBeCloseTo(world.shift - 1, 1)
      const armings = discipline.events.flatMap((event) => (event._tag === "ArmLeap" ? [event.leap] : []))
      expect(armings).toEqual(["insert", "none"])
    })
  )
})

describe.concurrent("a leap second file", () => {
  it(
    "has more say than all sources",
    onStage(async (stage) => {
      const leapfile = writeLeapFile(stage, LEAP_AT + 1e7)
      const discipline = await stage.follow(await new World(HOUR).servers(stage, 0, 0, 0), { ...panicOff, leapfile })
      const { tracking } = await synchronised(discipline)
      expect(tracking.leapArmed).toEqual({ leap: "insert", at: LEAP_AT, origin: "file" })
      expect(discipline.page().leap).toBe(1)
    })
  )

  it.each([
    ["that has expired", LEAP_AT - 1e6, false, "has expired: the sources' word counts"],
    ["that was altered", LEAP_AT + 1e7, true, "is not used: the numbers hash to"]
  ] as const)("%s is named, and the sources have the say", (_what, expires, altered, warning) =>
    onStage(async (stage) => {
      const leapfile = writeLeapFile(stage, expires, altered)
      const discipline = await stage.follow(await new World(HOUR).servers(stage, 1, 1, 1), { ...panicOff, leapfile })
      await synchronised(discipline)
      const { tracking } = await discipline.report(({ tracking: now }) => now.leapArmed?.origin === "sources")
      expect(tracking.leap).toBe(1)
      expect(discipline.warnings.join()).toContain(warning)
    })()
  )

  it(
    "that is not there is named, and the clock is served",
    onStage(async (stage) => {
      const leapfile = stage.folder.file("no-such-file")
      const discipline = await stage.follow(await stage.fakes({}), { leapfile })
      await synchronised(discipline)
      expect(discipline.page()).toMatchObject({ stratum: 3, leap: 0 })
      expect(discipline.warnings).toEqual([
        expect.stringMatching(/leap second file .*no-such-file cannot be read: it is not there/)
      ])
    })
  )
})

describe.concurrent("a smear", () => {
  it(
    "hides the leap second and marks the reference id, half way through half a second slow",
    onStage(async (stage) => {
      const world = new World(HOUR)
      const discipline = await stage.follow(await world.servers(stage, 1, 1, 1), {
        ...panicOff,
        leapSmearSeconds: 2 * HOUR
      })
      await synchronised(discipline)
      const { tracking } = await discipline.report(({ tracking: now }) => now.leapArmed !== null)
      const page = discipline.page()
      expect(tracking.leapArmed?.leap).toBe("insert")
      expect([tracking.leap, page.leap]).toEqual([0, 0])
      expect(page.referenceId >>> 24).toBe(254)
      expect(smearOfReferenceId(page.referenceId)).toBeCloseTo(-0.5, 1)
      expect(servedOffset(page)).toBeCloseTo(world.shift - 0.5, 1)
    })
  )

  it(
    "that has not begun shows nothing yet",
    onStage(async (stage) => {
      const world = new World(3 * HOUR)
      const discipline = await stage.follow(await world.servers(stage, 1, 1, 1), {
        ...panicOff,
        leapSmearSeconds: 2 * HOUR
      })
      await synchronised(discipline)
      await discipline.report(({ tracking }) => tracking.leapArmed !== null)
      expect(discipline.page().leap).toBe(0)
      expect(discipline.page().referenceId >>> 24).toBe(127)
    })
  )
})
