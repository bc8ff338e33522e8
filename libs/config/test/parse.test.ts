import { describe, expect, it } from "vitest"
import { formatDiagnostics } from "@meridian/config/diagnostic"
import { listenDirective, portDirective, userDirective } from "../src/directives.ts"
import { loadSettings } from "../src/load.ts"
import { parseConfiguration, parseText, type ReadFile, resolveInclude } from "../src/parse.ts"
import { describeSettings } from "../src/rendering.ts"
import { fudgeDirective, serverDirective } from "../src/source-directives.ts"
import { statementsOf } from "../src/statement.ts"

/** What a compiler would print for a text. */
const rendered = (text: string): string => formatDiagnostics(parseText("ntp.conf", text).diagnostics)

const lines = (...all: string[]): string => all.join("\n")

describe("good lines", () => {
  it("gives typed values and their places", () => {
    const { statements, diagnostics } = parseText(
      "f",
      'port 123\nlisten *\nuser ntp:ntp # drop to it\nserver -4 "ntp.example" iburst minpoll 4 key 7\nfudge 127.127.1.0 stratum 3 time1 -0.5e-3'
    )
    expect(diagnostics).toEqual([])
    expect(statementsOf(statements, portDirective).map(({ values }) => values)).toEqual([{ port: 123 }])
    expect(statementsOf(statements, listenDirective)[0]?.values.address.map(({ text }) => text)).toEqual([
      "0.0.0.0",
      "::"
    ])
    expect(statementsOf(statements, userDirective)[0]?.values.user).toBe("ntp:ntp")
    const [server] = statementsOf(statements, serverDirective)
    expect(server?.values).toEqual({ family: "-4", host: "ntp.example", iburst: true, minpoll: 4, key: 7 })
    expect(server?.places.get("key")).toMatchObject({ line: 4, column: 46 })
    expect(statementsOf(statements, fudgeDirective)[0]?.values).toEqual({
      clock: "127.127.1.0",
      stratum: 3,
      time1: -0.0005
    })
  })

  it("takes nic for interface", () => {
    const { statements, diagnostics } = parseText("f", "nic listen 10.0.0.0/8")
    expect(diagnostics).toEqual([])
    expect(statements[0]?.directive.name).toBe("interface")
  })
})

