/** The drift file, the leap second file, events on their way out: good ones and bad ones. */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { readFileSync, statSync, writeFileSync } from "node:fs"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { ClockDecision } from "@meridian/events"
import { ClockEventOutbox } from "../src/clock-event-outbox.ts"
import { DriftFile } from "../src/drift-file.ts"
import { leapMoment, LeapSeconds } from "../src/leap-seconds.ts"
import { foldClock } from "./clock-fold.ts"
import { type Folder, makeFolder } from "./running-discipline.ts"

let folder: Folder
beforeEach(() => {
  folder = makeFolder()
})
afterEach(() => folder.remove())

describe("the drift file", () => {
  it("is read back as it was written, in ppm", () => {
    new DriftFile(folder.file("drift")).save(-12.3456789e-6)
    expect(readFileSync(folder.file("drift"), "utf8")).toBe("-12.345679\n")
    expect(new DriftFile(folder.file("drift")).read()).toMatchObject({ value: expect.closeTo(-12.345679e-6, 12) })
  })

  it("may be absent, and is not written for a change that is none", () => {
    const drift = new DriftFile(folder.file("drift"))
    expect(drift.read()).toBeUndefined()
    drift.save(1e-6)
    const before = statSync(folder.file("drift")).ino
    drift.save(1e-6 + 1e-12)
    expect(statSync(folder.file("drift")).ino).toBe(before)
  })

  it("takes a number with what older programs wrote after it, and nothing else for a number", () => {
    for (const text of ["4.5 1\n", "  4.5\n"]) {
      writeFileSync(folder.file("drift"), text)
      expect(new DriftFile(folder.file("drift")).read()).toMatchObject({ value: expect.closeTo(4.5e-6, 12) })
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        writeFileSync(folder.file("drift"), text)
        const found = new DriftFile(folder.file("drift")).read()
        const isFit = typeof found === "object" ? Math.abs(found.value) <= 500e-6 : found?.includes("ignored")
        expect(isFit).toBe(true)
      }),
      { numRuns: 100 }
    )
  })
})

