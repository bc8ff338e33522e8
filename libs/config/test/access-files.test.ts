/** Whole files in the shapes of real ones: the access, the limit and the sources that they give. */
import { isError } from "@meridian/config/diagnostic"
import { describe, expect, it } from "vitest"
import { flagsFor, load } from "./access-stage.ts"

interface Shape {
  readonly name: string
  readonly lines: readonly string[]
  readonly dialect: "ntpsec" | "classic"
  /** Of a stranger, of this host, of a neighbour at 192.168.1.9. */
  readonly stranger: string
  readonly self: string
  readonly neighbour?: string
  readonly law?: string
  readonly sources: number
}

const POOLS = [0, 1, 2, 3].map((index) => `pool ${index}.pool.ntp.org iburst`)
const LOCALS = ["restrict 127.0.0.1", "restrict ::1"]
const SHAPES: readonly Shape[] = [
  { name: "nothing", lines: [], dialect: "ntpsec", stranger: "noquery", self: "", sources: 0 },
  { name: "servers alone", lines: POOLS, dialect: "ntpsec", stranger: "noquery", self: "", sources: 4 },
  {
    name: "Debian's ntp",
    lines: [
      ...POOLS,
      "restrict -4 default kod notrap nomodify nopeer noquery limited",
      "restrict -6 default kod notrap nomodify nopeer noquery limited",
      ...LOCALS,
      "restrict source notrap nomodify noquery"
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify notrap",
    self: "",
    sources: 4
  },
  {
    name: "Debian's ntpsec",
    lines: ["tos maxclock 11", ...POOLS, "restrict default kod nomodify nopeer noquery limited", ...LOCALS],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify",
    self: "",
    sources: 4
  },
  {
    name: "RHEL 7's ntp",
    lines: [
      ...POOLS,
      "restrict default nomodify notrap nopeer noepeer noquery",
      ...LOCALS,
      "includefile /etc/ntp/crypto/pw",
      "keys /etc/ntp/keys"
    ],
    dialect: "classic",
    stranger: "nopeer noepeer noquery nomodify notrap",
    self: "",
    law: "headway",
    sources: 4
  },
  {
    name: "RHEL 6's ntp",
    lines: [
      ...POOLS,
      "restrict default kod nomodify notrap nopeer noquery",
      "restrict -6 default kod nomodify notrap nopeer noquery",
      ...LOCALS,
      "#restrict 192.168.1.0 mask 255.255.255.0 nomodify notrap"
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify notrap",
    self: "",
    sources: 4
  },
  {
    name: "FreeBSD",
    lines: [
      "tos minclock 3 maxclock 6",
      "pool 0.freebsd.pool.ntp.org iburst",
      "restrict default limited kod nomodify notrap noquery nopeer",
      "restrict source limited kod nomodify notrap noquery",
      ...LOCALS,
      "restrict 127.127.1.0",
      "leapfile /var/db/ntpd.leap-seconds.list"
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify notrap",
    self: "",
    sources: 1
  },
  {
    name: "pfSense",
    lines: [
      "tinker panic 0",
      "tos orphan 12",
      "tos maxclock 5",
      "server 0.pfsense.pool.ntp.org iburst maxpoll 9",
      "enable stats",
      "restrict default kod limited nomodify nopeer noquery notrap",
      "restrict -6 default kod limited nomodify nopeer noquery notrap",
      "restrict source kod limited nomodify noquery notrap",
      "interface ignore all",
      "interface listen lo"
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify notrap",
    self: "nopeer limited kod noquery nomodify notrap",
    sources: 1
  },
  {
    name: "OPNsense",
    lines: [
      "tos orphan 12",
      "server 0.opnsense.pool.ntp.org iburst",
      "disable monitor",
      "restrict default limited kod nomodify notrap nopeer",
      "restrict -6 default limited kod nomodify notrap nopeer",
      ...LOCALS
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify notrap",
    self: "",
    sources: 1
  },
  {
    name: "VMware's ESXi",
    lines: [
      "restrict default nomodify notrap nopeer noquery",
      ...LOCALS,
      "server time.example",
      "driftfile /etc/ntp.drift"
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited noquery nomodify notrap",
    self: "",
    sources: 1
  },
  {
    name: "VMware's, said to be classic",
    lines: ["dialect classic", "restrict default nomodify notrap nopeer noquery", ...LOCALS, "server time.example"],
    dialect: "classic",
    stranger: "nopeer noquery nomodify notrap",
    self: "",
    law: "headway",
    sources: 1
  },
  {
    name: "a Samba domain controller",
    lines: [
      "server time.example iburst prefer",
      "driftfile /var/lib/ntp/ntp.drift",
      "ntpsigndsocket /var/lib/samba/ntp_signd/",
      "restrict default kod nomodify notrap nopeer limited mssntp",
      "restrict 127.0.0.1",
      "restrict time.example mask 255.255.255.255 nomodify notrap nopeer noquery"
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify notrap mssntp",
    self: "",
    sources: 1
  },
  {
    name: "a GPS hat",
    lines: [
      "server 127.127.28.0 minpoll 4 maxpoll 4",
      "fudge 127.127.28.0 time1 0.1 refid GPS",
      "server 127.127.22.0 minpoll 4 maxpoll 4",
      ...POOLS,
      "restrict default kod limited nomodify notrap noquery nopeer",
      ...LOCALS,
      "restrict 192.168.1.0 mask 255.255.255.0 nomodify notrap"
    ],
    dialect: "ntpsec",
    stranger: "nopeer limited kod noquery nomodify notrap",
    self: "",
    neighbour: "nomodify notrap",
    sources: 4
  },
  {
    name: "a pool server of ntpd",
    lines: [
      ...POOLS,
      "restrict default kod limited nomodify notrap nopeer noquery",
      "discard average 3 minimum 1",
      ...LOCALS
    ],
    dialect: "classic",
    stranger: "nopeer limited kod noquery nomodify notrap",
    self: "",
    law: "headway",
    sources: 4
  },
  {
    name: "a pool server of NTPsec",
    lines: [
      ...POOLS,
      "restrict default kod limited nomodify noquery",
      "limit average 5 burst 40 kod 1",
      "mru maxmem 65536",
      ...LOCALS
    ],
    dialect: "ntpsec",
    stranger: "limited kod noquery nomodify",
    self: "",
    law: "score",
    sources: 4
  },
  {
    name: "NTPsec with NTS",
    lines: ["nts enable", "nts cert /c key /k", "server time.example nts", "restrict default nomodify"],
    dialect: "ntpsec",
    stranger: "limited noquery nomodify",
    self: "limited noquery nomodify",
    sources: 1
  },
  {
    name: "an open lab",
    lines: ["unrestrict default noquery limited", "server 10.0.0.1"],
    dialect: "ntpsec",
    stranger: "",
    self: "",
    sources: 1
  },
  {
    name: "chrony's network",
    lines: ["server time.example iburst", "allow 192.168.0.0/16"],
    dialect: "ntpsec",
    stranger: "noserve noquery",
    self: "noserve",
    neighbour: "noquery",
    sources: 1
  },
  {
    name: "chrony's, all but one",
    lines: ["allow", "deny 192.168.1/24"],
    dialect: "ntpsec",
    stranger: "noquery",
    self: "",
    neighbour: "noserve noquery",
    sources: 0
  },
  {
    name: "chrony's pool server",
    lines: [...POOLS, "allow all", "ratelimit interval 1 burst 16 leak 2"],
    dialect: "ntpsec",
    stranger: "noquery",
    self: "",
    law: "tokens",
    sources: 4
  },
  {
    name: "chrony's, nobody",
    lines: ["deny all"],
    dialect: "ntpsec",
    stranger: "noserve noquery",
    self: "noserve",
    sources: 0
  },
  {
    name: "a closed default",
    lines: ["restrict default ignore", ...LOCALS, "restrict 192.168.1.0 mask 255.255.255.0 noquery"],
    dialect: "ntpsec",
    stranger: "ignore limited noquery",
    self: "",
    neighbour: "noquery",
    sources: 0
  },
  {
    name: "prefixes by length",
    lines: ["restrict default ignore", "restrict 192.168.0.0/16 nomodify", "restrict 192.168.1.8/30 noserve"],
    dialect: "ntpsec",
    stranger: "ignore limited noquery",
    self: "ignore limited noquery",
    neighbour: "noserve",
    sources: 0
  },
  {
    name: "Solaris's",
    lines: ["multicastclient 224.0.1.1", "restrict default nomodify"],
    dialect: "classic",
    stranger: "nomodify",
    self: "nomodify",
    law: "headway",
    sources: 0
  },
  {
    name: "broadcast of old",
    lines: ["broadcast 192.168.1.255 autokey", "crypto pw secret", "restrict default notrust"],
    dialect: "classic",
    stranger: "notrust",
    self: "notrust",
    law: "headway",
    sources: 0
  },
  {
    name: "Cisco's leftovers",
    lines: ["server 10.1.1.1 version 3", "restrict default noserve", "restrict 192.168.1.9 nomodify"],
    dialect: "ntpsec",
    stranger: "noserve limited noquery",
    self: "noserve limited noquery",
    neighbour: "nomodify",
    sources: 1
  },
  {
    name: "a router",
    lines: [
      "server pool.example",
      "restrict default limited kod",
      "limit average 20",
      "restrict 192.168.1.0/24 nomodify"
    ],
    dialect: "ntpsec",
    stranger: "limited kod noquery",
    self: "limited kod noquery",
    neighbour: "nomodify",
    law: "score",
    sources: 1
  },
  {
    name: "both families",
    lines: ["restrict -4 default noquery", "restrict -6 default ignore", "dialect classic"],
    dialect: "classic",
    stranger: "noquery",
    self: "noquery",
    law: "headway",
    sources: 0
  },
  {
    name: "kisses",
    lines: ["dialect classic", "restrict default noserve kod-deny", "restrict 192.168.1.9 noserve kod-rstr"],
    dialect: "classic",
    stranger: "noserve kod-deny",
    self: "noserve kod-deny",
    neighbour: "noserve kod-rstr",
    law: "headway",
    sources: 0
  },
  {
    name: "Windows line ends and a byte order mark",
    lines: ["\uFEFFrestrict default noquery\r", "restrict 127.0.0.1\r"],
    dialect: "ntpsec",
    stranger: "limited noquery",
    self: "",
    sources: 0
  }
]

describe("a whole file in the shape of", () => {
  it.each(SHAPES)("$name", ({ lines, dialect, stranger, self, neighbour, law, sources }) => {
    const loaded = load(lines.join("\n"))
    expect(loaded.diagnostics.filter(isError).filter(({ message }) => !message.includes("cannot be read"))).toEqual([])
    const { access } = loaded.settings
    expect({
      dialect: access.dialect.value,
      stranger: flagsFor(loaded, "203.0.113.5"),
      self: flagsFor(loaded, "127.0.0.1"),
      neighbour: flagsFor(loaded, "192.168.1.9"),
      law: access.rateLimit.value.law,
      sources: loaded.settings.sources.length
    }).toEqual({ dialect, stranger, self, neighbour: neighbour ?? stranger, law: law ?? "score", sources })
  })

  it("thirty there are", () => expect(SHAPES).toHaveLength(30))
})

it("this machine's own addresses may ask as loopback may while no line says who may, and as any other once one does", () => {
  const own = ["192.0.2.1", "2001:db8::1"]
  const flagsOf = (text: string) =>
    ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"].map((address) => flagsFor(load(text), address, 123, own))
  expect(flagsOf("server 192.0.2.9")).toEqual(["", "noquery", "", "noquery"])
  expect(flagsOf("restrict 127.0.0.1")).toEqual(Array.from({ length: 4 }, () => "limited noquery"))
})