describe("bad lines print like a compiler's", () => {
  it.each([
    [
      "port 70000",
      lines(
        "ntp.conf:1:6: error: found '70000', expected a whole number from 1 to 65535",
        "    1 | port 70000",
        "      |      ^~~~~"
      )
    ],
    [
      "# first\n\tprot 123",
      lines(
        "ntp.conf:2:2: error: found 'prot', expected a directive; did you mean 'port'?",
        "    2 |         prot 123",
        "      |         ^~~~"
      )
    ],
    [
      "Port 123",
      lines(
        "ntp.conf:1:1: error: found 'Port', expected a directive; did you mean 'port'?",
        "    1 | Port 123",
        "      | ^~~~"
      )
    ],
    [
      '"port" 123',
      lines(
        "ntp.conf:1:1: error: found the string 'port', expected a directive's name at the start of the line",
        '    1 | "port" 123',
        "      | ^~~~~~"
      )
    ],
    [
      "workers",
      lines(
        "ntp.conf:1:8: error: found the end of the line, expected count of 'workers': a whole number from 1 to 256; write: workers N",
        "    1 | workers",
        "      |        ^"
      )
    ],
    [
      "port 1 2",
      lines("ntp.conf:1:8: error: found '2', expected the end of the line", "    1 | port 1 2", "      |        ^")
    ],
    [
      "listen\t日本\tx",
      lines(
        "ntp.conf:1:8: error: found '日本', expected an IPv4 or IPv6 address, or *",
        "    1 | listen  日本    x",
        "      |         ^~~~",
        "ntp.conf:1:11: error: found 'x', expected the end of the line",
        "    1 | listen  日本    x",
        "      |                 ^"
      )
    ],
    [
      "fudge 127.127.1.0 stratm 4",
      lines(
        "ntp.conf:1:19: error: found 'stratm', expected the end of the line or an option of 'fudge'; did you mean 'stratum'?",
        "    1 | fudge 127.127.1.0 stratm 4",
        "      |                   ^~~~~~"
      )
    ],
    [
      "fudge 127.127.1.0 stratum",
      lines(
        "ntp.conf:1:26: error: found the end of the line, expected the value of 'stratum': a whole number from 0 to 15",
        "    1 | fudge 127.127.1.0 stratum",
        "      |                          ^"
      )
    ],
    [
      "rlimit memlock 1",
      lines(
        "ntp.conf:1:1: warning: 'rlimit' has no effect: the system's own limits stand; the service manager sets them",
        "    1 | rlimit memlock 1",
        "      | ^~~~~~"
      )
    ],
    [
      "user a\u001B[2J",
      lines(
        "ntp.conf:1:7: error: found the character U+001B, which cannot be seen; delete it",
        "    1 | user a␛[2J",
        "      |       ^"
      )
    ]
  ])("%j", (text, expected) => {
    expect(rendered(text)).toBe(expected)
  })

  it.each([
    ["listen 1.2.3.4:123", "the port is set by 'port', for all addresses"],
    ["listen [::1]", "write the address without brackets"],
    ["listen [::1]:123", "write the address without brackets; the port is set by 'port'"],
    ["listen ::ffff:1.2.3.4", "write it as 1.2.3.4"],
    ["listen fe80::1", "a link-local address needs its interface: fe80::1%eth0"],
    ["listen 10.0.0.0/8", "'interface listen ADDRESS/LENGTH' listens on a whole prefix"],
    ["listen 010.0.0.1", "write the numbers without leading zeros"],
    ["interface lisen all", "did you mean 'listen'?"],
    ["server ntp.example iburts", "did you mean 'iburst'?"],
    ["restrct default", "did you mean 'restrict'?"],
    ["drfitfile /x", "did you mean 'driftfile'?"]
  ])("%s: %s", (text, advice) => {
    expect(parseText("f", text).diagnostics.map(({ message }) => message)).toEqual([expect.stringContaining(advice)])
  })

  it.each([
    "port 0",
    "port 65536",
    "port 1.5",
    "port 0x7b",
    "port -1",
    "port ''",
    "workers 0",
    "workers 257",
    "workers two",
    "listen",
    "listen 1.2.3",
    "listen host.example",
    "interface listen",
    "interface all",
    "interface listen 1.2.3.4/33",
    'statedir ""',
    "statedir",
    "user",
    "user a:b:c",
    "user -x",
    'user "a b"',
    "logfile a b",
    "fudge",
    "server",
    "server h key 0",
    "server h key 65536",
    "server h version 5",
    "server h minpoll 18",
    "server h constructor",
    "server h iburst=1",
    "server h true 1",
    "constructor",
    "__proto__ 1",
    "includefile",
    "port (1)b",
    "fudge 127.127.1.0 stratum 16"
  ])("refuses %j", (text) => {
    const { statements, diagnostics } = parseText("f", text)
    expect(statements).toEqual([])
    expect(diagnostics.map(({ severity }) => severity)).toContain("error")
  })

  it("reports every bad value of a line and of all lines, in the order of the text", () => {
    const { diagnostics, statements } = parseText("f", 'server h minpoll x maxpoll 99\n"\nprot 1\nport 5\nuser "')
    expect(diagnostics.map(({ line, column }) => [line, column])).toEqual([
      [1, 18],
      [1, 28],
      [2, 1],
      [3, 1],
      [5, 6]
    ])
    expect(statements).toHaveLength(1)
  })

  it("warns of an option given twice", () => {
    const { diagnostics, statements } = parseText("f", "server h minpoll 4 minpoll 5")
    expect(diagnostics.map(({ severity, column }) => [severity, column])).toEqual([["warning", 20]])
    expect(statementsOf(statements, serverDirective)[0]?.values.minpoll).toBe(5)
  })

  it("cuts a long line around the caret", () => {
    const [headline, shown, caret] = rendered(
      `server ${"h".repeat(200)} ${" ".repeat(300)}bogus ${"x".repeat(300)}`
    ).split("\n")
    expect(headline).toMatch(/^ntp\.conf:1:509: error: found 'bogus'/)
    expect(shown).toMatch(/^ {4}1 \| … +bogus x+…$/)
    expect(shown?.indexOf("bogus")).toBe(caret?.indexOf("^~~~~"))
    expect(shown!.length).toBeLessThan(130)
  })

  it("colours only when asked", () => {
    const { diagnostics } = parseText("f", "prot 1")
    expect(formatDiagnostics(diagnostics, { colour: true })).toContain("\u001B[1;31merror:\u001B[0m")
    expect(formatDiagnostics(diagnostics)).not.toContain("\u001B")
  })
})

