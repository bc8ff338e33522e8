import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { SystemCounters } from "@meridian/ipc/discipline-report"
import { type Sample, defaultAssociationOptions } from "@meridian/protocol/associations"
import { ntpTimestamp } from "@meridian/time/timestamp"
import { newUpstream, trackedAt } from "../src/upstream.ts"
import { StatisticsWriter } from "../src/statistics-writer.ts"
import { configurationOf, type Folder, makeFolder } from "./running-discipline.ts"
import { GenerationFile, generationSuffix } from "../src/file-generations.ts"
import { clockLine, loopLine, mjdTime, peerLine, rawLine, Statistics, systemLine } from "../src/statistics.ts"

/** 2026-01-01T00:00:01.5Z, a Thursday. */
const NEW_YEAR = 1_767_225_601.5
const nothing: SystemCounters = {
  type: "system-counters",
  received: 0,
  processed: 0,
  currentVersion: 0,
  oldVersion: 0,
  restricted: 0,
  badLength: 0,
  badAuthentication: 0,
  declined: 0,
  rateLimited: 0,
  kissesSent: 0
}
const at = (unix: number, uptime = 0) => ({ unix, uptime, pid: 4321 })

const stamp = (fraction: number) => ntpTimestamp(3_976_214_401, fraction)
const sample: Sample = {
  _tag: "Sample",
  time: 0,
  offset: 0,
  delay: 0,
  dispersion: 0,
  precision: -20,
  t1: stamp(0),
  t2: stamp(2 ** 31),
  t3: stamp(2 ** 30),
  t4: stamp(0xffffffff),
  interleaved: false,
  rootDelay: 0.0015,
  rootDispersion: 0.25,
  stratum: 2,
  leap: 1,
  referenceId: 0xc0000202,
  referenceTime: stamp(0),
  poll: 6
}

describe("a line", () => {
  it("begins with the modified Julian day and the second of the day", () => {
    expect(mjdTime(0)).toBe("40587 0.000")
    expect(mjdTime(NEW_YEAR)).toBe("61041 1.500")
    expect(mjdTime(NEW_YEAR - 1.5005)).toBe("61040 86399.999")
  })

  it("of loopstats has offset, frequency in ppm, jitter, wander in ppm and the time constant", () => {
    const figures = { offset: -1.25e-6, frequency: 12.5e-6, jitter: 2e-6, wander: 3e-9, timeConstant: 6 }
    expect(loopLine(NEW_YEAR, figures)).toBe("61041 1.500 -0.000001250 12.500000 0.000002000 0.003000 6")
  })

  it("of peerstats has the status word in hexadecimal", () => {
    const figures = { address: "192.0.2.1", status: 0x963a, offset: 1e-3, delay: 2e-3, dispersion: 3e-3, jitter: 4e-3 }
    const numbers = "0.001000000 0.002000000 0.003000000 0.004000000"
    expect(peerLine(NEW_YEAR, figures)).toBe(`61041 1.500 192.0.2.1 963a ${numbers}`)
  })

  it("of rawstats has the four timestamps and what the server said", () => {
    const times = [".000000000", ".500000000", ".250000000", ".999999999"].map((it) => `3976214401${it}`).join(" ")
    expect(rawLine(NEW_YEAR, "192.0.2.1", sample, { mode: 4, version: 3 }, 2)).toBe(
      `61041 1.500 192.0.2.1 - ${times} 1 3 4 2 6 -20 0.001500 0.250000 192.0.2.2 2`
    )
  })

  it("of rawstats has the mode of what came: a server's, or a symmetric peer's", () => {
    const folder = makeFolder()
    const filegen = [{ name: "rawstats", file: "rawstats", type: "none", link: false }] as const
    const read = () => ({ seconds: Math.floor(NEW_YEAR), nanoseconds: 0, monotonic: 0 })
    const writer = new StatisticsWriter(
      { ...configurationOf(folder), statsdir: folder.path, filegen },
      read,
      0,
      () => {}
    )
    const endpoint = { address: "192.0.2.1", port: 123 }
    for (const mode of ["client", "active"] as const) {
      const options = { ...defaultAssociationOptions, mode }
      const tracked = trackedAt(endpoint, options, 2 ** -20, undefined, undefined)
      const others = { id: 1, host: undefined, configuration: undefined, keyId: null }
      const asked = { ...newUpstream({ ...others, endpoint, options, tracked }), sample, lastReply: 0, polls: 1 }
      writer.sampled(asked, sample, "candidate", 1)
    }
    const lines = readFileSync(folder.file("rawstats"), "utf8").trimEnd().split("\n")
    expect(lines.map((line) => line.split(" ").slice(8, 11))).toEqual([
      ["1", "4", "4"],
      ["1", "4", "1"]
    ])
    folder.remove()
  })

  it("of clockstats and sysstats is as NTPsec has it", () => {
    expect(clockLine(NEW_YEAR, "127.127.28.0", "good 3")).toBe("61041 1.500 127.127.28.0 good 3")
    const counters: SystemCounters = {
      type: "system-counters",
      received: 1,
      processed: 2,
      currentVersion: 3,
      oldVersion: 4,
      restricted: 5,
      badLength: 6,
      badAuthentication: 7,
      declined: 8,
      rateLimited: 9,
      kissesSent: 10
    }
    expect(systemLine(NEW_YEAR, 3600.2, counters)).toBe("61041 1.500 3600 1 2 3 4 5 6 7 8 9 10")
  })
})

