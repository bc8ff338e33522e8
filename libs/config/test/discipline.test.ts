import { describe, expect, it } from "vitest"
import { DIRECTIVES } from "../src/directives.ts"
import { parseText } from "../src/parse.ts"
import { effectiveSettings } from "../src/settings.ts"
import { problems, settle } from "./settled.ts"

describe("rows about the clock and its sources", () => {
  const inert: Record<string, string> = {
    requestkey: "requestkey 1"
  }
  const acted: Record<string, string> = {
    pool: "pool 2.debian.pool.ntp.org iburst",
    peer: "peer h key 3",
    unpeer: "unpeer h",
    passivepeers: "passivepeers 0",
    refclock: "refclock shm unit 2 refid GPS time1 0.1 flag1 1",
    tos: "tos maxclock 11",
    tinker: "tinker panic 0",
    driftfile: "driftfile /d",
    fallbackdrift: "fallbackdrift 16 19",
    maxupdateskew: "maxupdateskew 100.0",
    leapfile: "leapfile /l",
    leapsmearinterval: "leapsmearinterval 86400",
    statsdir: "statsdir /s/",
    statistics: "statistics loopstats peerstats",
    filegen: "filegen loopstats file loopstats type day enable",
    discipline: "discipline kernel",
    enable: "enable stats",
    disable: "disable ntp kernel"
  }

  it("are acted on, but for these", () => {
    expect(new Set(Object.keys(inert))).toEqual(
      new Set(DIRECTIVES.filter(({ actedOn }) => actedOn === false).map(({ name }) => name))
    )
  })

  it.each(Object.entries(acted))("%s is taken without a remark", (_word, line) => {
    const { statements, diagnostics } = parseText("f", line)
    expect(statements).toHaveLength(1)
    expect(diagnostics).toEqual([])
  })

  it.each(Object.entries(inert))("%s is checked, kept and warned about", (word, line) => {
    const { statements, diagnostics } = parseText("f", line)
    expect(statements).toHaveLength(1)
    const reasons: Record<string, string> = {
      requestkey: "has no effect: it is the key of the classic ntpdc's mode 7 requests, and nothing here answers those"
    }
    expect(diagnostics.map(({ severity, message }) => `${severity} ${message}`)).toEqual([
      `warning '${word}' ${reasons[word] ?? "is known but not acted on yet; this line has no effect"}`
    ])
  })

  it.each([
    "tos",
    "tinker",
    "tos maxclock 0",
    "tos maxclok 3",
    "tinker freq 501",
    "leapsmearinterval -1",
    "statistics",
    "statistics loopstat",
    "filegen loopstats type hourly",
    "filegen loopstats file ../x",
    "enable",
    "enable mtp",
    "discipline",
    "discipline pll",
    "tos floor 5 ceiling 4",
    "server h minpoll 7 maxpoll 6",
    "server h:0",
    "server h:99999 nts",
    "server [h]:1",
    "server h nts aead DES"
  ])("%j is refused", (text) => {
    expect(settle(text).diagnostics.map(({ severity }) => severity)).toContain("error")
  })
})

