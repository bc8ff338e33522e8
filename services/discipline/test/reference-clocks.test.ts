/** Reference clocks against the real process: what a gpsd would write and send is followed, and missed when it ends. */
import { existsSync, readFileSync, statSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { referenceIdFromText } from "@meridian/wire/reference-id"
import { encodeSockSample } from "@meridian/testkit/sock-sample"
import { servedOffset } from "./running-discipline.ts"
import { referenceClock, slow, soon, startFeeder } from "./reference-stage.ts"
import { onStage } from "./stage.ts"

describe.concurrent("shared memory", slow, () => {
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
      const report = await soon(discipline, ({ tracking }) => tracking.state === "synchronised")
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
      const silent = await soon(discipline, ({ tracking }) => tracking.state === "holdover")
      expect(silent.sources[0]).toMatchObject({ reach: "000", verdict: "unreachable" })
      expect(silent.tracking.waitingFor).toEqual([`a reading of ${id}`])
      await discipline.event((event) => event._tag === "SetReachability" && !event.reachable)

      await feeder.ask("run 0.05 50 0 0")
      await soon(discipline, ({ tracking }) => tracking.state === "synchronised")
      await discipline.stop()
      const lines = (name: string): string[] => readFileSync(stage.folder.file(name), "utf8").trimEnd().split("\n")
      const place = String.raw`^\d{5} \d+\.\d{3} SHM\(${unit}\)`
      // Against served time: the whole of it at first, and next to nothing once it is followed.
      expect(lines("peerstats")[0]).toMatch(new RegExp(`${place} 9[0-9a-f]{3} 0\\.0[67]\\d{7} 0\\.000000000 `))
      expect(lines("peerstats").at(-1)).toMatch(new RegExp(`${place} 96[0-9a-f]{2} -?0\\.00\\d{7} 0\\.000000000 `))
      expect(lines("clockstats").at(-1)).toMatch(new RegExp(`${place} +\\d+ +\\d+ +\\d+ +0 +0$`))
      expect(lines("rawstats").at(-1)).toMatch(new RegExp(`${place} - (?:\\d{10}\\.\\d{9} ){4}0 4 4 2 `))
    })
  )
})

describe.concurrent("a socket", slow, () => {
  it(
    "is fed by datagrams, and what is none is counted and hurts nobody",
    onStage(async (stage) => {
      const path = stage.folder.file("clock.sock")
      const discipline = await stage.start({
        referenceClocks: [referenceClock({ driver: "sock", unit: 3, path, refid: "NMEA", flags: [true] })]
      })
      await soon(discipline, () => existsSync(path))
      expect(statSync(path).mode & 0o777).toBe(0o666)
      await startFeeder(stage).ask(`sock ${path} -0.08 100`)
      const hostile = startFeeder(stage)
      const now = BigInt(Math.floor(Date.now() / 1e3))
      const datagram = (change: (view: DataView) => void): string => {
        const bytes = encodeSockSample(
          { system: { seconds: Number(now), nanoseconds: 0 }, offset: 3, pulse: false, leap: 0 },
          true
        )
        change(new DataView(bytes.buffer))
        return Buffer.from(bytes).toString("hex")
      }
      for (const bytes of [
        "",
        "00".repeat(39),
        "00".repeat(41),
        "ff".repeat(900),
        datagram((view) => view.setInt32(36, 0)),
        datagram((view) => view.setFloat64(16, NaN, true)),
        datagram((view) => view.setInt32(28, 4, true)),
        datagram((view) => view.setBigInt64(0, now - 86_400n, true)),
        datagram((view) => view.setBigInt64(0, now + 86_400n, true)),
        datagram((view) => view.setBigInt64(8, 1_000_000n, true))
      ])
        // The queue is short, and it is emptied four times a second.
        for (let tries = 0; tries < 1_000 && (await hostile.tell(`send ${path} ${bytes}`)) !== "ok"; tries += 1)
          await sleep(50)
      const report = await soon(
        discipline,
        ({ sources, tracking }) =>
          tracking.state === "synchronised" && Object.values(sources[0]!.dropped).reduce((sum, n) => sum + n, 0) >= 10
      )
      expect(report.sources).toMatchObject([
        {
          address: "SOCK(3)",
          name: path,
          referenceId: "NMEA",
          verdict: "system-peer",
          dropped: { length: 4, magic: 1, "not-finite": 1, leap: 1, stale: 1, future: 1, microseconds: 1 }
        }
      ])
      expect(report.tracking.stratum).toBe(1)
      expect(Math.abs(servedOffset(discipline.page()) + 0.08)).toBeLessThan(1e-3)
      await discipline.stop()
      expect(existsSync(path)).toBe(false)
    })
  )

  it(
    "of pulses is followed beside a segment that numbers them",
    onStage(async (stage) => {
      const path = stage.folder.file("pulse.sock")
      const [numbers, pulses] = [startFeeder(stage), startFeeder(stage)]
      const unit = await numbers.createSegment()
      await numbers.ask("run 7.3 50 1 0")
      const discipline = await stage.start({
        referenceClocks: [referenceClock({ unit }), referenceClock({ driver: "sock", path, refid: "PPS" })]
      })
      await soon(discipline, () => existsSync(path))
      // A quarter of a second slow, as chronyd's senders write it.
      await pulses.ask(`pulse ${path} -0.25 100`)
      const report = await soon(
        discipline,
        ({ sources, tracking }) => tracking.state === "synchronised" && sources[1]?.verdict === "system-peer"
      )
      expect(report.tracking).toMatchObject({ systemPeer: "SOCK(0)", stratum: 1, referenceId: "PPS" })
      expect(report.sources[0]?.verdict).toBe("backup")
      // 7.3 s says that the pulse at a quarter of a second is 7.25.
      expect(report.tracking.offset).toBeCloseTo(7.25, 3)
    })
  )
})

