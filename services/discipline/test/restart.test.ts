/** What outlives the process: the page, the drift file, the statistics; and what a start makes of a bad one. */
import { once } from "node:events"
import { readFileSync, statSync, writeFileSync, writeSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { isSynchronised } from "@meridian/time/clock-curve"
import { onStage } from "./stage.ts"
import { monotonic, servedOffset, upstream } from "./running-discipline.ts"

describe.concurrent("a process that was killed", () => {
  it(
    "leaves a page that is good for some seconds, and its successor takes over without a jump",
    onStage(async (stage) => {
      const servers = await stage.fakes({})
      const first = await stage.follow(servers)
      await first.report(({ tracking }) => tracking.state === "synchronised")
      first.process.kill("SIGKILL")
      await once(first.process, "exit")
      const killedAt = monotonic()
      const left = first.page()
      expect(isSynchronised(left, killedAt)).toBe(true)
      expect(left.deadline - killedAt).toBeLessThanOrEqual(12)

      const second = await stage.follow(servers)
      const taken = second.page()
      // Unless it took so long to start that the page had run out.
      const now = monotonic()
      expect(now >= left.deadline || isSynchronised(taken, now)).toBe(true)
      expect(isSynchronised(left, left.deadline + 0.001)).toBe(false)
      const before = servedOffset(left)
      const report = await second.report(({ tracking }) => tracking.state === "synchronised")
      const page = second.page()
      expect(page).toMatchObject({ stratum: 3, leap: 0 })
      // The old correction is still served; what differs is worked off.
      expect(Math.abs(servedOffset(page) - before)).toBeLessThan(2e-3)
      expect(report.tracking.steps).toBe(0)
    })
  )

  it(
    "whose page nobody renews is not taken for good by a start without sources",
    onStage(async (stage) => {
      const first = await stage.start({ localReference: { stratum: 9 } })
      expect(first.page().stratum).toBe(9)
      await first.stop("SIGKILL")
      const second = await stage.start()
      expect(second.page()).toMatchObject({ stratum: 16, leap: 3 })
    })
  )

  it(
    "leaves its page as it was when it is asked to end",
    onStage(async (stage) => {
      const first = await stage.start({ localReference: { stratum: 9 } })
      first.send({ type: "drain" })
      await new Promise((ended) => first.process.once("exit", ended))
      expect(first.process.exitCode).toBe(0)
      expect(first.page().stratum).toBe(9)
    })
  )
})

describe.concurrent("a node that starts again on the same machine", () => {
  it(
    "serves at once what was known, with a bound that has grown, and says so until it follows somebody again",
    onStage(async (stage) => {
      const keptClock = stage.folder.file("kept-clock.json")
      const servers = await stage.fakes({})
      const first = await stage.follow(servers, { keptClock })
      await first.report(({ tracking }) => tracking.state === "synchronised")
      await first.stop()
      const left = first.page()
      const before = servedOffset(left)

      const second = await stage.startAnew({ keptClock, sources: [upstream("127.0.1.9", 9)] })
      const page = second.page()
      expect(page).toMatchObject({ stratum: 3, leap: 0, referenceId: left.referenceId })
      expect(isSynchronised(page, monotonic())).toBe(true)
      expect(Math.abs(servedOffset(page) - before)).toBeLessThan(1e-3)
      const age = page.baseMonotonic - left.baseMonotonic
      expect(page.rootDispersion).toBeGreaterThan(left.rootDispersion + 15e-6 * age)
      const report = await second.report()
      expect(report.tracking).toMatchObject({ state: "holdover", resumed: true, systemPeer: null })

      await second.stop()
      const third = await stage.startAnew({
        keptClock,
        sources: servers.map(({ address, port }) => upstream(address, port))
      })
      const followed = await third.report(({ tracking }) => tracking.state === "synchronised")
      expect(followed.tracking.resumed).toBeUndefined()
      expect(followed.tracking.steps).toBe(0)
    })
  )

  it(
    "goes on from what was written while it ran when it was killed",
    onStage(async (stage) => {
      const keptClock = stage.folder.file("kept-clock.json")
      const first = await stage.follow(await stage.fakes({}), { keptClock })
      await first.report(({ tracking }) => tracking.state === "synchronised")
      await expect
        .poll(() => statSync(keptClock, { throwIfNoEntry: false })?.size ?? 0, { timeout: PATIENCE_MS })
        .not.toBe(0)
      await first.stop("SIGKILL")
      const second = await stage.startAnew({ keptClock, sources: [upstream("127.0.1.9", 9)] })
      expect(isSynchronised(second.page(), monotonic())).toBe(true)
    })
  )

  it(
    "sets its clock anew after a boot, and says nothing of the old one",
    onStage(async (stage) => {
      const keptClock = stage.folder.file("kept-clock.json")
      const first = await stage.follow(await stage.fakes({}), { keptClock })
      await first.report(({ tracking }) => tracking.state === "synchronised")
      await first.stop()
      writeFileSync(keptClock, readFileSync(keptClock, "utf8").replace(/"boot":"[^"]*"/, '"boot":"another"'))
      const second = await stage.startAnew({ keptClock, sources: [upstream("127.0.1.9", 9)] })
      expect(second.page()).toMatchObject({ stratum: 16, leap: 3 })
      expect((await second.report()).tracking).toMatchObject({ state: "unset" })
      expect(second.warnings).toEqual([])
    })
  )

  it.each(["", "{}", '{"format":1}', "\0"])("with %j in the file sets its clock anew, with a warning", (text) =>
    onStage(async (stage) => {
      const keptClock = stage.folder.file("kept-clock.json")
      writeFileSync(keptClock, text)
      const discipline = await stage.start({ keptClock, sources: [upstream("127.0.1.9", 9)] })
      expect(discipline.page().stratum).toBe(16)
      await discipline.report()
      expect(discipline.warnings).toEqual([expect.stringContaining("the clock is set anew after this start")])
    })()
  )
})

describe.concurrent("a page with something else on it", () => {
  it(
    "is replaced",
    onStage(async (stage) => {
      writeSync(stage.folder.page.writable, Buffer.alloc(4_096, 0xa5), 0, 4_096, 0)
      const discipline = await stage.start({ localReference: { stratum: 9 } })
      expect(discipline.page()).toMatchObject({ stratum: 9 })
      expect(Math.abs(servedOffset(discipline.page()))).toBeLessThan(1e-3)
    })
  )
})

describe.concurrent("the drift file", () => {
  it.each(["not a number", "1e9\n", "", "NaN"])("with %j in it is ignored with a warning", (text) =>
    onStage(async (stage) => {
      const driftfile = stage.folder.file("drift")
      writeFileSync(driftfile, text)
      const discipline = await stage.start({ driftfile, localReference: { stratum: 9 } })
      expect(discipline.page().stratum).toBe(9)
      await discipline.report()
      expect(discipline.warnings).toEqual([expect.stringContaining("is ignored: expected one number")])
      await discipline.stop()
      expect(readFileSync(driftfile, "utf8")).toBe(text)
    })()
  )

  it(
    "gives the frequency to begin with",
    onStage(async (stage) => {
      const driftfile = stage.folder.file("drift")
      writeFileSync(driftfile, "12.345\n")
      // Sources that are watched and never followed: the frequency stays what the file says.
      const [server] = await stage.fakes({})
      const discipline = await stage.start({
        driftfile,
        sources: [upstream(server!.address, server!.port, { noselect: true })]
      })
      const report = await discipline.report(({ sources }) => sources[0]?.verdict === "noselect")
      expect(report.tracking).toMatchObject({ state: "unset", stratum: 16 })
      expect(discipline.warnings).toEqual([])
    })
  )
})

describe.concurrent("statistics", () => {
  it(
    "are written in the formats that NTPsec has, with links to the current file",
    onStage(async (stage) => {
      const filegen = (["loopstats", "peerstats", "rawstats"] as const).map((name) => ({
        name,
        file: name,
        type: "day" as const,
        link: true
      }))
      const discipline = await stage.follow(await stage.fakes({}), { statsdir: stage.folder.path, filegen })
      await discipline.report(({ tracking }) => tracking.state === "synchronised")
      await discipline.stop()
      const number = String.raw`-?\d+\.\d{9}`
      const time = String.raw`\d{5} \d{1,5}\.\d{3}`
      const lines = (name: string): string[] => readFileSync(stage.folder.file(name), "utf8").trimEnd().split("\n")
      expect(lines("loopstats")[0]).toMatch(
        new RegExp(`^${time} ${number} -?\\d+\\.\\d{6} ${number} \\d+\\.\\d{6} \\d+$`)
      )
      expect(lines("peerstats").at(-1)).toMatch(
        new RegExp(`^${time} 127\\.0\\.1\\.1 9[0-9a-f]{3} ${number} ${number} ${number} ${number}$`)
      )
      expect(lines("rawstats")[0]).toMatch(
        new RegExp(
          `^${time} 127\\.0\\.1\\.1 - (?:\\d{10}\\.\\d{9} ){4}0 4 4 2 0 -23 \\d\\.\\d{6} \\d\\.\\d{6} 192\\.0\\.2\\.1 \\d$`
        )
      )
      const today = new Date().toISOString().slice(0, 10).replaceAll("-", "")
      const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10).replaceAll("-", "")
      const current = [today, yesterday].find((day) => {
        return statSync(stage.folder.file(`loopstats.${day}`), { throwIfNoEntry: false }) !== undefined
      })
      expect(statSync(stage.folder.file(`loopstats.${current}`)).ino).toBe(statSync(stage.folder.file("loopstats")).ino)
    })
  )
})
