/** Real-shaped files of chrony and ntpd-rs: what an ntp.conf made of them comes to, and what is said to be lost. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { loadSettings, type Settings } from "@meridian/config"
import { afterAll, describe, expect, it } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-convert-"))
afterAll(() => rmSync(folder, { recursive: true }))
const program = resolve(import.meta.dirname, "../bin/meridian.mjs")

interface Converted {
  readonly lines: readonly string[]
  readonly remarks: readonly { readonly line: number; readonly text: string; readonly why: string }[]
}

/** Converts a text; `<dir>` in it stands for the test's folder. */
const convert = (
  name: string,
  text: string
): Converted & { readonly settings: Settings; readonly code: number | null } => {
  const file = join(folder, name)
  writeFileSync(file, text.replaceAll("<dir>", folder))
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "config", "convert", "--json", file], {
    encoding: "utf8"
  })
  expect(stderr).toBe("")
  const converted = JSON.parse(stdout) as Converted
  const loaded = loadSettings({
    file: "ntp.conf",
    readFile: (path, from) =>
      from === undefined
        ? { ok: true, bytes: Buffer.from(converted.lines.join("\n")) }
        : { ok: false, reason: `no ${path}`, missing: true },
    overrides: {},
    machine: { cores: 2, interfaces: [] }
  })
  expect(loaded.diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
  expect(loaded.usable).toBe(true)
  return { ...converted, settings: loaded.settings, code: status }
}

const sourcesOf = ({ sources }: Settings): readonly string[] =>
  sources.map(({ value: { kind, host, port, nts, iburst, minPoll, maxPoll, key } }) =>
    [
      kind,
      port === undefined ? host : `${host}:${port}`,
      nts && "nts",
      iburst && "iburst",
      key && `key ${key}`,
      minPoll,
      maxPoll
    ]
      .filter((word) => word !== undefined && word !== false)
      .join(" ")
  )

interface Shape {
  readonly name: string
  readonly text: string
  readonly sources: readonly string[]
  /** Lines that must be in the result. */
  readonly has: readonly string[]
  /** What is said to be lost, in order. */
  readonly lost: readonly (string | RegExp)[]
  readonly open: boolean
}

const check = (shape: Shape, name: string): void => {
  const { settings, lines, remarks, code } = convert(name, shape.text)
  expect(sourcesOf(settings)).toEqual(shape.sources)
  for (const line of shape.has) expect(lines).toContain(line.replaceAll("<dir>", folder))
  const said = remarks.map(({ text }) => text.trim())
  expect(said).toHaveLength(shape.lost.length)
  shape.lost.forEach((lost, at) => expect(said[at]).toMatch(lost))
  expect(lines.includes("deny all")).toBe(!shape.open)
  expect(code).toBe(remarks.length === 0 ? 0 : 3)
}

mkdirSync(join(folder, "conf.d"))
writeFileSync(join(folder, "conf.d/10-local.conf"), "server ntp.local iburst\nallow 10.1.0.0/16\n")
writeFileSync(join(folder, "conf.d/README"), "not a configuration\n")
writeFileSync(join(folder, "extra.conf"), "server extra.example\n")

