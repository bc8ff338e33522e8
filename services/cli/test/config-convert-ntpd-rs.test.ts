/** Real-shaped files of ntpd-rs: what an ntp.conf made of them comes to, and what is said to be lost. */
import { describe, expect, it } from "vitest"
import { check, type Shape } from "./config-convert-stage.ts"

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
    name: "several servers and sources, each with its own",
    text: `[source-defaults]
initial-poll-interval = 6
[[source]]
mode = "pool"
address = "a.example"
[[source]]
mode = "nts-pool"
address = "b.example"
[[source]]
mode = "pps"
precision = 1e-6
path = "/dev/pps0"
[[server]]
listen = "0.0.0.0:1123"
denylist = { filter = ["192.0.2.0/24"], action = "ignore" }
[[server]]
listen = "0.0.0.0:123"
denylist = { filter = ["192.0.2.0/24"], action = "ignore" }
[[server]]
listen = "[::]:2123"
denylist = { filter = ["2001:db8::/32"], action = "ignore" }
[[nts-ke-server]]
listen = "0.0.0.0:4460"
certificate-chain-path = "/a.pem"
private-key-path = "/a.key"
[[nts-ke-server]]
listen = "0.0.0.0:4461"
certificate-chain-path = "/b.pem"
private-key-path = "/b.key"
`,
    sources: ["pool a.example 4 10"],
    has: ["extra port 1123", "extra port 2123", "deny 192.0.2.0/24", "deny 2001:db8::/32"],
    lost: [
      'mode = "nts-pool"',
      "precision = 1e-6",
      "initial-poll-interval = 6",
      /^denylist = .*2001/,
      'listen = "0.0.0.0:4461"'
    ],
    open: true
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

describe("ntp.toml", () => {
  it.each(ntpdRs)("$name", (shape) => {
    expect.hasAssertions()
    check(shape, "ntp.toml")
  })
})