describe.concurrent("a segment that cannot be used", slow, () => {
  it(
    "is said and counted, and taken once it can",
    onStage(async (stage) => {
      const feeder = startFeeder(stage)
      const unit = await feeder.createSegment(128)
      const discipline = await stage.start({ referenceClocks: [referenceClock({ unit })] })
      const report = await soon(discipline, ({ sources }) => (sources[0]?.dropped["size"] ?? 0) > 0)
      expect(report.sources[0]).toMatchObject({ verdict: "unreachable", stratum: 16 })
      expect(report.tracking).toMatchObject({ stratum: 16, state: "unset" })
      expect(report.tracking.waitingFor).toEqual([expect.stringMatching(/^a reading of SHM\(\d+\): shared memory /)])
      expect(discipline.warnings).toEqual([expect.stringMatching(/^SHM\(\d+\): shared memory .* has 128 bytes/)])
      await feeder.ask("remove")
      await feeder.ask(`create ${(0x4e545030 + unit).toString(16)} 96 666`)
      await feeder.ask("run 0 50 1 0")
      await soon(discipline, ({ tracking }) => tracking.state === "synchronised")
    })
  )

  it(
    "because it holds nonsense leaves the node without time",
    onStage(async (stage) => {
      const feeder = startFeeder(stage)
      const unit = await feeder.createSegment()
      // True time is a year off: not within four hours of CLOCK_REALTIME, and flag1 is not set.
      await feeder.ask("run 31536000 50 1 0")
      const discipline = await stage.start({ referenceClocks: [referenceClock({ unit })] })
      const report = await soon(discipline, ({ sources }) => (sources[0]?.dropped["difference"] ?? 0) > 3)
      expect(report.tracking).toMatchObject({ stratum: 16, state: "unset" })
      expect(report.tracking.waitingFor).toEqual([
        expect.stringMatching(/^a reading of SHM\(\d+\) \(what came was of no use: \d+ difference\)$/)
      ])
      expect(discipline.page()).toMatchObject({ stratum: 16, leap: 3 })
      await feeder.ask("run 0 50 1 3")
      const unsure = await soon(discipline, ({ sources }) => sources[0]?.verdict === "unsynchronised")
      expect(unsure.tracking.stratum).toBe(16)
    })
  )
})
