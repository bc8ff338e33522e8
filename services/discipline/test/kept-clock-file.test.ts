/** When what was known of the clock still holds at the next start. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { KeptClock } from "@meridian/algorithms"
import { KeptClockFile, type KeptMoment } from "../src/kept-clock-file.ts"

const kept: KeptClock = {
  line: { base: 90, offset: 0.25, frequency: 2e-5, residue: 0, slewing: 0 },
  root: { peer: "192.0.2.1", stratum: 3, leap: 0, rootDelay: 0.01, dispersion: 0.002, at: 90 },
  estimate: {
    offset: 0.25,
    frequency: 2e-5,
    offsetVariance: 1e-10,
    covariance: 0,
    frequencyVariance: 1e-16,
    wander: 1e-20
  },
  estimatedAt: 90,
  since: 100
}
const moment: KeptMoment = {
  kept,
  origin: { seconds: 1_800_000_000, nanoseconds: 400_000_000 },
  difference: 0,
  now: 100,
  unix: 1_800_000_100.65,
  slewed: 0,
  slope: 0,
  rests: true
}
const frame = { origin: moment.origin, difference: 0, now: 105 }
const rate = () => ({ frequency: 1e-6, tick: 10_000 })

let path = ""
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "meridian-kept-")), "kept-clock.json")
})
afterEach(() => rmSync(join(path, ".."), { recursive: true, force: true }))

const saved = (change: Partial<KeptMoment> = {}, boot = "one"): void =>
  new KeptClockFile(path, rate, boot).save({ ...moment, ...change })
const found = (change: Partial<typeof frame> = {}, boot = "one", now = rate) =>
  new KeptClockFile(path, now, boot).read({ ...frame, ...change })

describe("what was known of the clock", () => {
  it("holds in the same boot, over a page that begins elsewhere", () => {
    saved()
    expect(found()).toEqual({ kept, problem: undefined, lastKnown: moment.unix })
    // The next page is made of CLOCK_REALTIME as it is, which has not moved: its origin was read 2 ms differently.
    const other = { seconds: 1_800_000_000, nanoseconds: 402_000_000 }
    expect(found({ origin: other, difference: -0.002 }).kept?.line.offset).toBeCloseTo(0.248, 9)
  })

  it("in kernel mode is counted without what the kernel slewed meanwhile, which runs on", () => {
    saved({ slewed: 0.1, slope: 2e-5 })
    // 5 s later the kernel has slewed 100 µs more; the next process counts its slewing from zero.
    expect(found().kept?.line.offset).toBeCloseTo(0.25 - 0.1 - 1e-4, 9)
  })

  it.each([
    ["the system's clock was set", {}, { difference: 0.02 }, rate],
    ["another program changed the rate", {}, {}, () => ({ frequency: 2e-6, tick: 10_000 })],
    ["while it steered", { slope: 2e-5, rests: false }, {}, rate],
    ["a leap second was near", { kept: { ...kept, root: { ...kept.root, leap: 1 } } }, {}, rate],
    ["more than an hour ago", {}, { now: 3_701 }, rate],
    ["of a time to come", {}, { now: 99 }, rate]
  ])("does not where %s", (why, before, after, now) => {
    saved(before)
    expect(found(after, "one", now)).toEqual({
      kept: undefined,
      problem: expect.stringContaining(why),
      lastKnown: moment.unix
    })
  })

  it("says no more than how late it is at least after a boot", () => {
    saved()
    expect(found({}, "two")).toEqual({ kept: undefined, problem: undefined, lastKnown: moment.unix })
  })

  it("is nothing where there is no file, and a problem where there is another's", () => {
    expect(found()).toEqual({ kept: undefined, problem: undefined, lastKnown: undefined })
    saved()
    writeFileSync(path, readFileSync(path, "utf8").replace('"stratum":3', '"stratum":"3"'))
    expect(found().problem).toContain("does not say what a clock was")
  })
})