describe("includefile", () => {
  const from =
    (files: Record<string, string | readonly string[]>): ReadFile =>
    (path) => {
      const found = Object.hasOwn(files, path) ? files[path] : undefined
      if (found === undefined) return { ok: false, reason: "no such file" }
      return typeof found === "string"
        ? { ok: true, bytes: new TextEncoder().encode(found) }
        : { ok: true, entries: found }
    }

  it("reads a file in place of the line, relative to the file it stands in", () => {
    const { statements, diagnostics, files } = parseConfiguration(
      "/etc/ntp.conf",
      from({
        "/etc/ntp.conf": "port 1\nincludefile ntp/a.conf\nport 4",
        "/etc/ntp/a.conf": 'port 2\nincludefile "../b.conf"',
        "/etc/b.conf": "port 3"
      })
    )
    expect(diagnostics).toEqual([])
    expect(statements.map(({ values, location }) => [values["port"], location.file, location.line])).toEqual([
      [1, "/etc/ntp.conf", 1],
      [2, "/etc/ntp/a.conf", 1],
      [3, "/etc/b.conf", 1],
      [4, "/etc/ntp.conf", 3]
    ])
    expect(files).toEqual(["/etc/ntp.conf", "/etc/ntp/a.conf", "/etc/b.conf"])
  })

  it("reads a directory's .conf files by name", () => {
    const { files, diagnostics } = parseConfiguration(
      "ntp.conf",
      from({
        "ntp.conf": "includefile ntp.d/",
        "ntp.d": ["b.conf", "a.conf", "c.txt", ".x.conf"],
        "ntp.d/a.conf": "",
        "ntp.d/b.conf": "port 1"
      })
    )
    expect(diagnostics).toEqual([])
    expect(files).toEqual(["ntp.conf", "ntp.d/a.conf", "ntp.d/b.conf"])
  })

  it("refuses a cycle at the line that closes it, and goes on", () => {
    const { diagnostics, statements } = parseConfiguration(
      "/a",
      from({ "/a": "includefile b\nport 1", "/b": "# b\nincludefile ./a" })
    )
    expect(formatDiagnostics(diagnostics)).toBe(
      lines(
        "/b:2:13: error: '/a' includes itself ('/a' → '/b' → '/a'); take one of the lines out",
        "    2 | includefile ./a",
        "      |             ^~~"
      )
    )
    expect(statements).toHaveLength(1)
  })

  it("nests five deep and no deeper", () => {
    const chain = (depth: number) =>
      from(
        Object.fromEntries(
          Array.from({ length: depth + 1 }, (_, n) => [`f${n}`, n === depth ? "port 9" : `includefile f${n + 1}`])
        )
      )
    expect(parseConfiguration("f0", chain(5))).toMatchObject({ diagnostics: [], statements: [{ values: { port: 9 } }] })
    const tooDeep = parseConfiguration("f0", chain(6))
    expect(tooDeep.statements).toEqual([])
    expect(tooDeep.diagnostics.map(({ file, message }) => [file, message])).toEqual([
      ["f5", "'f6' is nested too deep, expected at most 5 levels of includefile"]
    ])
  })

  it("bounds the files in all", () => {
    const wide = "includefile leaf\n".repeat(300)
    const { files, diagnostics } = parseConfiguration("f", from({ f: wide, leaf: "port 1" }))
    expect(files).toHaveLength(200)
    expect(diagnostics).toHaveLength(101)
  })

  it("says why a file cannot be read, at the line that asks for it", () => {
    expect(formatDiagnostics(parseConfiguration("/none", from({})).diagnostics)).toBe(
      "/none:1:1: error: '/none' cannot be read: no such file"
    )
    expect(formatDiagnostics(parseConfiguration("/a", from({ "/a": "includefile b" })).diagnostics)).toContain(
      "/a:1:13: error: '/b' cannot be read: no such file"
    )
    expect(formatDiagnostics(parseConfiguration("/etc", from({ "/etc": [] })).diagnostics)).toContain("is a directory")
  })

  it.each([
    ["b", "/etc/a", "/etc/b"],
    ["/b", "/etc/a", "/b"],
    ["../../../b", "/etc/a", "/b"],
    ["./c//d/../b", "x/a", "x/c/b"],
    ["../b", "a", "../b"],
    ["../../b", "../a", "../../../b"]
  ])("%s from %s is %s", (path, file, expected) => {
    expect(resolveInclude(path, file)).toBe(expected)
  })
})