const chrony: readonly Shape[] = [
  {
    name: "Debian's own",
    text: `confdir <dir>/conf.d
pool 2.debian.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
sourcedir /etc/chrony/sources.d
keyfile /etc/chrony/chrony.keys
driftfile /var/lib/chrony/chrony.drift
ntsdumpdir /var/lib/chrony
logdir /var/log/chrony
maxupdateskew 100.0
rtcsync
makestep 1 3
leapsectz right/UTC
`,
    sources: ["server ntp.local iburst 6 10", "pool 2.debian.pool.ntp.org iburst 6 10"],
    has: ["sourcedir /run/chrony-dhcp", "keys /etc/chrony/chrony.keys", "trustedkey (1 ... 65535)", "cmdport 323"],
    lost: ["ntsdumpdir", "maxupdateskew 100.0", "leapsectz right/UTC"],
    open: true
  },
  {
    name: "Red Hat's own",
    text: `# Use public servers from the pool.ntp.org project.
pool 2.rhel.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
driftfile /var/lib/chrony/drift
makestep 1.0 3
rtcsync
#hwtimestamp *
#allow 192.168.0.0/16
keyfile /etc/chrony.keys
ntsdumpdir /var/lib/chrony
logdir /var/log/chrony
`,
    sources: ["pool 2.rhel.pool.ntp.org iburst 6 10"],
    has: ["# hwtimestamp *", "driftfile /var/lib/chrony/drift", "statsdir /var/log/chrony"],
    lost: ["ntsdumpdir"],
    open: false
  },
  {
    name: "Ubuntu's own, with its pools' options",
    text: `pool ntp.ubuntu.com        iburst maxsources 4
pool 0.ubuntu.pool.ntp.org iburst maxsources 1
pool 1.ubuntu.pool.ntp.org iburst maxsources 1
pool 2.ubuntu.pool.ntp.org iburst maxsources 2
`,
    sources: [0, 1, 2, 3].map(
      (at) =>
        `pool ${["ntp.ubuntu.com", "0.ubuntu.pool.ntp.org", "1.ubuntu.pool.ntp.org", "2.ubuntu.pool.ntp.org"][at]} iburst 6 10`
    ),
    has: [],
    lost: ["maxsources 4", "maxsources 1", "maxsources 1", "maxsources 2"],
    open: false
  },
  {
    name: "Amazon's link-local server",
    text: "server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4\n",
    sources: ["server 169.254.169.123 iburst 4 4"],
    has: ["server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4"],
    lost: [],
    open: false
  },
  {
    name: "a LAN's server",
    text: "server a.example iburst\nserver b.example iburst\nallow 192.168.0.0/16\nallow fd00::/8\nlocal stratum 10\nratelimit interval 1 burst 16 leak 3\n",
    sources: ["server a.example iburst 6 10", "server b.example iburst 6 10"],
    has: [
      "allow 192.168.0.0/16",
      "allow fd00::/8",
      "fudge 127.127.1.0 stratum 10",
      "ratelimit interval 1 burst 16 leak 3"
    ],
    lost: [],
    open: true
  },
  {
    name: "a public pool server",
    text: "server a.example\nallow\ndeny 192.0.2.0/24\nratelimit\nclientloglimit 100000000\nport 123\ncmdport 0\n",
    sources: ["server a.example 6 10"],
    has: ["allow", "deny 192.0.2.0/24", "ratelimit", "mru maxmem 97656", "cmdport 0"],
    lost: [],
    open: true
  },
  {
    name: "an NTS server",
    text: `server nts.example iburst nts
ntsserverkey /etc/pki/a.key
ntsservercert /etc/pki/a.crt
ntsserverkey /etc/pki/b.key
ntsservercert /etc/pki/b.crt
ntsport 4461
ntsprocesses 2
maxntsconnections 200
ntsntpserver time.example
ntsaeads 30 15
ntsratelimit interval -3 burst 8
ntsrotate 604800
allow
`,
    sources: ["server nts.example nts iburst 6 10"],
    has: [
      "nts cert /etc/pki/a.crt key /etc/pki/a.key",
      "nts cert /etc/pki/b.crt key /etc/pki/b.key",
      "nts port 4461",
      "nts processes 2",
      "nts connections 200",
      "nts ntpserver time.example",
      "nts aead 30",
      "nts ratelimit 8"
    ],
    lost: ["ntsrotate"],
    open: true
  },
  {
    name: "NTS clients with their own authorities",
    text: "server a.example nts ntsport 4461 certset 1 iburst\nserver b.example nts\nntstrustedcerts 1 /etc/ca.pem\nauthselectmode require\nnosystemcert\n",
    sources: ["server a.example:4461 nts iburst 6 10", "server b.example nts 6 10"],
    has: ["nts ca /etc/ca.pem"],
    lost: ["certset 1", "the set 1", "authselectmode require", "nosystemcert"],
    open: false
  },
  {
    name: "a GPS hat with pulses",
    text: "refclock SHM 0 refid GPS poll 3 offset 0.155 noselect\nrefclock PPS /dev/pps0 refid PPS lock GPS poll 3\nserver a.example\nallow 10\n",
    sources: ["server a.example 6 10"],
    has: ["refclock shm unit 0 refid GPS minpoll 3 maxpoll 3 time1 0.155 noselect", "allow 10.0.0.0/8"],
    lost: ["lock GPS"],
    open: true
  },
  {
    name: "gpsd's sockets and a network card's clock",
    text: "refclock SOCK /run/chrony.ttyS0.sock refid GPS delay 0.2\nrefclock PHC /dev/ptp0:extpps:pin=1 tai poll 0\nlocal stratum 1\nleapseclist /usr/share/zoneinfo/leap-seconds.list\n",
    sources: [],
    has: [
      "refclock sock path /run/chrony.ttyS0.sock refid GPS time2 0.1",
      "leapfile /usr/share/zoneinfo/leap-seconds.list",
      "fudge 127.127.1.0 stratum 1"
    ],
    lost: ["extpps", "pin=1"],
    open: false
  },
  {
    name: "symmetric keys and peers",
    text: "keyfile /etc/chrony.keys\nserver a.example key 5 xleave\npeer b.example key 6 minpoll 4 maxpoll 5\nallow 192.0.2.7\n",
    sources: ["server a.example key 5 6 10", "peer b.example key 6 4 5"],
    has: ["server a.example key 5 xleave", "allow 192.0.2.7"],
    lost: [],
    open: true
  },
  {
    name: "a data centre's, with fast polls and measured paths",
    text: "server 2001:db8::1 port 1123 minpoll -4 maxpoll -2 xleave extfield F323 mindelay 0.00001 asymmetry 0.5 maxdelayratio 2 filter 5\nhwtimestamp *\nmaxslewrate 1000\n",
    sources: ["server 2001:db8::1:1123 -4 -2"],
    has: [
      "server [2001:db8::1]:1123 minpoll -4 maxpoll -2 xleave mindelay 0.00001 asymmetry 0.5 maxdelayratio 2 filter 5"
    ],
    lost: ["extfield F323", "hwtimestamp *", "maxslewrate 1000"],
    open: false
  },
  {
    name: "a laptop's",
    text: "SERVER a.example OFFLINE\ninitstepslew 10 a.example\nmanual\nmailonchange root 0.5\ndumponexit\nport 0\nlog tracking measurements tempcomp\nbindcmdaddress /\n",
    sources: ["server a.example 6 10"],
    has: ["statistics loopstats rawstats"],
    lost: ["offline", "initstepslew", "manual", "mailonchange", "dumponexit", "port 0", "tempcomp", "bindcmdaddress"],
    open: false
  },
  {
    name: "a Samba domain's",
    text: "local stratum 10 orphan\nallow 0/0\nntpsigndsocket /var/lib/samba/ntp_signd\nbindaddress 192.0.2.1\nuser chrony\ninclude <dir>/extra.conf\n",
    sources: ["server extra.example 6 10"],
    has: [
      "tos orphan 10",
      "ntpsigndsocket /var/lib/samba/ntp_signd",
      "listen 192.0.2.1",
      "user chrony",
      "# from <dir>/extra.conf:"
    ],
    lost: [],
    open: true
  },
  {
    name: "what includes are not there, and words that nobody knows",
    text: "include <dir>/absent.conf\nconfdir <dir>/absent\ninclude <dir>/extr?.conf\nsever a.example\nallow host.example\nmaxdistance 3\nminsources 2\nmaxclockerror 10\n",
    sources: ["server extra.example 6 10"],
    has: ["tos maxdist 3", "tos minsane 2", "tinker dispersion 0.00001"],
    lost: [/absent\.conf/, "sever a.example", "allow host.example"],
    open: false
  }
]

