/** Files that were written for other daemons: what is taken without a word of its own, what is left out, what is refused. */
import { describe, expect, it } from "vitest"
import { loadSettings } from "../src/load.ts"

const load = (text: string | Uint8Array, files: Readonly<Record<string, string>> = {}, ntpPort = false) =>
  loadSettings({
    file: "f",
    readFile: (path, from) => {
      const found = from === undefined ? text : files[path]
      if (found === undefined) return { ok: false, reason: "no such file", missing: true }
      if (found === "locked") return { ok: false, reason: "permission denied" }
      return { ok: true, bytes: typeof found === "string" ? new TextEncoder().encode(found) : found }
    },
    overrides: {},
    machine: { cores: 1, interfaces: [], ntpPort }
  })

const problems = (text: string | Uint8Array, files?: Readonly<Record<string, string>>) =>
  load(text, files).diagnostics.map(({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`)

describe("a line that no daemon reads", () => {
  it("is left out where it is a sentence that lost its #", () => {
    const { usable, settings } = load("Managed by puppet, do not edit\nserver 192.0.2.1\n")
    expect(usable).toBe(true)
    expect(settings.sources).toHaveLength(1)
    expect(problems("Managed by puppet, do not edit\nserver 192.0.2.1\n")).toEqual([
      "warning 1:1 found 'Managed', which begins no directive: this line is left out, as by ntpd; put # before it"
    ])
    expect(problems("authenticate yes\nserver 192.0.2.1")).toHaveLength(1)
  })

  it.each([
    ["restric default ignore", "did you mean 'restrict'?"],
    ["Restrict default ignore", "did you mean 'restrict'?"],
    ["block 10.0.0.0/8", "expected a directive"],
    ["gateway 2001:db8::1", "expected a directive"],
    ["ntp server 192.0.2.1", "expected a directive"]
  ])("is refused where something was meant by it: %s", (line, message) => {
    expect(load(`server 192.0.2.1\n${line}`).usable).toBe(false)
    expect(problems(`server 192.0.2.1\n${line}`).join()).toContain(message)
  })

  it("refuses the file where it has no other: it is another program's", () => {
    expect(problems("[observability]\nlog-level = 'info'\n")).toEqual([
      "warning 1:1 found '[observability]', which begins no directive: this line is left out, as by ntpd; put # before it",
      "error 1:1 no line of 'f' is one of ntp.conf; is it another program's file?",
      "warning 2:1 found 'log-level', which begins no directive: this line is left out, as by ntpd; put # before it"
    ])
    expect(load("# nothing\n").usable).toBe(true)
  })
})

describe("an option that a daemon drops", () => {
  it("is named, and its line counts", () => {
    expect(problems("server 192.0.2.1 port 1123 iburst")).toEqual([
      "error 1:18 found 'port', expected the end of the line or an option of 'server'; a port stands behind the host: HOST:PORT"
    ])
    expect(load("server 192.0.2.1 dynamic iburst").settings.sources).toMatchObject([{ value: { iburst: true } }])
    expect(problems("server 192.0.2.1 dynamic iburst")).toEqual([
      "warning 1:18 'dynamic' has no effect: names that have no address yet are looked up again by themselves"
    ])
  })

  it("is refused where nobody drops it", () => {
    expect(problems("server 192.0.2.1 dynmic")).toEqual([
      "error 1:18 found 'dynmic', expected the end of the line or an option of 'server'"
    ])
  })
})

describe("an included file", () => {
  it("that is not there is named, and the rest is used", () => {
    const { usable, missing, files } = load("includefile /etc/ntp/crypto/pw\nserver 192.0.2.1")
    expect({ usable, missing, files }).toEqual({ usable: true, missing: ["/etc/ntp/crypto/pw"], files: ["f"] })
    expect(problems("includefile /etc/ntp/crypto/pw")).toEqual([
      "warning 1:13 '/etc/ntp/crypto/pw' is not there; the rest is used without it"
    ])
  })

  it("that is there and cannot be read may close the server: it is an error", () => {
    expect(problems("includefile /l", { "/l": "locked" })).toEqual([
      "error 1:13 '/l' cannot be read: permission denied"
    ])
  })
})

describe("a byte that is not UTF-8", () => {
  const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

  it("is no error in a comment", () => {
    const { usable, diagnostics, settings } = load(latin1('server 192.0.2.1 # für die Büros\n# "Zürich\nport 124'))
    expect([usable, diagnostics, settings.sources.length, settings.port.value]).toEqual([true, [], 1, 124])
  })

  it.each(["server zürich", 'logfile "/var/log/b#ür"', "trustedkey (1 ... #ü)"])("is one elsewhere: %s", (line) => {
    expect(problems(latin1(line)).join()).toContain("found byte 0xfc, which is not UTF-8")
  })
})

describe("this machine's own clock", () => {
  const local = (text: string) => {
    const { localReference, localClock } = load(text).settings
    return `${localClock.value} ${localReference.value.stratum}`
  }

  it.each([
    ["server 127.127.1.0", "127.127.1.0 10"],
    ["server 127.127.1.1\nfudge 127.127.1.1 stratum 12", "127.127.1.1 12"],
    ["fudge 127.127.1.3 stratum 7\nserver 127.127.1.3", "127.127.1.3 7"],
    ["server 127.127.1.0\nfudge 127.127.1.1 stratum 12", "127.127.1.0 10"],
    ["refclock local unit 2 stratum 9", "127.127.1.2 9"],
    [
      "server 127.127.1.1\nfudge 127.127.1.1 stratum 12\nserver 127.127.1.0\nfudge 127.127.1.0 stratum 6",
      "127.127.1.0 6"
    ]
  ])("is any unit of it, by its own fudge: %j", (text, expected) => expect(local(text)).toBe(expected))

  it("gives no source and no warning", () => {
    const { settings, diagnostics } = load("server 127.127.1.1\nfudge 127.127.1.1 stratum 12")
    expect([settings.sources, settings.referenceClocks, diagnostics]).toEqual([[], [], []])
  })

  it("may have a fudge and no server, as in ntpd, with a warning", () => {
    expect(problems("server 192.0.2.1\nfudge 127.127.1.0 stratum 10")).toEqual([
      "warning 2:7 'fudge 127.127.1.0' has no line 'server 127.127.1.0' to apply to; it has no effect"
    ])
  })

  it("given twice is named", () => {
    expect(problems("server 127.127.1.0\nserver 127.127.1.1\nfudge 127.127.1.1 stratum 3")).toEqual([
      "warning 1:1 127.127.1.0 is this machine's clock, as 127.127.1.1 is, whose stratum counts; this line has no effect"
    ])
  })
})

describe("a source under a symmetric key", () => {
  it.each([
    ["server a key 5", "key 5 is in no file, so nothing can be sent to this server; add the line: keys FILE"],
    [
      "keys /k\npeer a key 5",
      "key 5 is not trusted, so nothing can be sent to this server; add the line: trustedkey 5"
    ],
    ["keys /k\ntrustedkey (1 ... 9)\npool a key 5", undefined],
    ["server a nts key 5", "'key' has no effect beside 'nts', which authenticates by itself"]
  ])("that it cannot have is named: %j", (text, message) => {
    expect(load(text).diagnostics.map((one) => one.message)).toEqual(message === undefined ? [] : [message])
  })
})

describe("records without a statsdir", () => {
  it.each([
    ["statistics loopstats\nfilegen loopstats file loopstats type day enable", 1],
    ["filegen peerstats enable", 1],
    ["statsdir /var/log/ntpstats/\nstatistics loopstats", 0],
    ["statistics loopstats\ndisable stats", 0],
    ["filegen loopstats disable", 0]
  ])("are said to go elsewhere than classic ntpd's, which writes none: %j", (text, count) => {
    expect(problems(text).filter((one) => one.includes("no line says statsdir"))).toHaveLength(count)
  })
})

describe("the port", () => {
  it.each([
    [undefined, true, 11123],
    ["", false, 11123],
    ["", true, 123],
    ["port 1123", true, 1123]
  ])("of the file %j, where 123 may be bound: %j, is %i", (text, ntpPort, port) => {
    const file = text === undefined ? undefined : "f"
    const { settings } = loadSettings({
      file,
      readFile: () => ({ ok: true, bytes: new TextEncoder().encode(text) }),
      overrides: {},
      machine: { cores: 1, interfaces: [], ntpPort }
    })
    expect(settings.port.value).toBe(port)
  })
})

describe("diagnostics", () => {
  it("stand in the order of the lines, those of included files at their place", () => {
    const lines = ["trustedkey 1", "includefile g", "fudge 127.127.28.0 refid X", "calldelay 1", "server a preempt"]
    const { diagnostics } = load(lines.join("\n"), { g: "setvar x=1\nserver b key 3" })
    expect(diagnostics.map(({ file, line }) => `${file}:${line}`)).toEqual(["f:1", "g:1", "g:2", "f:3", "f:4", "f:5"])
  })

  it("have no knock-on of an error", () => {
    expect(problems("keys\ntrustedkey 5\ntrustedky 6\ncontrolkey 6")).toEqual([
      "error 1:5 found the end of the line, expected file of 'keys': a file's path; write: keys FILE",
      "error 3:1 found 'trustedky', expected a directive; did you mean 'trustedkey'?"
    ])
    expect(problems("server 127.127.28.0 mod 3\nfudge 127.127.28.0 flag1 1")).toHaveLength(1)
    expect(problems("nts crt /c\nnts key /k")).toHaveLength(1)
  })

  it.each([
    ["statsdir /s\nstatistics loopstats protostats", "2:22"],
    ["statsdir /s\nfilegen protostats", "2:9"],
    ["disable ntp monitor", "1:13"],
    ["restrict default ippeerlimit 3", "1:18"],
    ["restrict default serverresponse fuzz noquery", "1:18"],
    ["server a minpoll 4 mode 3", "1:20"],
    ["refclock shm holdover 20", "1:14"],
    ["clientlimit 3", "1:1"],
    ["mru maxage 5 mindepth 600", "1:14"],
    ["tos minclock 3 cohort 1", "1:16"]
  ])("have their caret under the word that they are about: %j", (text, place) => {
    expect(load(text).diagnostics.map(({ line, column }) => `${line}:${column}`)).toEqual([place])
  })
})
