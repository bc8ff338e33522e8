/**
 * Six hours of a node in virtual mode whose oscillator is 50 ppm slow, as NTPsec's ntpviz sums them up from the node's
 * statistics files. Its gnuplot is a stand-in that draws nothing.
 */
import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { afterEach, beforeEach, expect, it } from "vitest"
import { defaultDisciplineOptions, noLocalMode } from "@meridian/algorithms"
import { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
import { type Sample, defaultAssociationOptions } from "@meridian/protocol/associations"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { randomStream } from "@meridian/testkit/sim-random"
import { ClockKeeper } from "../src/clock-keeper.ts"
import { correctedStamp, type Reading } from "../src/clocks.ts"
import { LeapSeconds } from "../src/leap-seconds.ts"
import { StatisticsWriter } from "../src/statistics-writer.ts"
import { newUpstream, trackedAt } from "../src/upstream.ts"
import { configurationOf, type Folder, makeFolder, upstream } from "./running-discipline.ts"

const HOURS = 6
const POLL = 64
const SLOW = 50e-6
/** Of a sample, seconds. */
const NOISE = 100e-6
const ADDRESS = "192.0.2.1"

let folder: Folder
let page: ClockPageWriter
beforeEach(() => {
  folder = makeFolder()
  page = new ClockPageWriter(folder.page.writable)
})
afterEach(() => {
  page.close()
  folder.remove()
})

/** Writes what the service writes. */
const sixHours = (statsdir: string): void => {
  const began = Math.floor(Date.now() / 1e3) - HOURS * 3_600
  let monotonic = 0
  page.begin({ seconds: began, nanoseconds: 0 })
  const read = (): Reading => {
    const seconds = Math.floor(monotonic)
    return { seconds: began + seconds, nanoseconds: Math.round((monotonic - seconds) * 1e9), monotonic }
  }
  const keeper = new ClockKeeper(
    { discipline: defaultDisciplineOptions, frequency: 0, local: noLocalMode, hasSources: true },
    page,
    new ClockPageReader(folder.page.readable),
    read,
    new LeapSeconds(null, 0, () => {}),
    () => monotonic
  )
  const filegen = (["loopstats", "peerstats", "rawstats"] as const).map((name) => ({
    name,
    file: name,
    type: "day" as const,
    link: true
  }))
  const failed = (message: string): never => {
    throw new Error(message)
  }
  const writer = new StatisticsWriter({ ...configurationOf(folder), statsdir, filegen }, read, 0, failed, {
    added: (at) => keeper.added(at),
    lineUntil: (now) => keeper.lineUntil(now)
  })
  const endpoint = { address: ADDRESS, port: 123 }
  const tracked = trackedAt(endpoint, defaultAssociationOptions, 2 ** -20, undefined, undefined)
  const source = newUpstream({
    id: 1,
    host: ADDRESS,
    configuration: upstream(ADDRESS, 123),
    options: defaultAssociationOptions,
    keyId: null,
    endpoint,
    tracked
  })
  const random = randomStream(1, "queues")
  for (monotonic = POLL; monotonic < HOURS * 3_600; monotonic += POLL) {
    // A reply waits in a queue on its way.
    const queue = NOISE * random.uniform()
    const offset = SLOW * monotonic + queue / 2
    const delay = 0.01 + queue
    const report = { stratum: 2, leap: 0, rootDelay: 0.001, rootDispersion: 0.002, loop: false }
    tracked.polled()
    tracked.answered({ time: monotonic, offset, delay, dispersion: 1e-6 }, report)
    const outcome = keeper.decide([tracked])
    const stamp = correctedStamp(read(), 0)
    const sample: Sample = {
      _tag: "Sample",
      time: monotonic,
      offset,
      delay,
      dispersion: 1e-6,
      precision: -20,
      t1: stamp,
      t2: stamp,
      t3: stamp,
      t4: stamp,
      interleaved: false,
      ...report,
      referenceId: 0xc0000202,
      referenceTime: stamp,
      poll: 6
    }
    const [verdict] = outcome.decision.verdicts
    writer.sampled(source, sample, verdict?.verdict, tracked.reach)
    writer.decided(outcome, keeper.discipline)
  }
}

const units: Readonly<Record<string, number>> = { s: 1, ms: 1e-3, µs: 1e-6, ns: 1e-9, ppm: 1e-6, ppb: 1e-9 }

/** A figure of ntpviz' table by what it is of and its column, in seconds or seconds per second. */
const summaryOf = (statsdir: string): ((row: string, column: string) => number) => {
  const [out, bin] = [folder.file("html"), folder.file("bin")]
  for (const made of [out, bin]) mkdirSync(made)
  writeFileSync(`${bin}/gnuplot`, "#!/bin/sh\nexit 0\n")
  chmodSync(`${bin}/gnuplot`, 0o755)
  const { command, args, env } = peer("ntpsec-ntpviz")!
  const path = `${bin}:${env["PATH"] ?? ""}`
  execFileSync(command, [...args, "-d", statsdir, "-o", out], { env: { ...env, PATH: path }, stdio: "pipe" })
  const [head = "", ...rows] = readFileSync(`${out}/summary.csv`, "utf8").trimEnd().split("\r\n")
  const names = head.split(",")
  const cells = new Map(rows.map((row) => [row.slice(0, row.indexOf(",")), row.split(",")]))
  return (row, column) => {
    const cell = (name: string): string => cells.get(row)?.[names.indexOf(name)]?.trim() ?? `no ${row}`
    return Number(cell(column)) * (units[cell("Units")] ?? NaN)
  }
}

it.runIf(peersAvailable("ntpviz", ["ntpsec-ntpviz"]))(
  "ntpviz finds offsets and jitters of what is served, and the oscillator's frequency",
  () => {
    const statsdir = folder.file("statistics")
    mkdirSync(statsdir)
    sixHours(statsdir)
    const figure = summaryOf(statsdir)
    expect(figure("Local Clock Frequency Offset", "50%")).toBeCloseTo(SLOW, 7)
    // The first of them set the clock.
    expect(Math.abs(figure("Local Clock Time Offset", "50%"))).toBeLessThan(NOISE)
    expect(Math.abs(figure(`Server Offset ${ADDRESS}`, "1%"))).toBeLessThan(NOISE)
    expect(Math.abs(figure(`Server Offset ${ADDRESS}`, "99%"))).toBeLessThan(NOISE)
    expect(figure(`Server Jitter ${ADDRESS}`, "99%")).toBeLessThan(NOISE)
    expect(figure(`Server Jitter ${ADDRESS}`, "50%")).toBeGreaterThan(NOISE / 20)
  }
)
