import { describe, expect, it } from "vitest"
import { parseText } from "@meridian/config/parse"
import { effectiveSettings } from "@meridian/config/settings"
import { disciplineConfiguration } from "../src/discipline-plan.ts"

const planOf = (text: string) => {
  const { settings } = effectiveSettings(parseText("f", text).statements, {}, { cores: 1, interfaces: [] })
  return disciplineConfiguration(settings, "/state")
}

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
