/** Reference clocks against the real process: what a gpsd would write and send is followed, and missed when it ends. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { referenceIdFromText } from "@meridian/wire/reference-id"
import { servedOffset } from "./running-discipline.ts"
import { referenceClock, startFeeder } from "./reference-stage.ts"
import { onStage } from "./stage.ts"

describe.concurrent("shared memory", () => {
  it(
    "is followed at the offset that its writer says, and its silence becomes holdover",
    onStage(async (stage) => {
      const feeder = startFeeder(stage)
      const unit = await feeder.createSegment()
      await feeder.ask("run 0.05 50 1 0")
      const filegen = (["peerstats", "rawstats", "clockstats"] as const).map((name) => ({
        name,
        file: name,
        type: "none" as const,
        link: false
      }))
      const discipline = await stage.start({
        referenceClocks: [referenceClock({ unit, time1: 0.02, stratum: 2, flags: [false, false, false, true] })],
        statsdir: stage.folder.path,
        filegen
      })
      const id = `SHM(${unit})`
      const report = await discipline.report(({ tracking }) => tracking.state === "synchronised")
      expect(report.tracking).toMatchObject({ systemPeer: id, stratum: 3, leap: 0, waitingFor: [] })
      expect(report.sources).toMatchObject([
        { address: id, mode: "clock", referenceId: "GPS", verdict: "system-peer", stratum: 2, leap: 0, dropped: {} }
      ])
      const page = discipline.page()
      expect(page).toMatchObject({ stratum: 3, leap: 0, referenceId: referenceIdFromText("GPS") })
      // The writer's 50 ms and time1.
      expect(Math.abs(servedOffset(page) - 0.07)).toBeLessThan(1e-3)
      expect(await discipline.event((event) => event._tag === "ChoosePeer")).toMatchObject({
        peer: id,
        measurements: [{ source: id, stratum: 2 }]
      })
      expect(await discipline.event((event) => event._tag === "SetReachability")).toMatchObject({
        source: id,
        reachable: true
      })

      await feeder.ask("stop")
      const silent = await discipline.report(({ tracking }) => tracking.state === "holdover")
      expect(silent.sources[0]).toMatchObject({ reach: "000", verdict: "unreachable" })
      expect(silent.tracking.waitingFor).toEqual([`a reading of ${id}`])
      await discipline.event((event) => event._tag === "SetReachability" && !event.reachable)

      await feeder.ask("run 0.05 50 0 0")
      await discipline.report(({ tracking }) => tracking.state === "synchronised")
      await discipline.stop()
      const lines = (name: string): string[] => readFileSync(stage.folder.file(name), "utf8").trimEnd().split("\n")
      const place = String.raw`^\d{5} \d+\.\d{3} SHM\(${unit}\)`
      expect(lines("peerstats").at(-1)).toMatch(new RegExp(`${place} 96[0-9a-f]{2} 0\\.0[67]\\d{7} 0\\.000000000 `))
      expect(lines("clockstats").at(-1)).toMatch(new RegExp(`${place} +\\d+ +\\d+ +\\d+ +0 +0$`))
      expect(lines("rawstats").at(-1)).toMatch(new RegExp(`${place} - (?:\\d{10}\\.\\d{9} ){4}0 4 4 2 `))
    })
  )
})
