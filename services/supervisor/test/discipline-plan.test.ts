import { describe, expect, it } from "vitest"
import { parseText, effectiveSettings } from "@meridian/config"
import { disciplineConfiguration } from "../src/discipline-plan.ts"

const planOf = (text: string) => {
  const { settings } = effectiveSettings(parseText("f", text).statements, {}, { cores: 1, interfaces: [] })
  return disciplineConfiguration(settings, "/state")
}

describe("peers that no line names", () => {
  it("are taken only where a line names trusted keys of a file, and so many as the file says", () => {
    const keys = "keys /k\ntrustedkey 5 (7 ... 9)\n"
    const passiveKeys = [
      { first: 5, last: 5 },
      { first: 7, last: 9 }
    ]
    expect(planOf(keys)).toMatchObject({ passivePeers: 16, passiveKeys })
    expect(planOf(`${keys}passivepeers 2`)).toMatchObject({ passivePeers: 2, passiveKeys })
    expect(planOf("")).toMatchObject({ passivePeers: 0, passiveKeys: [] })
    expect(planOf("trustedkey 5\npassivepeers 9")).toMatchObject({ passivePeers: 0, passiveKeys: [] })
    expect(planOf("keys /k")).toMatchObject({ passivePeers: 0, passiveKeys: [] })
  })
})

describe("reference clocks", () => {
  it("reach the clock's process from either syntax, with their defaults", () => {
    const named = planOf("refclock shm unit 2 refid GPS time1 0.1 prefer")
    expect(named.referenceClocks).toEqual([
      {
        driver: "shm",
        unit: 2,
        path: null,
        refid: "GPS",
        stratum: 0,
        minpoll: 6,
        maxpoll: 6,
        prefer: true,
        noselect: false,
        true: false,
        time1: 0.1,
        time2: 0,
        mode: 0,
        flags: [false, false, false, false]
      }
    ])
    expect(planOf("server 127.127.28.2 prefer\nfudge 127.127.28.2 refid GPS time1 0.1")).toEqual(named)
    expect(planOf("refclock pps\nrefclock sock path /run/gps.sock\nrefclock phc unit 1").referenceClocks).toMatchObject(
      [
        { driver: "pps", refid: "PPS", path: "/dev/pps0" },
        { driver: "sock", refid: "SOCK", path: "/run/gps.sock" },
        { driver: "phc", refid: "PHC", path: "/dev/ptp1" }
      ]
    )
  })

  it("are sources: beside them this machine's own clock is no reference unless a line says so", () => {
    expect(planOf("refclock shm").localReference).toBeNull()
    expect(planOf("refclock shm\nserver 127.127.1.0").localReference).toEqual({ stratum: 10 })
    // A driver that is not acted on is no source.
    expect(planOf("refclock nmea")).toMatchObject({ referenceClocks: [], localReference: { stratum: 10 } })
  })
})

describe("what a file says of sources, tos, tinker and files", () => {
  const plan = planOf(
    [
      "server -6 ntp.example bias -0.005 maxdelay 0.5 mindelay 0.001 asymmetry 0.25 filter 3 key 3 version 3 minpoll 4 maxpoll 8 burst iburst prefer noselect true xleave",
      "pool 2.pool.ntp.org presend 9",
      "tos ceiling 9 floor 2 maxclock 5 maxdist 3 minclock 2 mindist 0.01 minsane 4 orphan 6 orphanwait 60",
      "tinker dispersion 0.00001 freq -12.5 panic 7 stepback 0.1 stepfwd 0.5 stepout 900",
      "fallbackdrift 16 19",
      "maxupdateskew 100",
      "driftfile /d",
      "leapfile /l ignorehash",
      "leapsmearinterval 7200",
      "statsdir /s",
      "statistics loopstats",
      "filegen loopstats file loops type pid nolink",
      "discipline kernel"
    ].join("\n")
  )

  it("reaches the clock's process, every word of it", () => {
    const [server, pool] = plan.sources
    expect(server).toEqual({
      kind: "server",
      autokey: null,
      host: "ntp.example",
      family: 6,
      port: 123,
      iburst: true,
      burst: true,
      minpoll: 4,
      maxpoll: 8,
      prefer: true,
      noselect: true,
      true: true,
      keyId: 3,
      nts: null,
      version: 3,
      xleave: true,
      presend: null,
      bias: -0.005,
      screen: {
        maxdelay: 0.5,
        maxdelayratio: null,
        maxdelaydevratio: null,
        mindelay: 0.001,
        asymmetry: 0.25,
        filter: 3
      }
    })
    expect(pool).toMatchObject({ kind: "pool", family: null, bias: 0, screen: null, presend: 9 })
    expect(plan).toMatchObject({
      tos: {
        ceiling: 9,
        floor: 2,
        maxclock: 5,
        maxdist: 3,
        minclock: 2,
        mindist: 0.01,
        minsane: 4,
        orphan: 6,
        orphanwait: 60
      },
      tinker: { dispersion: 0.00001, freq: -12.5, panic: 7, stepback: 0.1, stepfwd: 0.5, stepout: 900 },
      fallbackDrift: { min: 16, max: 19 },
      maxUpdateSkew: 100,
      driftfile: "/d",
      leapfile: "/l",
      leapfileHashIgnored: true,
      leapSmearSeconds: 7200,
      statsdir: "/s",
      filegen: [{ name: "loopstats", file: "loops", type: "pid", link: false }],
      mode: "kernel"
    })
  })

  it("is the default where it says nothing", () => {
    const { tinker, leapfileHashIgnored } = planOf("server h")
    expect(tinker).toMatchObject({ freq: null, stepback: 0.128, stepfwd: 0.128 })
    expect(leapfileHashIgnored).toBe(false)
  })
})