describe("sourcedir", () => {
  const files: Record<string, string> = {
    "/run/dhcp/b.sources": "pool b.example iburst",
    "/run/dhcp/a.sources": "server a.example\nrestrict default ignore",
    "/run/dhcp/c.conf": "server c.example"
  }
  const readFile: ReadFile = (path) => {
    const text = files[path]
    if (text !== undefined) return { ok: true, bytes: new TextEncoder().encode(text) }
    const entries = Object.keys(files).filter((file) => file.startsWith(`${path}/`))
    if (entries.length === 0) return { ok: false, reason: "no such file" }
    return { ok: true, entries: entries.map((file) => file.slice(path.length + 1)) }
  }

  it("reads the servers of every *.sources, refuses anything else, and may be missing", () => {
    const { statements, diagnostics } = parseText(
      "/etc/ntp.conf",
      "sourcedir /run/none\nsourcedir /run/dhcp\nserver z",
      readFile
    )
    expect(statements.map(({ directive, location }) => `${directive.name} ${location.file}`)).toEqual([
      "server /run/dhcp/a.sources",
      "pool /run/dhcp/b.sources",
      "server /etc/ntp.conf"
    ])
    expect(diagnostics.map(({ file, line, message }) => [file, line, message])).toEqual([
      ["/run/dhcp/a.sources", 2, "found 'restrict', expected server, pool or peer: a *.sources file holds nothing else"]
    ])
    expect(parseText("/etc/ntp.conf", "sourcedir /run/dhcp/c.conf", readFile).diagnostics[0]?.message).toContain(
      "is a file"
    )
  })

  it.each([
    ["server a.example iburst", "server a.example iburst", []],
    ["server a.example port 1123 ipv4 trust", "server -4 a.example:1123 true", []],
    ["server 2001:db8::1 port 1123", "server [2001:db8::1]:1123", []],
    [
      "server a.example nts ntsport 4461 port 123 certset 1",
      "server a.example:4461 nts",
      ["1:35 'port'", "1:44 'certset'"]
    ],
    ["pool p.example maxsources 2 offline iburst", "pool p.example iburst", ["1:16 'maxsources'", "1:29 'offline'"]],
    ["server a.example require copy prefer", "server a.example prefer", ["1:18 'require'", "1:26 'copy'"]],
    ["! a remark\n; another, (open\n% a third\nserver a.example", "server a.example", []]
  ])("takes the options that chrony has there: %j", (text, line, remarks) => {
    const read: ReadFile = (path) =>
      path === "/s" ? { ok: true, entries: ["a.sources"] } : { ok: true, bytes: new TextEncoder().encode(text) }
    const { settings, diagnostics } = loadSettings({
      file: "/etc/ntp.conf",
      readFile: (path, from) =>
        from === undefined ? { ok: true, bytes: new TextEncoder().encode("sourcedir /s") } : read(path, from),
      overrides: {},
      machine: { cores: 1, interfaces: [] }
    })
    const lines = describeSettings(settings).filter(({ directive }) => directive === "server" || directive === "pool")
    expect(lines.map(({ directive, value }) => `${directive} ${value}`)).toEqual([line])
    expect(
      diagnostics.map(({ line, column, message }) => `${line}:${column} ${message.replace(/ has no effect.*/, "")}`)
    ).toEqual(remarks)
  })
})
