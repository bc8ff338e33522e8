/** The same segment and the same datagrams read by chronyd, by NTPsec's ntpd and by the real process: all see one time. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { startNtpsec } from "./real-upstreams.ts"
import { referenceClock, slow, soon, startFeeder } from "./reference-stage.ts"
import { onStage } from "./stage.ts"

const fiveCounts = Array.from({ length: 5 }, () => expect.stringMatching(/^\d+$/) as string)

/**
 * What NTPsec's own reader, which ntpviz plots from, makes of a folder of statistics. By itself it ends at the last whole second,
 * and leaves out what was written since; it is told a later end.
 */
const seenByNtpviz = (folder: string): { readonly peers: readonly string[]; readonly clocks: readonly unknown[][] } => {
  const program = [
    "import json, sys, time, ntp.statfiles",
    "found = ntp.statfiles.NTPStats(sys.argv[1], endtime=time.time() + 1)",
    "print(json.dumps({'peers': list(found.peersplit()), 'clocks': found.clockstats}))"
  ].join("\n")
  const { env } = peer("ntpsec-ntpq")!
  return JSON.parse(execFileSync("/usr/bin/python3", ["-c", program, folder], { env, encoding: "utf8" })) as never
}

/** The fields of the last whole line of a file that a pattern fits, once there are enough such lines. */
const lastLine = async (path: string, pattern: RegExp, atLeast: number): Promise<readonly string[]> => {
  let text = ""
  for (let waited = 0; waited < PATIENCE_MS; waited += 100) {
    text = existsSync(path) ? readFileSync(path, "utf8") : ""
    const lines = text
      .split("\n")
      .slice(0, -1)
      .filter((line) => pattern.test(line))
    if (lines.length >= atLeast) return lines.at(-1)!.trim().split(/\s+/)
    await sleep(100)
  }
  throw new Error(`no such lines in ${path}: ${text}`)
}

/** The corrected offset of refclocks.log. */
const CHRONY_OFFSET = 7

describe.skipIf(!peersAvailable("reference clocks", ["chronyd-4.3"])).concurrent("chronyd", slow, () => {
  it(
    "reads the same time from a segment, with the same sign of the correction",
    onStage(async (stage) => {
      const feeder = startFeeder(stage)
      const unit = await feeder.createSegment()
      await feeder.ask("run -0.04 10 1 0")
      await stage.chronyd("127.0.2.1", [
        `refclock SHM ${unit} refid GPS poll 0 dpoll 0 filter 4 offset 0.025 noselect`,
        `logdir ${stage.folder.path}`,
        "log refclocks"
      ])
      const log = await lastLine(stage.folder.file("refclocks.log"), / GPS .* N /, 3)
      const discipline = await stage.start({ referenceClocks: [referenceClock({ unit, time1: 0.025 })] })
      const { tracking } = await soon(discipline, (report) => report.tracking.state === "synchronised")
      expect(Number(log[CHRONY_OFFSET])).toBeCloseTo(-0.015, 3)
      expect(tracking.offset).toBeCloseTo(Number(log[CHRONY_OFFSET]), 3)
    })
  )

  it(
    "takes the same datagrams at its socket",
    onStage(async (stage) => {
      const [theirs, ours] = [stage.folder.file("chrony.sock"), stage.folder.file("meridian.sock")]
      await stage.chronyd("127.0.2.2", [
        `refclock SOCK ${theirs} refid GPS poll 0 dpoll 0 filter 4 noselect`,
        `logdir ${stage.folder.path}`,
        "log refclocks"
      ])
      const discipline = await stage.start({ referenceClocks: [referenceClock({ driver: "sock", path: ours })] })
      for (const path of [theirs, ours]) await startFeeder(stage).ask(`sock ${path} 0.033 50`)
      const log = await lastLine(stage.folder.file("refclocks.log"), / GPS .* N /, 3)
      const report = await soon(discipline, ({ tracking }) => tracking.state === "synchronised")
      expect(Number(log[CHRONY_OFFSET])).toBeCloseTo(0.033, 3)
      expect(report.tracking.offset).toBeCloseTo(0.033, 3)
      expect(report.sources).toMatchObject([{ address: "SOCK(0)", name: ours, referenceId: "GPS", dropped: {} }])
    })
  )
})

const socketReaders = ["chronyd-4.3", "chronyd-newest"] as const