describe("sysstats", () => {
  let folder: Folder
  beforeEach(() => void (folder = makeFolder()))
  afterEach(() => folder.remove())

  it("has a line an hour and one at the end, each with what was counted since the line before", () => {
    let monotonic = 500
    const read = () => ({ seconds: Math.floor(NEW_YEAR) + monotonic, nanoseconds: 0, monotonic })
    const filegen = [{ name: "sysstats", file: "sysstats", type: "none", link: false }] as const
    const warnings: string[] = []
    const writer = new StatisticsWriter(
      { ...configurationOf(folder), statsdir: folder.path, filegen },
      read,
      500,
      (text) => warnings.push(text)
    )
    const counted = (received: number, kissesSent: number): void =>
      writer.counted({ ...nothing, received, processed: received - 1, kissesSent })
    const lines = (): string[][] =>
      readFileSync(folder.file("sysstats"), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => line.split(" ").slice(2))

    // Another process of this node has counted before this one.
    counted(1_000, 5)
    counted(1_010, 5)
    monotonic += 3_599
    writer.tick()
    expect(readdirSync(folder.path)).toEqual([])
    monotonic += 1
    writer.tick()
    counted(1_500, 7)
    monotonic += 3_600
    writer.tick()
    counted(1_501, 7)
    monotonic += 10
    writer.stop()
    expect(warnings).toEqual([])
    expect(lines()).toEqual([
      ["3600", "10", "10", "0", "0", "0", "0", "0", "0", "0", "0"],
      ["3600", "490", "490", "0", "0", "0", "0", "0", "0", "0", "2"],
      ["10", "1", "1", "0", "0", "0", "0", "0", "0", "0", "0"]
    ])
  })
})

describe("a generation", () => {
  it("has the suffix of its type", () => {
    const suffixes = (["none", "pid", "day", "week", "month", "year", "age"] as const).map((type) =>
      generationSuffix(type, at(NEW_YEAR, 200_000))
    )
    expect(suffixes).toEqual(["", ".#4321", ".20260101", ".2026w00", ".202601", ".2026", ".a00172800"])
  })

  it("of weeks counts whole weeks of the year, as classic ntpd does", () => {
    const suffixOf = (...date: [number, number, number]) => generationSuffix("week", at(Date.UTC(...date) / 1e3))
    // The example of its manual: January, 10th 1992 is in week 1.
    expect(suffixOf(1992, 0, 10)).toBe(".1992w01")
    expect(suffixOf(2027, 0, 3)).toBe(".2027w00")
    expect(suffixOf(2024, 11, 30)).toBe(".2024w52")
  })
})

describe("a statistics file", () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "meridian-statistics-"))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))
  const read = (name: string): string => readFileSync(join(folder, name), "utf8")

  it("begins anew when its time is over, and the link follows", () => {
    const file = new GenerationFile(join(folder, "loopstats"), "day", true)
    file.append("one", at(NEW_YEAR - 2))
    file.append("two", at(NEW_YEAR))
    file.append("three", at(NEW_YEAR))
    expect(readdirSync(folder).sort()).toEqual(["loopstats", "loopstats.20251231", "loopstats.20260101"])
    expect(read("loopstats.20251231")).toBe("one\n")
    expect(read("loopstats")).toBe("two\nthree\n")
    expect(statSync(join(folder, "loopstats")).nlink).toBe(2)
  })

  it("moves a file of its bare name aside, for it is no link of ours", () => {
    writeFileSync(join(folder, "loopstats"), "old\n")
    new GenerationFile(join(folder, "loopstats"), "day", true).append("new", at(NEW_YEAR))
    expect(read("loopstats")).toBe("new\n")
    expect(read("loopstats.4321C0")).toBe("old\n")
  })

  it("goes on after a restart", () => {
    for (const line of ["one", "two"]) new GenerationFile(join(folder, "x"), "month", true).append(line, at(NEW_YEAR))
    expect(read("x")).toBe("one\ntwo\n")
  })

  it("that cannot be written costs its lines and a warning, no more", () => {
    const warnings: string[] = []
    const filegen = [{ name: "loopstats", file: "loopstats", type: "none", link: false } as const]
    const statistics = new Statistics(
      join(folder, "missing"),
      filegen,
      () => 0,
      (message) => warnings.push(message)
    )
    statistics.write("loopstats", NEW_YEAR, "line")
    statistics.write("rawstats", NEW_YEAR, "goes nowhere")
    expect(warnings).toEqual([expect.stringContaining("it is not there")])
    expect(statistics.has("rawstats")).toBe(false)
  })
})
