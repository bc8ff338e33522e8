import { describe, expect, it } from "vitest"
import { DIRECTIVES } from "../src/directives.ts"
import { parseText } from "../src/parse.ts"
import { effectiveSettings } from "../src/settings.ts"

const settle = (text: string) => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, {}, { cores: 1, interfaces: [] })
  return { ...effective, diagnostics: [...diagnostics, ...effective.diagnostics] }
}

/** The diagnostics besides the warnings that a line has no effect yet. */
const problems = (text: string) =>
  settle(text)
    .diagnostics.filter(({ message }) => !message.includes("yet"))
    .map(({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`)

const sources = (text: string) => settle(text).settings.sources.map(({ value }) => value)

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

describe("sources", () => {
  it("have the defaults of ntp.conf(5)", () => {
    expect(sources("server ntp.example")).toEqual([
      {
        kind: "server",
        family: undefined,
        host: "ntp.example",
        port: undefined,
        version: 4,
        minPoll: 6,
        maxPoll: 10,
        burst: false,
        iburst: false,
        prefer: false,
        noselect: false,
        truechimer: false,
        preempt: false,
        xleave: false,
        bias: 0,
        presend: undefined,
        path: {
          maxDelay: undefined,
          maxDelayRatio: undefined,
          maxDelayDevRatio: undefined,
          minDelay: undefined,
          asymmetry: undefined,
          filter: undefined
        },
        mode: 0,
        key: undefined,
        nts: undefined
      }
    ])
  })

  it("take chrony's words for a path, and `offset` as `bias`", () => {
    const line = "offset 0.5 mindelay 2e-4 asymmetry 0.499 maxdelay 0.1 maxdelayratio 2 maxdelaydevratio 10 filter 5"
    expect(sources(`server ntp.example ${line}`)).toMatchObject([
      {
        bias: 0.5,
        path: { maxDelay: 0.1, maxDelayRatio: 2, maxDelayDevRatio: 10, minDelay: 2e-4, asymmetry: 0.499, filter: 5 }
      }
    ])
  })

  it("take chrony's presend, but for peers and beside xleave", () => {
    expect(sources("server ntp.example presend 9")).toMatchObject([{ presend: 9 }])
    expect(sources("peer ntp.example presend 9")).toMatchObject([{ presend: undefined }])
    expect(problems("peer ntp.example presend 9")).toEqual(["warning 1:18 'presend' has no effect on a peer"])
    expect(problems("server ntp.example xleave presend 9")).toEqual([
      "warning 1:27 'presend' has no effect beside 'xleave'"
    ])
  })

  it("take every option", () => {
    expect(
      sources(
        "peer -6 [2001:db8::1]:4461 burst iburst prefer noselect true preempt xleave bias 0.5 mode 3 version 3 key 9"
      )
    ).toMatchObject([
      {
        kind: "peer",
        family: 6,
        host: "2001:db8::1",
        port: 4461,
        version: 3,
        burst: true,
        iburst: true,
        prefer: true,
        noselect: true,
        truechimer: true,
        preempt: true,
        xleave: true,
        bias: 0.5,
        mode: 3,
        key: 9
      }
    ])
  })

  it.each([
    ["server 2001:db8::1", "2001:db8::1", undefined],
    ["server 192.0.2.1:11123", "192.0.2.1", 11123],
    ["server ntp.example:4461 nts", "ntp.example", 4461],
    ["server [::1]", "::1", undefined]
  ])("%s is %s, port %s", (text, host, port) => expect(sources(text)).toMatchObject([{ host, port }]))

  it("keep NTS to itself", () => {
    expect(sources("server h nts noval ca /r aead AES_SIV_CMAC_512 key 3")).toMatchObject([
      { key: undefined, nts: { verify: false, ca: "/r", aead: 17 } }
    ])
    expect(problems("server h nts key 3")).toEqual([
      "warning 1:14 'key' has no effect beside 'nts', which authenticates by itself"
    ])
    expect(sources("peer h nts")).toMatchObject([{ kind: "server", nts: { verify: true } }])
    expect(problems("peer h nts")).toEqual(["warning 1:8 'nts' is for clients of a server: this peer is asked as one"])
    expect(sources("peer h key 3")).toMatchObject([{ kind: "peer", key: 3 }])
    expect(problems("server h noval")).toEqual(["warning 1:10 'noval' has no effect without 'nts'"])
  })

  it.each([
    ["server h minpoll 12", 12, 12],
    ["server h maxpoll 4", 4, 4],
    ["server h minpoll 3 maxpoll 5", 3, 5]
  ])("%s polls from %i to %i", (text, minPoll, maxPoll) => expect(sources(text)).toMatchObject([{ minPoll, maxPoll }]))

  it("are told apart by address and port, however these are written: the first line of one counts", () => {
    const text = "server 2001:db8::1 minpoll 3\nserver [2001:DB8:0::1]:123\npool Ntp.example\nserver ntp.example iburst"
    expect(sources(text)).toMatchObject([
      { host: "2001:db8::1", minPoll: 3 },
      { kind: "pool", host: "Ntp.example" }
    ])
    expect(problems(text)).toEqual([
      "warning 2:1 '2001:DB8:0::1' is a source already, by f:1; this line has no effect",
      "warning 4:1 'ntp.example' is a source already, by f:3; this line has no effect"
    ])
    const ports = "server 192.0.2.1:1123\nserver 192.0.2.1:1124\nserver h nts\nserver h:4460 nts\nserver h:4461 nts"
    expect(sources(ports).map(({ port }) => port)).toEqual([1123, 1124, undefined, 4461])
    expect(problems(ports)).toEqual(["warning 4:1 'h' is a source already, by f:3; this line has no effect"])
    expect(problems("server 192.0.2.1\nserver 192.0.2.2:123\nunpeer 192.0.2.1\nserver 192.0.2.1")).toEqual([])
  })

  it("are taken back by the address that unpeer means, and it says where it means none", () => {
    expect(sources("server [2001:db8::1]:11123\nunpeer 2001:db8:0:0::1")).toEqual([])
    expect(sources("server 192.0.2.1:11123\nunpeer 192.0.2.1:11123")).toEqual([])
    expect(sources("server 192.0.2.1:11123\nserver 192.0.2.1\nunpeer 192.0.2.1:123")).toMatchObject([{ port: 11123 }])
    expect(problems("server a\nunpeer b\nunpeer clock shm unit 3")).toEqual([
      "warning 2:1 'unpeer' finds no such source; it has no effect",
      "warning 3:1 'unpeer' finds no such source; it has no effect"
    ])
  })

  it("are of the family that is asked for", () => {
    expect(sources("server -6 ntp.example\nserver -4 192.0.2.1")).toMatchObject([{ family: 6 }, { family: 4 }])
    expect(problems("pool -4 [::1]")).toEqual(["error 1:9 found '[::1]', expected an IPv4 address or a name behind -4"])
  })

  it.each([
    ["autokey", "add the line: crypto pw PASSWORD"],
    ["ident GROUP", "has no effect without 'autokey'"],
    ["preempt", "is known but not acted on yet"],
    ["mode 3", "is known but not acted on yet"],
    ["ttl 3", "is known but not acted on yet"],
    ["ask h", "is known but not acted on yet"],
    ["require h", "is known but not acted on yet"],
    ["cert /c", "is known but not acted on yet"],
    ...["burst", "iburst", "noselect", "prefer", "true", "xleave", "xmtnonce", "bias -0.01", "key 3", "version 3"].map(
      (option) => [option, undefined] as const
    ),
    ...["minpoll 4", "maxpoll 17", "nts", "nts noval", "nts ca /c", "nts aead AES_SIV_CMAC_256"].map(
      (option) => [option, undefined] as const
    )
  ] as const)("with `%s` say whether it has an effect", (option, why) => {
    for (const kind of ["server", "pool"]) {
      const messages = settle(`keys /k\ntrustedkey 3\n${kind} h ${option}`).diagnostics.map(({ message }) => message)
      expect(messages).toHaveLength(why === undefined ? 0 : 1)
      expect(messages.join()).toContain(why ?? "")
    }
  })

  it("may be peers that no line names: sixteen, or as many as the last line says", () => {
    const most = (text: string) => settle(text).settings.passivePeers.value
    expect([most(""), most("passivepeers 0"), most("passivepeers 3\npassivepeers 64")]).toEqual([16, 0, 64])
    expect(problems("passivepeers 65")[0]).toMatch(/^error 1:14 /)
  })

  it("are taken back by unpeer wherever it stands", () => {
    expect(sources("unpeer b\nserver a\npool b\npeer b").map(({ host }) => host)).toEqual(["a"])
    const clocks = "refclock shm unit 1\nserver 127.127.28.2\n"
    const left = (more: string) =>
      settle(clocks + more).settings.referenceClocks.map(({ value }) => [value.driver, value.unit])
    expect(left("")).toEqual([
      ["shm", 1],
      ["shm", 2]
    ])
    expect(left("unpeer clock shm unit 1")).toEqual([["shm", 2]])
    expect(left("unpeer clock 28 unit 2")).toEqual([["shm", 1]])
    expect(left("unpeer 127.127.28.1")).toEqual([["shm", 2]])
    expect(left("unpeer 127.127.28.2")).toEqual([["shm", 1]])
    expect(left("unpeer clock shm")).toHaveLength(2)
  })

  it("are clocks in the form with numbers, with all their fudge lines", () => {
    const { referenceClocks, localReference } = settle(
      "server 127.127.28.1 prefer\nfudge 127.127.28.1 time1 0.25\nfudge 127.127.28.1 refid GPS flag2 1\nfudge 127.127.28.0 stratum 3\nserver 127.127.1.0"
    ).settings
    expect(referenceClocks.map(({ value }) => value)).toMatchObject([
      {
        driver: "shm",
        unit: 1,
        prefer: true,
        time1: 0.25,
        refid: "GPS",
        stratum: undefined,
        flags: [false, true, false, false]
      }
    ])
    expect(localReference.value.stratum).toBe(10)
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
    ["statistics loopstats protostats", "'protostats' has no effect: that record"],
    ["filegen protostats", "'protostats' has no effect: that record"],
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
    ["disable monitor", "the list of clients is always kept"],
    ["enable auth", undefined],
    ["disable auth", "a peer that no line names is taken under a trusted key and never without one"],
    ["enable calibrate", "not acted on yet"],
    ["enable bclient", undefined],
    ["enable mode7", "not acted on yet"],
    ["enable pps", "not acted on yet"],
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
