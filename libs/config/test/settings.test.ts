import { describe, expect, it } from "vitest"
import { type IpAddress, parseAddress } from "@meridian/config/address"
import { listenNow, mayAskForMore } from "@meridian/config/listen"
import { checkReport, loadSettings } from "../src/load.ts"
import { parseText } from "../src/parse.ts"
import { describeOrigin, describeSettings, quoteWord, renderSettings } from "../src/rendering.ts"
import { effectiveSettings, type Machine, type Overrides } from "../src/settings.ts"

const address = (text: string) => {
  const parsed = parseAddress(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}

const machine: Machine = {
  cores: 3,
  interfaces: [
    ["lo", "127.0.0.1"],
    ["lo", "::1"],
    ["eth0", "192.0.2.1"],
    ["eth0", "2001:db8::1"],
    ["eth1", "10.0.0.1"]
  ].map(([name, text]) => ({ name: name!, address: address(text!) }))
}

const settle = (text: string, overrides: Overrides = {}) => {
  const { statements, diagnostics } = parseText("f", text)
  const effective = effectiveSettings(statements, overrides, machine)
  return { ...effective, diagnostics: [...diagnostics, ...effective.diagnostics] }
}

/** Settings as `directive value (origin)`. */
const table = (text: string, overrides: Overrides = {}) =>
  describeSettings(settle(text, overrides).settings).map(
    ({ directive, value, origin }) => `${directive} ${value} (${describeOrigin(origin)})`
  )

const problems = (text: string, overrides: Overrides = {}) =>
  settle(text, overrides).diagnostics.map(
    ({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`
  )

const listens = (text: string) => settle(text).settings.listen.map(({ value }) => value.text)

/** Of the clock and of access, while nothing is said about them. */
const clockDefaults = [
  "discipline virtual (default)",
  "silentstart 30 (default)",
  "leapsmearinterval 0 (default)",
  ...[
    "ceiling 16",
    "floor 1",
    "maxclock 10",
    "maxdist 1.5",
    "minclock 3",
    "mindist 0.001",
    "minsane 1",
    "orphan 16",
    "orphanwait 300"
  ].map((option) => `tos ${option} (default)`),
  ...["dispersion 0.000015", "panic 1000", "stepback 0.128", "stepfwd 0.128", "stepout 300"].map(
    (option) => `tinker ${option} (default)`
  ),
  "enable ntp (default)",
  "enable stats (default)",
  "control http 127.0.0.1:11180 (default)",
  "dialect ntpsec (default)",
  ...["maxmem 16384", "maxage 3600", "minage 64", "ipv6prefix 64"].map((option) => `mru ${option} (default)`)
]

/** What stands behind the first lines while nothing about keys and NTS is said. */
const authenticationDefaults = [
  "keys undefined (default)",
  "controlkey undefined (default)",
  "passivepeers 16 (default)",
  "cryptonak off (default)",
  "nts ca undefined (default)",
  "nts cookie undefined (default)",
  "nts nocerttimecheck 0 (default)",
  "nts aead AES_SIV_CMAC_256 (default)",
  "nts aead AES_128_GCM_SIV (default)",
  "nts aead AES_SIV_CMAC_384 (default)",
  "nts aead AES_SIV_CMAC_512 (default)",
  "nts mintls TLS1.3 (default)",
  "nts maxtls TLS1.3 (default)",
  "nts port 4460 (default)",
  "nts processes 1 (default)",
  "nts tlsciphersuites undefined (default)",
  "nts tlsecdhcurves undefined (default)",
  "nts disable (default)"
]
const clusterDefaults = [
  "node undefined (default)",
  "cluster nkey undefined (default)",
  "cluster ca undefined (default)",
  "cluster key undefined (default)",
  "cluster mint nts (default)",
  "cluster clock-days undefined (default)",
  "cluster clock-events undefined (default)",
  "cluster rotate undefined (default)"
]

describe("effective settings", () => {
  it("are the defaults without a file and without flags", () => {
    expect(table("")).toEqual([
      "port 11123 (default)",
      "listen 0.0.0.0 (default)",
      "listen :: (default)",
      "workers 3 (default)",
      "gather 500 (default)",
      "user undefined (default)",
      "statedir undefined (default)",
      "logfile undefined (default)",
      "server 127.127.1.0 (default)",
      "fudge 127.127.1.0 stratum 10 (default)",
      ...clockDefaults,
      ...authenticationDefaults,
      ...clusterDefaults
    ])
  })

  it("let the file beat the default and a flag beat the file", () => {
    const file =
      "port 123\nworkers 2\n listen 10.0.0.1\nuser ntp\nstatedir /a\nlogfile /l\nfudge 127.127.1.0 stratum 4\nserver 127.127.1.0"
    expect(table(file)).toEqual([
      "port 123 (f:1:1)",
      "listen 10.0.0.1 (f:3:2)",
      "workers 2 (f:2:1)",
      "gather 500 (default)",
      "user ntp (f:4:1)",
      "statedir /a (f:5:1)",
      "logfile /l (f:6:1)",
      "server 127.127.1.0 (f:8:1)",
      "fudge 127.127.1.0 stratum 4 (f:7:1)",
      ...clockDefaults,
      ...authenticationDefaults,
      ...clusterDefaults
    ])
    const flags = { port: 9, listen: [address("::1")], workers: 1, user: "u", stateDirectory: "/b", stratum: 1 }
    expect(table(file, flags)).toEqual([
      "port 9 (--port)",
      "listen ::1 (--listen)",
      "workers 1 (--workers)",
      "gather 500 (default)",
      "user u (--user)",
      "statedir /b (--state)",
      "logfile /l (f:6:1)",
      "server 127.127.1.0 (f:8:1)",
      "fudge 127.127.1.0 stratum 1 (--stratum)",
      ...clockDefaults,
      ...authenticationDefaults,
      ...clusterDefaults
    ])
  })

  it.each([
    ["port 1\nport 2", ["warning 1:1 'port' is given again at f:2; this line has no effect"]],
    ["listen ::1\nlisten 0:0::1", ["warning 2:8 ::1 is listened on already (f:1); this line has no effect"]],
    [
      "fudge 127.127.1.0 stratum 5",
      ["warning 1:7 'fudge 127.127.1.0' has no line 'server 127.127.1.0' to apply to; it has no effect"]
    ],
    [
      "server 127.127.1.0\nfudge 127.127.1.0 stratum 0",
      ["error 2:27 found stratum 0, expected a whole number from 1 to 15"]
    ],
    [
      "fudge 10.0.0.1 stratum 5",
      ["error 1:7 found '10.0.0.1', expected a reference clock's address such as 127.127.1.0"]
    ],
    [
      "fudge 127.127.28.0 refid GPS",
      ["warning 1:7 'fudge 127.127.28.0' has no line 'server 127.127.28.0' to apply to; it has no effect"]
    ],
    [
      "server 127.127.20.0 mode 1",
      [
        "warning 1:8 the driver '20' is known but not acted on yet; shm (28), pps (22), sock and phc are, and gpsd hands a receiver's time on by shm or sock; this line has no effect"
      ]
    ],
    ["server ntp.example iburst", []],
    [
      "pool ntp.example preempt",
      [
        "warning 1:18 'preempt' has no effect: a server that a line names is kept; those of a 'pool' make room by themselves"
      ]
    ],
    [
      "server 127.127.1.0 prefer minpoll 4",
      ["warning 1:20 the local reference does not act on 'prefer', 'minpoll'; it has no effect"]
    ],
    [
      "fudge 127.127.1.0 stratum 3 refid LOCL\nserver 127.127.1.0",
      ["warning 1:29 the local reference does not act on 'refid'; it has no effect"]
    ],
    [
      "interface listen wlan0",
      [
        "warning 1:18 this machine has no interface 'wlan0' with an address now; there are lo, eth0, eth1; it is answered on once it has"
      ]
    ],
    [
      "interface drop eth0",
      ["warning 1:1 'interface drop' is taken as 'interface ignore': the address is not opened at all"]
    ],
    [
      "interface ignore all\nnic ignore ipv4\nnic ignore ipv6",
      ["error 3:1 these interface rules leave no address to answer on; add 'interface listen ADDRESS'"]
    ]
  ])("check across lines: %j", (text, expected) => {
    expect(problems(text)).toEqual(expected)
  })

  it("bounds the addresses", () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, n) => `listen 10.0.${n >> 8}.${n & 255}\n`).join("")
    expect(settle(many(1024)).settings.listen).toHaveLength(1024)
    expect(problems(many(1025))).toEqual([
      "error 1025:1 found more than 1024 'listen' lines, expected at most that many"
    ])
  })

  it("drops errors about addresses that a flag replaces", () => {
    expect(problems("interface listen wlan0", { listen: [address("::1")] })).toEqual([])
  })

  it("has requests wait for each other as `gather` says, 500 µs by default", () => {
    const gather = (text: string) =>
      effectiveSettings(parseText("f", text).statements, {}, machine).settings.gather.value
    expect(["", "gather 0", "gather 50\ngather 10000"].map(gather)).toEqual([500, 0, 10_000])
    expect(parseText("f", "gather 10001").diagnostics[0]?.severity).toBe("error")
  })

  it("keeps workers sane on any machine", () => {
    const workers = (cores: number) => effectiveSettings([], {}, { cores, interfaces: [] }).settings.workers.value
    expect([0, -1, Number.NaN, 1.9, 8, 5000].map(workers)).toEqual([1, 1, 1, 1, 8, 256])
  })
})

describe("interface rules, as ntpd has them", () => {
  it.each([
    ["interface listen 192.0.2.1", ["127.0.0.1", "::1", "192.0.2.1"]],
    ["interface ignore wildcard", ["127.0.0.1", "::1"]],
    ["interface listen all", ["127.0.0.1", "::1", "192.0.2.1", "2001:db8::1", "10.0.0.1"]],
    ["interface listen all\ninterface ignore eth0", ["127.0.0.1", "::1", "10.0.0.1"]],
    ["interface ignore eth0\ninterface listen all", ["127.0.0.1", "::1", "192.0.2.1", "2001:db8::1", "10.0.0.1"]],
    ["interface listen all\ninterface ignore ipv6", ["127.0.0.1", "192.0.2.1", "10.0.0.1"]],
    ["interface ignore 127.0.0.1\ninterface listen 10.0.0.0/8", ["::1", "10.0.0.1"]],
    ["interface listen wildcard\ninterface ignore 127.0.0.0/8\ninterface ignore ::1", ["0.0.0.0", "::"]],
    ["listen 10.0.0.1", ["10.0.0.1"]],
    ["listen *", ["0.0.0.0", "::"]],
    ["listen 10.0.0.1\ninterface listen 10.0.0.1", ["10.0.0.1", "127.0.0.1", "::1"]]
  ])("%j", (text, expected) => {
    expect(listens(text)).toEqual(expected)
    expect(settle(text).diagnostics).toEqual([])
  })
})

describe("rendering", () => {
  it("shows every value with its origin, as lines of an ntp.conf", () => {
    const shown = renderSettings(settle('statedir "/my state"\nport 9').settings).split("\n")
    expect([...shown.slice(0, 10), ...shown.slice(-2)].map((line) => line.replace(/ +#/, " #"))).toEqual(
      [
        "port 9                        # f:2:1",
        "listen 0.0.0.0                # default",
        "listen ::                     # default",
        "workers 3                     # default",
        "gather 500                    # default",
        "# user is not set             # default",
        'statedir "/my state"          # f:1:1',
        "# logfile is not set          # default",
        "server 127.127.1.0            # default",
        "fudge 127.127.1.0 stratum 10  # default",
        "# cluster rotate is not set  # default",
        ""
      ].map((line) => line.replace(/ +#/, " #"))
    )
    expect(new Set(shown.filter((line) => line !== "").map((line) => line.lastIndexOf("#")))).toEqual(
      new Set(["# cluster clock-events is not set".length + 2])
    )
  })

  it.each([
    ["/plain/path-1.conf", "/plain/path-1.conf"],
    ["a b", '"a b"'],
    ["a#b", '"a#b"'],
    ["(a)", '"(a)"'],
    ["é", '"é"']
  ])("quotes %s where it must", (word, expected) => {
    expect(quoteWord(word)).toBe(expected)
  })
})

describe("loadSettings", () => {
  const load = (text: string) =>
    loadSettings({
      file: "f",
      readFile: () => ({ ok: true, bytes: new TextEncoder().encode(text) }),
      overrides: { workers: 1 },
      machine
    })

  it("is usable with warnings and not with errors", () => {
    expect(load("restrict default").usable).toBe(true)
    expect(load("prot 1").usable).toBe(false)
    expect(load("server 127.127.1.0\nfudge 127.127.1.0 stratum 0").usable).toBe(false)
  })

  it("works without a file", () => {
    const readFile = () => expect.fail("nothing is to be read")
    const loaded = loadSettings({ file: undefined, readFile, overrides: {}, machine })
    expect([loaded.usable, loaded.files, loaded.settings.port.value]).toEqual([true, [], 11123])
  })

  it("reports as plain data", () => {
    const report = checkReport(load("port 5\nrlimit x"))
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
    expect(report).toMatchObject({
      ok: true,
      files: ["f"],
      diagnostics: [{ severity: "warning", file: "f", line: 2, column: 1 }],
      settings: expect.arrayContaining([
        { directive: "port", value: "5", origin: "f:1:1" },
        { directive: "workers", value: "1", origin: "--workers" },
        { directive: "user", value: null, origin: "default" }
      ])
    })
  })
})

describe("rules held against the machine's addresses of a moment", () => {
  const of = (text: string) => settle(text).settings.listenRules
  const texts = (addresses: readonly IpAddress[]) => addresses.map(({ text }) => text)
  const at = (text: string, ...entries: readonly (readonly [string, string])[]) => {
    const interfaces = entries.map(([name, own], index) => ({ name, index: index + 1, address: address(own) }))
    const { present, absent } = listenNow(of(text), interfaces)
    return { present: texts(present), absent: texts(absent) }
  }

  it("ask for what is there, and wait for what lines name", () => {
    expect(at("interface listen eth0\nlisten 198.51.100.7", ["eth0", "10.0.0.9"], ["wlan0", "10.0.0.10"])).toEqual({
      present: ["10.0.0.9"],
      absent: ["198.51.100.7"]
    })
    expect(at("interface listen 198.51.100.7", ["lo", "127.0.0.1"])).toEqual({
      present: ["127.0.0.1"],
      absent: ["198.51.100.7"]
    })
    expect(at("listen *").present).toEqual(["0.0.0.0", "::"])
    expect(at("interface listen eth5").present).toEqual([])
  })

  it("carry zones, given by name or by number, or not at all for whichever interface has the address", () => {
    const both = [
      ["eth0", "fe80::1%eth0"],
      ["eth1", "fe80::1%eth1"]
    ] as const
    expect(at("interface listen fe80::/10", ...both).present).toEqual(["fe80::1%eth0", "fe80::1%eth1"])
    expect(at("interface listen ipv6", ...both).present).toEqual(["fe80::1%eth0", "fe80::1%eth1"])
    expect(at("interface listen fe80::1", ...both).present).toEqual(["fe80::1%eth0", "fe80::1%eth1"])
    expect(at("interface listen eth1", ...both).present).toEqual(["fe80::1%eth1"])
    expect(at("listen fe80::1%eth1", ...both)).toEqual({ present: ["fe80::1%eth1"], absent: [] })
    expect(at("listen fe80::1%2", ...both)).toEqual({ present: ["fe80::1%2"], absent: [] })
    expect(at("listen fe80::1%eth2", ...both)).toEqual({ present: [], absent: ["fe80::1%eth2"] })
  })

  it("may ask for more later where they name classes, interfaces or zones", () => {
    const asks = (text: string) => mayAskForMore(of(text))
    expect(["interface listen eth5", "interface listen all", "listen fe80::1%eth2"].map(asks)).toEqual([
      true,
      true,
      true
    ])
    expect(["listen 198.51.100.7", "interface ignore eth5", ""].map(asks)).toEqual([false, false, false])
  })
})
