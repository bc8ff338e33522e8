import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseText } from "../src/parse.ts"
import { renderSettings } from "../src/rendering.ts"
import { effectiveSettings } from "../src/settings.ts"

const settle = (text: string) => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, {}, { cores: 1, interfaces: [] })
  return {
    settings: effective.settings,
    clocks: effective.settings.referenceClocks.map(({ value }) => value),
    problems: [...diagnostics, ...effective.diagnostics].map(
      ({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`
    )
  }
}

describe("reference clocks", () => {
  it("are the same by name and by number", () => {
    const options = "mode 1 minpoll 4 maxpoll 5 prefer"
    const fudge = "refid GPS time1 0.1 time2 3600 stratum 2 flag1 1 flag4 1"
    const byName = settle(`refclock shm unit 3 ${options} ${fudge}`)
    expect(byName.problems).toEqual([])
    expect(byName.clocks).toEqual([
      {
        driver: "shm",
        kind: "shm",
        unit: 3,
        minPoll: 4,
        maxPoll: 5,
        prefer: true,
        noselect: false,
        truechimer: false,
        mode: 1,
        subtype: undefined,
        path: undefined,
        ppspath: undefined,
        baud: undefined,
        refid: "GPS",
        stratum: 2,
        time1: 0.1,
        time2: 3600,
        flags: [true, false, false, true]
      }
    ])
    const same = { clocks: byName.clocks, problems: [] }
    expect(settle(`refclock 28 unit 3 ${options} ${fudge}`)).toMatchObject(same)
    expect(settle(`fudge 127.127.28.3 ${fudge}\nserver 127.127.28.3 ${options}`)).toMatchObject(same)
    const half = fudge.indexOf("stratum")
    expect(
      settle(
        `server 127.127.28.3 ${options}\nfudge 127.127.28.3 ${fudge.slice(0, half)}\nfudge 127.127.28.3 ${fudge.slice(half)}`
      )
    ).toMatchObject(same)
    expect(settle("server 127.127.22.1").clocks).toEqual(settle("refclock pps unit 1").clocks)
  })

  it.each([
    ["refclock shm", "shm", undefined],
    ["refclock pps", "pps", "/dev/pps0"],
    ["refclock pps unit 2 flag2 1", "pps", "/dev/pps2"],
    ["refclock pps path /dev/gps-pps", "pps", "/dev/gps-pps"],
    ["refclock phc unit 1", "phc", "/dev/ptp1"],
    ["refclock sock unit 2", "sock", "/run/chrony.ttyS2.sock"],
    ["refclock sock path /run/chrony.ttyACM0.sock", "sock", "/run/chrony.ttyACM0.sock"]
  ])("%s reads %s at %s", (line, kind, path) => {
    const { clocks, problems } = settle(line)
    expect(problems).toEqual([])
    expect(clocks).toMatchObject([{ kind, driver: kind, path, minPoll: 6, maxPoll: 6 }])
  })

  it.each([
    [
      "refclock nmea mode 1 baud 9600",
      [
        "warning 1:10 the driver 'nmea' is known but not acted on yet; shm (28), pps (22), sock and phc are, and gpsd hands a receiver's time on by shm or sock; this line has no effect"
      ]
    ],
    [
      "refclock shm ppspath /dev/pps0",
      [
        "warning 1:14 'ppspath' has no effect with the driver shm; give the pulses a line of their own: refclock pps path FILE"
      ]
    ],
    ["refclock pps flag3 1", ["warning 1:14 'flag3' has no effect with the driver pps"]],
    ["refclock shm minpoll 7 maxpoll 4", ["error 1:22 found minpoll 7 above maxpoll 4, expected it at most as large"]],
    [
      "refclock shm refid GALILEO",
      ["error 1:20 found 'GALILEO', expected 1 to 4 printable ASCII characters such as GPS"]
    ],
    [
      "server 127.127.28.1\nfudge 127.127.28.1 refid GALILEO",
      ["error 2:26 found 'GALILEO', expected 1 to 4 printable ASCII characters such as GPS"]
    ],
    [
      "refclock shm unit 1\nserver 127.127.28.1",
      ["error 2:1 the reference clock shm unit 1 stands already at f:1; give this one another unit"]
    ],
    [
      "refclock sock path /a\nrefclock sock path /b",
      ["error 2:1 the reference clock sock unit 0 stands already at f:1; give this one another unit"]
    ]
  ])("%s is told what is wrong", (text, problems) => expect(settle(text).problems).toEqual(problems))

  it("takes one back that is there twice", () => {
    expect(settle("refclock shm unit 1\nserver 127.127.28.1\nunpeer clock shm unit 1")).toMatchObject({
      clocks: [],
      problems: []
    })
  })

  it("never throws, and what it gives has sane polls and a name of its own", () => {
    const word = fc.constantFrom("shm", "pps", "sock", "phc", "nmea", "28", "22", "20", "0", "SHM", "__proto__")
    const option = fc.oneof(
      fc.tuple(fc.constantFrom("unit", "mode", "minpoll", "maxpoll", "stratum"), fc.nat(20).map(String)),
      fc.tuple(fc.constantFrom("time1", "time2"), fc.double({ noNaN: true, noDefaultInfinity: true }).map(String)),
      fc.tuple(fc.constantFrom("refid", "path", "ppspath"), fc.string({ minLength: 1 })),
      fc.tuple(fc.constantFrom("flag1", "flag2", "flag3", "flag4"), fc.constantFrom("0", "1", "2"))
    )
    const line = fc
      .tuple(word, fc.array(option, { maxLength: 5 }))
      .map(([driver, options]) => `refclock ${driver} ${options.map((pair) => pair.join(" ")).join(" ")}`)
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), (lines) => {
        const { clocks: all, problems, settings } = settle(lines.join("\n"))
        const rendered = renderSettings(settings)
        // A driver without an effect is no setting.
        const clocks = all.filter(({ kind }) => kind !== undefined)
        for (const { minPoll, maxPoll, refid, kind, path } of clocks) {
          expect(minPoll).toBeLessThanOrEqual(maxPoll)
          expect(refid?.length ?? 0).toBeLessThanOrEqual(4)
          expect(path === undefined).toBe(kind === "shm")
        }
        const names = clocks.map(({ kind, unit }) => `${kind} ${unit}`)
        const isRefused = problems.some((problem) => problem.startsWith("error"))
        expect(isRefused ? clocks : settle(rendered).clocks).toEqual(clocks)
        expect(isRefused || new Set(names).size === names.length).toBe(true)
      }),
      { numRuns: 300 }
    )
  })
})