describe.skipIf(!peersAvailable("datagrams of reference clocks", socketReaders)).concurrent.each(socketReaders)(
  "%s",
  slow,
  (program) => {
    const address = program === "chronyd-4.3" ? "127.0.2.3" : "127.0.2.4"

    it(
      "has the same sign of a pulse's offset",
      onStage(async (stage) => {
        const path = (name: string): string => stage.folder.file(name)
        const lines = [
          `refclock SOCK ${path("chrony.gps")} refid GPS poll 0 dpoll 0 filter 4 noselect`,
          `refclock SOCK ${path("chrony.pps")} refid PPS poll 0 dpoll 0 filter 4 lock GPS noselect`,
          `logdir ${stage.folder.path}`,
          "log refclocks"
        ]
        await stage.chronyd(address, lines, program)
        const sock = { driver: "sock", minpoll: 1, maxpoll: 1 } as const
        const discipline = await stage.start({
          referenceClocks: [
            referenceClock({ ...sock, path: path("our.gps") }),
            referenceClock({ ...sock, unit: 1, path: path("our.pps"), refid: "PPS" })
          ]
        })
        await soon(discipline, () => existsSync(path("our.pps")))
        for (const name of ["chrony.gps", "our.gps"]) await startFeeder(stage).ask(`sock ${path(name)} 0 50`)
        for (const name of ["chrony.pps", "our.pps"]) await startFeeder(stage).ask(`pulse ${path(name)} 0.01 100`)
        const log = await lastLine(path("refclocks.log"), / PPS .* N /, 3)
        const report = await soon(discipline, ({ sources }) => sources[1]?.verdict === "system-peer")
        expect(Number(log[CHRONY_OFFSET])).toBeCloseTo(-0.01, 3)
        expect(report.tracking.offset).toBeCloseTo(-0.01, 3)
      })
    )

    it(
      "takes datagrams of a second ago, and drops those of 2 s ago and older",
      onStage(async (stage) => {
        const path = (name: string): string => stage.folder.file(name)
        const lines = [
          `refclock SOCK ${path("chrony.old")} refid OLD poll 0 dpoll 0 filter 4 noselect`,
          `refclock SOCK ${path("chrony.new")} refid NEW poll 0 dpoll 0 filter 4 noselect`,
          `logdir ${stage.folder.path}`,
          "log refclocks"
        ]
        await stage.chronyd(address, lines, program)
        const discipline = await stage.start({
          referenceClocks: [
            referenceClock({ driver: "sock", path: path("our.old") }),
            referenceClock({ driver: "sock", unit: 1, path: path("our.new"), refid: "NEW" })
          ]
        })
        await soon(discipline, () => existsSync(path("our.new")))
        for (const name of ["chrony.old", "our.old"]) await startFeeder(stage).ask(`sock ${path(name)} 0.02 50 2`)
        for (const name of ["chrony.new", "our.new"]) await startFeeder(stage).ask(`sock ${path(name)} 0.02 50 1`)
        await lastLine(path("refclocks.log"), / NEW .* N /, 3)
        const report = await soon(discipline, ({ sources }) => sources[1]?.verdict === "system-peer")
        expect(readFileSync(path("refclocks.log"), "utf8")).not.toMatch(/ OLD /)
        expect(report.sources[0]).toMatchObject({ reach: "000", dropped: { stale: expect.any(Number) as number } })
        expect(report.sources[1]).toMatchObject({ dropped: {} })
      })
    )
  }
)

describe.skipIf(
  !peersAvailable("reference clocks", ["ntpsec-ntpd", "ntpsec-ntpq"]) || !canMakeNamespaces("reference clocks")
)("NTPsec's ntpd", () => {
  it(
    "calls the clock the same, and measures the same",
    onStage(async (stage) => {
      const namespace = `meridian-clock-${process.pid}`
      execFileSync("ip", ["netns", "add", namespace])
      stage.atEnd(async () => void execFileSync("ip", ["netns", "delete", namespace]))
      execFileSync("ip", ["-n", namespace, "link", "set", "lo", "up"])
      const feeder = startFeeder(stage)
      const unit = await feeder.createSegment()
      await feeder.ask("run 0.03 10 1 0")
      const server = await startNtpsec(stage.folder, namespace, [
        `refclock shm unit ${unit} refid GPS time1 -0.01 minpoll 1 maxpoll 1 noselect`,
        `statsdir ${stage.folder.path}/`,
        "statistics peerstats",
        "filegen peerstats file peerstats type none enable"
      ])
      stage.atFirst(server.stop)
      const id = `SHM(${unit})`
      const theirs = await lastLine(stage.folder.file("peerstats"), new RegExp(String.raw`SHM\(${unit}\)`), 2)
      const statsdir = mkdtempSync(stage.folder.file("statistics-"))
      const discipline = await stage.start({
        referenceClocks: [referenceClock({ unit, time1: -0.01, flags: [false, false, false, true] })],
        statsdir,
        filegen: (["peerstats", "clockstats", "rawstats"] as const).map((name) => ({
          name,
          file: name,
          type: "day" as const,
          link: true
        }))
      })
      const report = await soon(discipline, ({ tracking }) => tracking.state === "synchronised")
      await lastLine(join(statsdir, "clockstats"), new RegExp(String.raw`SHM\(${unit}\)`), 3)
      const seen = seenByNtpviz(statsdir)
      expect(seen.peers).toEqual([id])
      expect(seen.clocks[0]).toEqual([
        // Modified Julian day and seconds have become milliseconds, and seconds as text.
        expect.any(Number),
        expect.any(String),
        id,
        ...fiveCounts
      ])
      expect(seen.clocks.length).toBeGreaterThanOrEqual(3)
      expect(theirs[2]).toBe(id)
      expect(Number(theirs[4])).toBeCloseTo(0.02, 3)
      expect(report.tracking).toMatchObject({ systemPeer: id })
      expect(report.tracking.offset).toBeCloseTo(0.02, 3)
    }),
    slow.timeout
  )
})