describe("the discipline", () => {
  const discipline = (text: string) => settle(text).settings.discipline

  it("folds tos and tinker lines option by option", () => {
    const { selection, loop } = discipline(
      "tos minclock 4 minsane 3\ntos minclock 5\ntinker step 0.5 stepback 0\ntinker panic 0"
    )
    expect([selection.minclock.value, selection.minsane.value, selection.maxclock.value]).toEqual([5, 3, 10])
    expect(selection.minsane.origin).toMatchObject({ line: 1 })
    expect([loop.stepfwd.value, loop.stepback.value, loop.panic.value, loop.stepout.value]).toEqual([0.5, 0, 0, 300])
  })

  const effective = [
    "tos ceiling 9 floor 0 maxclock 5 maxdist 3 minclock 2 mindist 0.01 minsane 2 orphan 6 orphanwait 60",
    "tinker dispersion .00001 freq -12.5 panic 0 step 0 stepback 1e-1 stepfwd 0.5 stepout 900"
  ]
  it.each<readonly [line: string, why: string | undefined]>([
    ["tos basedate 2019-01-01", "eras"],
    ["tos bcpollbstep 3", "broadcast"],
    ["tos beacon 3600", "manycast"],
    ["tos cohort 1", "manycast"],
    ["tos maxdisp 3", "maxdist"],
    ["tinker allan 1500", "noise"],
    ["tinker huffpuff 7200", "queue"],
    ["tinker tick 10", "kernel mode"],
    ["driftfile /d 0.1", "hourly"],
    ["statistics loopstats protostats", "'protostats' has no effect: 'meridian log'"],
    ["filegen protostats", "'protostats' has no effect: 'meridian log'"],
    ["statistics loopstats usestats", "'usestats' has no effect: /metrics"],
    ["statistics loopstats ntskestats", "'ntskestats' has no effect: 'ntpq -c ntsinfo'"],
    ["filegen ntskelog disable", undefined],
    ["statistics clockstats loopstats peerstats rawstats sysstats", undefined],
    ...effective.map((line) => [line, undefined] as const)
  ])("%s has an effect on all that it names, or a warning says why not", (line, why) => {
    const messages = settle(`statsdir /s\n${line}`).diagnostics.map(({ severity, message }) => `${severity} ${message}`)
    expect(messages).toHaveLength(why === undefined ? 0 : 1)
    expect(messages.join()).toMatch(why === undefined ? /^$/ : /^warning '\w+' has no effect: /)
    expect(messages.join()).toContain(why ?? "")
  })

  it("takes chrony's fallbackdrift and maxupdateskew, the last line of each", () => {
    const { fallbackDrift, maxUpdateSkew } = discipline("fallbackdrift 10 12\nfallbackdrift 16 19\nmaxupdateskew 0.5")
    expect(fallbackDrift).toMatchObject({ value: { min: 16, max: 19 }, origin: { line: 2 } })
    expect(maxUpdateSkew.value).toBe(0.5)
    expect(discipline("").fallbackDrift.value).toBeUndefined()
    expect(discipline("").maxUpdateSkew.value).toBeUndefined()
    expect(problems("fallbackdrift 19 16")).toEqual(["error 1:15 found 19 before 16, expected the shorter time first"])
  })

  it("keeps files by name, and none where the name is empty", () => {
    const files = discipline("driftfile /d\nleapfile /l ignorehash\nstatsdir /s/")
    expect([files.driftFile.value, files.leapFile.value, files.leapFileChecked.value]).toEqual(["/d", "/l", false])
    expect(files.statisticsDirectory.value).toBe("/s/")
    expect(discipline("driftfile").driftFile).toMatchObject({ value: undefined, origin: { kind: "file" } })
    expect(discipline('driftfile ""').driftFile).toMatchObject({ value: undefined, origin: { kind: "file" } })
  })

  it("makes records of statistics and filegen lines", () => {
    const { statistics } = discipline(
      "filegen loopstats file loops type week nolink\nstatistics loopstats peerstats\nfilegen peerstats disable"
    )
    expect([...statistics].map(([name, { value }]) => ({ name, ...value }))).toEqual([
      { name: "loopstats", file: "loops", type: "week", link: false, enabled: true },
      { name: "peerstats", file: "peerstats", type: "day", link: true, enabled: false }
    ])
  })

  it("leaves the system's clock alone unless it is told otherwise", () => {
    expect(discipline("").mode).toMatchObject({ value: "virtual", origin: { kind: "default" } })
    expect(discipline("discipline kernel").mode).toMatchObject({ value: "kernel", origin: { line: 1 } })
    const { statements } = parseText("f", "discipline kernel")
    const machine = { cores: 1, interfaces: [] }
    const flagged = effectiveSettings(statements, { discipline: "virtual", panicGate: true }, machine).settings
      .discipline
    expect([flagged.mode.value, flagged.panicGate.value]).toEqual(["virtual", true])
  })

  it("leaves it alone where 'disable ntp' opens the loop, whoever asks", () => {
    const text = "discipline kernel\ndisable ntp"
    expect(discipline(text).mode).toMatchObject({ value: "virtual", origin: { line: 2 } })
    expect(problems(text)).toEqual([
      "warning 2:1 'disable ntp' leaves the system's clock alone: 'discipline kernel' has no effect"
    ])
    expect(problems("disable ntp")).toEqual([])
    expect(discipline(`${text}\nenable ntp`).mode.value).toBe("kernel")
    const { statements } = parseText("f", "disable ntp")
    const { settings } = effectiveSettings(statements, { discipline: "kernel" }, { cores: 1, interfaces: [] })
    expect(settings.discipline.mode.value).toBe("virtual")
  })

  it.each([
    ["enable ntp", undefined],
    ["disable ntp", undefined],
    ["enable stats", undefined],
    ["disable stats", undefined],
    ["enable kernel", "the kernel's own clock loop is never used"],
    ["disable kernel", undefined],
    ["enable monitor", undefined],
    ["disable monitor", "where anybody is limited the list of clients is kept"],
    ["enable auth", undefined],
    ["disable auth", "a peer that no line names is taken under a trusted key and never without one"],
    ["enable calibrate", "'time1'"],
    ["enable bclient", undefined],
    ["enable mode7", "by mode 6"],
    ["enable pps", "'refclock pps'"],
    ["disable unpeer_crypto_early", "ends no association"],
    ["enable unpeer_crypto_nak_early", "ends no association"],
    ["disable unpeer_digest_early", "ends no association"],
    ["disable peer_clear_digest_early", "ends no association"],
    ["disable calibrate bclient mode7 pps", undefined]
  ])("%s is acted on, says what is the case, or says why it has no effect", (text, why) => {
    const messages = settle(text).diagnostics.map(({ severity, message }) => `${severity} ${message}`)
    const expected = why === undefined ? [] : [`warning '${text}' has no effect: `]
    expect(messages.map((message) => message.slice(0, expected[0]?.length ?? Infinity))).toEqual(expected)
    expect(messages.join()).toContain(why ?? "")
  })

  it("lets the last line about a flag count", () => {
    const { flags } = discipline("disable ntp monitor\nenable monitor calibrate")
    expect([flags.ntp.value, flags.monitor.value, flags.calibrate.value, flags.kernel.value]).toEqual([
      false,
      true,
      true,
      true
    ])
  })
})