describe("the leap second file", () => {
  const OFFSET = 2_208_988_800
  const LEAP_AT = 1_483_228_800
  /** Tells of the leap second at the end of 2016. */
  const text = (expires: number, altered = false): string => {
    const numbers = [
      `${LEAP_AT + OFFSET - 1e7}`,
      `${expires + OFFSET}`,
      "3644697600",
      "36",
      `${LEAP_AT + OFFSET}`,
      "37"
    ]
    const sum = createHash("sha1").update(numbers.join("")).digest("hex")
    const [updated, until, first, tai, second, next] = numbers
    const hash = sum.match(/.{8}/g)?.join(" ")
    return `#$ ${updated}\n#@ ${until}\n${first} ${tai}\n${second} ${altered ? "35" : next}\n#h ${hash}\n`
  }
  const load = (content: string, unix: number, ignore = false): { leaps: LeapSeconds; warnings: string[] } => {
    writeFileSync(folder.file("leap"), content)
    const warnings: string[] = []
    const leaps = new LeapSeconds(folder.file("leap"), 0, (message) => warnings.push(message), ignore)
    leaps.update(unix)
    return { leaps, warnings }
  }

  it("arms in the last day, whatever the sources say", () => {
    const { leaps, warnings } = load(text(LEAP_AT + 1e7), LEAP_AT - 3_600)
    leaps.hear([0, 0, 0])
    leaps.update(LEAP_AT - 3_599)
    expect(warnings).toEqual([])
    expect(leaps.armed).toEqual({ at: LEAP_AT, change: 1, origin: "file" })
    expect(leaps.indicator(LEAP_AT - 3_599)).toBe(1)
    expect(load(text(LEAP_AT + 1e7), LEAP_AT - 90_000).leaps.armed).toBeUndefined()
  })

  it("is taken without a hash, or with a wrong one, where the line says `ignorehash`", () => {
    const content = text(LEAP_AT + 1e7)
    for (const changed of [
      content.replace(/#h .*/, ""),
      content.replace(/#h .*/, "#h none"),
      content.replace("#h ", "#h 0")
    ]) {
      expect(load(changed, LEAP_AT - 3_600).leaps.armed).toBeUndefined()
      const { leaps, warnings } = load(changed, LEAP_AT - 3_600, true)
      expect({ armed: leaps.armed?.origin, warnings }).toEqual({ armed: "file", warnings: [] })
    }
    expect(load("nonsense", LEAP_AT, true).warnings).toEqual([expect.stringContaining("is not used: line 1")])
  })

  it("that has expired, is altered or is missing is said to be, and the sources count", () => {
    const expired = load(text(LEAP_AT - 1e6), LEAP_AT - 3_600)
    expect(expired.warnings).toEqual([expect.stringContaining("has expired")])
    expired.leaps.hear([1, 1, 0])
    expired.leaps.update(LEAP_AT - 3_599)
    expect(expired.leaps.armed?.origin).toBe("sources")

    const altered = load(text(LEAP_AT + 1e7, true), LEAP_AT - 3_600)
    expect(altered.warnings).toEqual([expect.stringContaining("altered")])
    expect(altered.leaps.armed).toBeUndefined()

    const warnings: string[] = []
    new LeapSeconds(folder.file("no-such-file"), 0, (message) => warnings.push(message)).update(LEAP_AT)
    expect(warnings).toEqual([expect.stringContaining("it is not there")])
  })
})

describe("events", () => {
  const reach = (source: string, reachable: boolean): ClockDecision => ({
    _tag: "SetReachability",
    source,
    reachable,
    reach: reachable ? 1 : 0
  })
  const outboxWith = (): { outbox: ClockEventOutbox; sent: ClockDecision[] } => {
    const sent: ClockDecision[] = []
    return { outbox: new ClockEventOutbox((events) => sent.push(...events)), sent }
  }

  it("about one thing are overtaken by the newest", () => {
    const { outbox, sent } = outboxWith()
    for (const reachable of [true, false, true, false]) outbox.add(reach("a", reachable))
    outbox.flush(1)
    expect(sent).toEqual([reach("a", false)])
    expect(outbox.suppressed).toBe(3)
  })

  it("leave at a bounded rate, in order, and none is lost for that", () => {
    const { outbox, sent } = outboxWith()
    for (let index = 0; index < 50; index += 1) outbox.add(reach(`s${index}`, true))
    outbox.flush(1)
    expect(sent).toHaveLength(20)
    outbox.flush(11)
    expect(sent).toHaveLength(22)
    for (let now = 16; now < 400; now += 5) outbox.flush(now)
    expect(sent.map((command) => "source" in command && command.source)).toEqual(
      Array.from({ length: 50 }, (_, index) => `s${index}`)
    )
  })

  it("are such as the log takes, a leap second's moment too", () => {
    const armed = {
      _tag: "ArmLeap",
      leap: "insert",
      at: leapMoment(1_483_228_800),
      source: "leap second file"
    } as const
    const { state, judged } = foldClock([reach("a", true), armed, { ...armed, leap: "none", at: null }])
    expect(judged).toEqual(["SourceReachabilityChanged", "LeapArmed", "LeapArmed"])
    expect(state.leap).toBe("none")
  })

  it("are cut to what the log takes", () => {
    const { outbox, sent } = outboxWith()
    const measurement = { source: "a", stratum: 1, reach: 1, offset: 0, delay: 0, dispersion: 0, jitter: 0 }
    const measurements = Array.from({ length: 100 }, () => measurement)
    outbox.add({ _tag: "Step", offset: 1, reason: "x".repeat(1_000), measurements })
    outbox.flush(0)
    expect(sent[0]).toMatchObject({ reason: "x".repeat(256), measurements: measurements.slice(0, 64) })
  })
})

describe("a file that is a pipe", () => {
  it("is not waited for: the clock goes on, and says so", () => {
    const pipe = folder.file("pipe")
    execFileSync("mkfifo", [pipe])
    expect(new DriftFile(pipe).read()).toMatch(/cannot be read \(a pipe, socket or device/)
  })
})