const LIMITS = "poll-interval-limits = { min = 4, max = 10 }"

const ntpdRs: readonly Shape[] = [
  {
    name: "the packages' own",
    text: `[observability]\nlog-level = "info"\nobservation-path = "/var/run/ntpd-rs/observe"\n
[[source]]\nmode = "nts-pool"\naddress = "ntppool.example"\n\n[[source]]\nmode = "pool"\naddress = "2.pool.ntp.org"\ncount = 4\n
[synchronization]\nsingle-step-panic-threshold = 1800\nstartup-step-panic-threshold = { forward="inf", backward = 86400 }\nminimum-agreeing-sources = 3\n`,
    sources: ["pool 2.pool.ntp.org 4 10"],
    has: ["tinker panic 1800", "tos minsane 3"],
    lost: [/mode/, "count = 4", /startup-step/, /log-level/, /observation-path/],
    open: false
  },
  {
    name: "servers with and without ports",
    text: '[[source]]\nmode = "server"\naddress = "a.example"\n[[source]]\nmode = "server"\naddress = "192.0.2.1:123"\n[[source]]\nmode = "server"\naddress = "[2001:db8::1]:1123"\n[[source]]\nmode = "server"\naddress = "[2001:db8::2]:123"\n',
    sources: [
      "server a.example 4 10",
      "server 192.0.2.1 4 10",
      "server 2001:db8::1:1123 4 10",
      "server 2001:db8::2 4 10"
    ],
    has: ["server [2001:db8::1]:1123 minpoll 4 maxpoll 10"],
    lost: [],
    open: false
  },
  {
    name: "NTS clients",
    text: '[[source]]\nmode = "nts"\naddress = "nts.example"\n[[source]]\nmode = "nts"\naddress = "nts.example:4461"\ncertificate-authority = "/etc/ca.pem"\n',
    sources: ["server nts.example nts 4 10", "server nts.example:4461 nts 4 10"],
    has: ["server nts.example:4461 nts ca /etc/ca.pem minpoll 4 maxpoll 10"],
    lost: [],
    open: false
  },
  {
    name: "polls of all sources and of one",
    text: `[source-defaults]\npoll-interval-limits = { min = 6, max = 8 }\ninitial-poll-interval = 6\n[[source]]\nmode = "server"\naddress = "a.example"\n[[source]]\nmode = "server"\naddress = "b.example"\n${LIMITS}\n`,
    sources: ["server a.example 6 8", "server b.example 4 10"],
    has: [],
    lost: [],
    open: false
  },
  {
    name: "a server for everybody",
    text: '[[source]]\nmode = "server"\naddress = "a.example"\n[[server]]\nlisten = "0.0.0.0:123"\n[[server]]\nlisten = "[::]:123"\n',
    sources: ["server a.example 4 10"],
    has: [],
    lost: [],
    open: true
  },
  {
    name: "a server on another port and one address",
    text: '[[server]]\nlisten = "192.0.2.1:1123"\n',
    sources: [],
    has: ["port 1123", "listen 192.0.2.1"],
    lost: [],
    open: true
  },
  {
    name: "a server for some",
    text: '[[server]]\nlisten = "0.0.0.0:123"\n[server.allowlist]\nfilter = ["192.0.2.0/24", "2001:db8::/32"]\naction = "ignore"\n',
    sources: [],
    has: ["allow 192.0.2.0/24", "allow 2001:db8::/32"],
    lost: [],
    open: true
  },
  {
    name: "a server that denies some",
    text: '[[server]]\nlisten = "0.0.0.0:123"\n[server.denylist]\nfilter = ["198.51.100.0/24"]\naction = "deny"\n[server.allowlist]\nfilter = ["0.0.0.0/0", "::/0"]\naction = "ignore"\n',
    sources: [],
    has: ["allow", "deny 198.51.100.0/24 kod"],
    lost: [],
    open: true
  },
  {
    name: "a rate limit",
    text: '[[server]]\nlisten = "0.0.0.0:123"\nrate-limiting-cache-size = 1024\nrate-limiting-cutoff-ms = 1000\nrequire-nts = "deny"\n',
    sources: [],
    has: ["ratelimit interval 0 burst 1 leak 0 kod 0"],
    lost: ["require-nts"],
    open: true
  },
  {
    name: "an NTS server",
    text: '[[server]]\nlisten = "0.0.0.0:123"\n[[nts-ke-server]]\nlisten = "0.0.0.0:4460"\ncertificate-chain-path = "/etc/chain.pem"\nprivate-key-path = "/etc/key.pem"\nkey-exchange-timeout-ms = 1000\nconcurrent-connections = 512\nntp-port = 123\nntp-server = "time.example"\n',
    sources: [],
    has: [
      "nts cert /etc/chain.pem key /etc/key.pem",
      "nts connections 512",
      "nts ntpserver time.example",
      "nts ntpport 123"
    ],
    lost: ["key-exchange-timeout-ms"],
    open: true
  },
  {
    name: "keys that are kept and changed",
    text: '[[server]]\nlisten = "0.0.0.0:123"\n[keyset]\nstale-key-count = 7\nkey-rotation-interval = 86400\nkey-storage-path = "/var/lib/ntpd-rs/keys"\n',
    sources: [],
    has: ["cluster rotate 86400"],
    lost: ["stale-key-count", "key-storage-path"],
    open: true
  },
  {
    name: "reference clocks",
    text: '[[source]]\nmode = "sock"\npath = "/run/chrony.ttyS0.sock"\nprecision = 0.001\n[[source]]\nmode = "pps"\npath = "/dev/pps0"\nprecision = 1e-7\n[synchronization]\nlocal-stratum = 1\n',
    sources: [],
    has: [
      "refclock sock path /run/chrony.ttyS0.sock time2 0.001",
      "refclock pps path /dev/pps0",
      "fudge 127.127.1.0 stratum 1"
    ],
    lost: [/precision/],
    open: false
  },
  {
    name: "metrics",
    text: '[observability]\nmetrics-exporter-listen = "127.0.0.1:9975"\nobservation-permissions = 0o666\n',
    sources: [],
    has: ["control http 127.0.0.1:9975"],
    lost: ["observation-permissions"],
    open: false
  },
  {
    name: "metrics for others, which needs a token here",
    text: '[observability]\nmetrics-exporter-listen = "0.0.0.0:9975"\n',
    sources: [],
    has: [],
    lost: ["metrics-exporter-listen"],
    open: false
  },
  {
    name: "what nobody knows",
    text: '[clock]\ndevice = "/dev/ptp0"\n[[source]]\nmode = "server"\naddress = "a.example"\nntp-version = 5\n[synchronization.algorithm]\nstep-threshold = 0.1\n[synchronization]\nlocal-stratum = 16\n',
    sources: ["server a.example 4 10"],
    has: [],
    lost: ["ntp-version", /algorithm/, /clock/],
    open: false
  }
]

describe("chrony.conf", () => {
  it.each(chrony)("$name", (shape) => {
    expect.hasAssertions()
    check(shape, "chrony.conf")
  })
})

describe("ntp.toml", () => {
  it.each(ntpdRs)("$name", (shape) => {
    expect.hasAssertions()
    check(shape, "ntp.toml")
  })
})

describe("a file that cannot be converted", () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [program, "config", "convert", ...args], { encoding: "utf8" })

  it("is said to be so, in one line", () => {
    const absent = run(join(folder, "absent"))
    expect([absent.status, absent.stdout]).toEqual([1, ""])
    expect(absent.stderr).toMatch(/absent: it is not there\n$/)
    writeFileSync(join(folder, "broken.toml"), "[[source\nmode = \n")
    const broken = run(join(folder, "broken.toml"))
    expect([broken.status, broken.stdout]).toEqual([1, ""])
    expect(broken.stderr.trimEnd().split("\n")).toHaveLength(1)
    expect(run("--from", "ntpd", "x").status).toBe(2)
  })
})
