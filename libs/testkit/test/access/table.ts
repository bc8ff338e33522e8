/**
 * The table of access control: what a file says, who asks what, and what comes of it. Cases whose `peers` are named are asked
 * of the real daemons too.
 */
export type Packet = "client" | "client3" | "client1" | "query" | "peer" | "passive"
/** What the sender gets: the time, an answer to its query, a kiss, or nothing. */
export type Fate = "time" | "answer" | "DENY" | "RSTR" | "RATE" | "silence"

export interface Probe {
  /** Within 10.9.0.0/16 or fd09::/64, so that one network has them all. */
  readonly from: string
  readonly port?: 123
  readonly packet: Packet
  readonly fate: Fate
  /** Where the real daemon is known to differ, and on purpose: why. */
  readonly differs?: string
}

export interface Case {
  readonly name: string
  readonly dialect: "ntpsec" | "classic"
  readonly lines: readonly string[]
  /** Also confirmed against that dialect's daemon. */
  readonly real: boolean
  readonly probes: readonly Probe[]
}

const client = (from: string, fate: Fate, port?: 123): Probe => ({
  from,
  packet: "client",
  fate,
  ...(port && { port })
})
const query = (from: string, fate: Fate, port?: 123): Probe => ({ from, packet: "query", fate, ...(port && { port }) })
const of = (packet: Packet, from: string, fate: Fate): Probe => ({ from, packet, fate })

/** Both packets that matter from one address. */
const both = (from: string, time: Fate, answer: Fate): readonly Probe[] => [client(from, time), query(from, answer)]

const open = ["time", "answer"] as const
const noQueries = ["time", "silence"] as const
const closed = ["silence", "silence"] as const

/** Lines that both daemons read alike, with what either begins with taken away. */
const EMPTY = ["unrestrict default noquery limited"]

/** Rules that mean the same in both; each runs in both. */
const shared: readonly Omit<Case, "dialect" | "real">[] = [
  {
    name: "flags of the default",
    lines: ["restrict default nomodify notrap nopeer noquery", "restrict 10.9.1.1", "restrict fd09::1:1"],
    probes: [
      ...both("10.9.1.1", ...open),
      ...both("10.9.1.2", ...noQueries),
      ...both("fd09::1:1", ...open),
      ...both("fd09::1:2", ...noQueries)
    ]
  },
  {
    name: "each family's default by itself",
    lines: [
      "restrict -4 default ignore",
      "restrict -6 default noquery",
      "restrict 10.9.2.1 nomodify",
      "restrict 10.9.2.8 mask 255.255.255.248 noserve"
    ],
    probes: [
      ...both("10.9.2.1", ...open),
      ...both("10.9.2.2", ...closed),
      ...both("fd09::2:1", ...noQueries),
      client("10.9.2.7", "silence"),
      ...both("10.9.2.8", "silence", "answer"),
      ...both("10.9.2.15", "silence", "answer"),
      ...both("10.9.2.16", ...closed)
    ]
  },
  {
    name: "the most specific rule, in whatever order",
    lines: [
      "restrict default noquery",
      "restrict 10.9.3.0 mask 255.255.255.0 noserve noquery",
      "restrict 10.9.3.64 mask 255.255.255.192 noserve",
      "restrict 10.9.3.65",
      "restrict 10.9.0.0 mask 255.255.128.0 nomodify",
      "restrict 10.9.3.128 mask 255.255.255.128 ignore",
      "restrict fd09::3:0 mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:0 ignore",
      "restrict fd09::3:5 noquery"
    ],
    probes: [
      ...both("10.9.3.1", ...closed),
      ...both("10.9.3.63", ...closed),
      ...both("10.9.3.64", "silence", "answer"),
      ...both("10.9.3.65", ...open),
      ...both("10.9.3.66", "silence", "answer"),
      ...both("10.9.3.127", "silence", "answer"),
      ...both("10.9.3.128", ...closed),
      ...both("10.9.4.1", ...open),
      ...both("10.9.127.255", ...open),
      ...both("10.9.128.1", ...noQueries),
      ...both("fd09::3:5", ...noQueries),
      ...both("fd09::3:6", ...closed),
      ...both("fd09::4:1", ...noQueries)
    ]
  },
  {
    name: "repeated lines add up",
    lines: [
      "restrict 10.9.5.1 noserve",
      "restrict 10.9.5.1 noquery",
      "restrict default nomodify",
      "restrict default notrap"
    ],
    probes: [...both("10.9.5.1", ...closed), ...both("10.9.5.2", ...open)]
  },
  {
    name: "port 123 alone",
    lines: [
      "restrict default",
      "restrict 10.9.6.1 ntpport ignore",
      "restrict 10.9.6.2 ignore",
      "restrict 10.9.6.2 ntpport noquery",
      "restrict 10.9.6.0 mask 255.255.255.0 ntpport noserve",
      "restrict fd09::6:1 ntpport noserve"
    ],
    probes: [
      ...both("10.9.6.1", ...open),
      client("10.9.6.1", "silence", 123),
      ...both("10.9.6.2", ...closed),
      client("10.9.6.2", "time", 123),
      ...both("10.9.6.3", ...open),
      client("10.9.6.3", "silence", 123),
      query("10.9.6.4", "answer", 123),
      client("fd09::6:1", "time"),
      client("fd09::6:1", "silence", 123)
    ]
  },
  {
    name: "notrust asks for proof",
    lines: ["restrict default", "restrict 10.9.7.1 notrust", "restrict fd09::7:1 notrust"],
    probes: [
      client("10.9.7.1", "silence"),
      client("10.9.7.2", "time"),
      client("fd09::7:1", "silence"),
      query("10.9.7.1", "answer")
    ]
  },
  {
    name: "version four alone",
    lines: ["restrict default", "restrict 10.9.8.0 mask 255.255.255.0 version"],
    probes: [
      of("client", "10.9.8.1", "time"),
      of("client3", "10.9.8.2", "silence"),
      of("client1", "10.9.8.3", "silence"),
      of("client3", "10.9.9.2", "time"),
      of("client1", "10.9.9.3", "time")
    ]
  },
  {
    name: "ignore and noserve on modes",
    lines: [
      "restrict default",
      "restrict 10.9.10.1 ignore",
      "restrict 10.9.10.2 noserve",
      "restrict 10.9.10.3 noquery"
    ],
    probes: [
      of("client3", "10.9.10.1", "silence"),
      of("query", "10.9.10.1", "silence"),
      of("client3", "10.9.10.2", "silence"),
      of("query", "10.9.10.2", "answer"),
      of("client3", "10.9.10.3", "time"),
      of("query", "10.9.10.3", "silence")
    ]
  },
  {
    name: "the edges of the address space",
    lines: [
      "restrict default",
      "restrict 0.0.0.0 mask 128.0.0.0 noquery",
      "restrict 10.9.11.255 noserve",
      "restrict :: mask 8000:: noserve",
      "restrict fd09::ffff ignore"
    ],
    probes: [
      ...both("10.9.11.1", ...noQueries),
      ...both("10.9.11.255", "silence", "answer"),
      ...both("fd09::11:1", ...open),
      ...both("fd09::ffff", ...closed)
    ]
  }
]

const ntpsecOnly: readonly Omit<Case, "dialect">[] = [
  {
    name: "version is asked of queries too, though ntpq speaks another",
    real: true,
    lines: [...EMPTY, "restrict default version"],
    probes: [of("client3", "10.9.8.5", "silence"), ...both("10.9.8.4", "time", "silence")]
  },
  {
    name: "what NTPsec begins with",
    real: true,
    lines: ["restrict 10.9.12.1 nomodify"],
    probes: [...both("10.9.12.1", ...open), ...both("10.9.12.2", ...noQueries), ...both("fd09::12:1", ...noQueries)]
  },
  {
    name: "a default line that does not take it away",
    real: true,
    lines: ["restrict default kod limited nomodify"],
    probes: [...both("10.9.13.1", ...noQueries), ...both("fd09::13:1", ...noQueries)]
  },
  {
    name: "unrestrict takes it away",
    real: true,
    lines: [
      "unrestrict default noquery",
      "restrict 10.9.14.1 noserve noquery",
      "unrestrict 10.9.14.1 noquery",
      "restrict 10.9.14.0/24 ignore",
      "unrestrict 10.9.14.1 noserve"
    ],
    probes: [
      ...both("10.9.14.1", ...open),
      ...both("10.9.14.2", ...closed),
      ...both("10.9.15.1", ...open),
      ...both("fd09::14:1", ...open)
    ]
  },
  {
    name: "unrestrict without a flag takes the rule away",
    real: true,
    lines: [
      "unrestrict default noquery",
      "restrict 10.9.16.0/24 ignore",
      "restrict 10.9.16.1 noserve",
      "unrestrict 10.9.16.1",
      "restrict fd09::16:0/112 ignore",
      "unrestrict fd09::16:0/112"
    ],
    probes: [...both("10.9.16.1", ...closed), ...both("10.9.17.1", ...open), ...both("fd09::16:1", ...open)]
  },
  {
    name: "prefixes by their length",
    real: true,
    lines: [
      "restrict 10.9.0.0/16 nomodify",
      "restrict 10.9.18.0/25 noserve",
      "restrict 10.9.18.128/32 noquery",
      "restrict fd09::/64",
      "restrict fd09::18:0/120 noserve noquery"
    ],
    probes: [
      ...both("10.9.18.127", "silence", "answer"),
      ...both("10.9.18.128", ...noQueries),
      ...both("10.9.18.129", ...open),
      ...both("fd09::18:ff", ...closed),
      ...both("fd09::18:100", ...open)
    ]
  },
  {
    name: "kisses of Meridian's own",
    real: false,
    lines: [
      ...EMPTY,
      "restrict 10.9.19.1 noserve kod-deny",
      "restrict 10.9.19.2 noserve kod-rstr",
      "restrict fd09::19:1 noserve kod-deny",
      "restrict 10.9.19.3 ignore kod-deny"
    ],
    probes: [
      ...both("10.9.19.1", "DENY", "answer"),
      ...both("10.9.19.2", "RSTR", "answer"),
      client("fd09::19:1", "DENY"),
      ...both("10.9.19.3", ...closed)
    ]
  },
  {
    name: "no line at all",
    real: false,
    lines: [],
    probes: [
      ...both("10.9.20.1", ...noQueries),
      ...both("fd09::20:1", ...noQueries),
      ...both("127.0.0.1", ...open),
      ...both("::1", ...open)
    ]
  },
  {
    name: "chrony's words",
    real: false,
    lines: [
      "allow 10.9",
      "deny 10.9.21.0/24",
      "allow 10.9.21.7",
      "deny 10.9.22.0/24 kod",
      "allow fd09::/64",
      "deny fd09::21:0/112"
    ],
    probes: [
      ...both("10.9.1.1", ...noQueries),
      ...both("10.9.21.1", ...closed),
      ...both("10.9.21.7", ...noQueries),
      ...both("10.9.22.1", "DENY", "silence"),
      ...both("fd09::1", ...noQueries),
      ...both("fd09::21:1", ...closed),
      client("192.0.2.1", "silence"),
      client("2001:db8::1", "silence"),
      client("127.0.0.1", "silence")
    ]
  },
  {
    name: "chrony's all goes over what is narrower",
    real: false,
    lines: ["deny 10.9.23.0/24", "allow all 10.9/16", "deny 10.9.24.1", "allow all", "deny 10.9.25.1"],
    probes: [
      client("10.9.23.1", "time"),
      client("10.9.24.1", "time"),
      client("10.9.25.1", "silence"),
      client("192.0.2.1", "time"),
      client("2001:db8::1", "time")
    ]
  },
  {
    name: "chrony's words behind restrict",
    real: false,
    lines: ["unrestrict default noquery", "restrict 10.9.26.1 ignore", "allow 10.9.26.0/24"],
    probes: [...both("10.9.26.1", ...closed), ...both("10.9.26.2", ...open), ...both("10.9.27.1", "silence", "answer")]
  }
]

const classicOnly: readonly Omit<Case, "dialect">[] = [
  {
    name: "version is not asked of queries",
    real: true,
    lines: ["restrict default version"],
    probes: [of("client3", "10.9.8.5", "silence"), ...both("10.9.8.4", ...open)]
  },
  {
    name: "what the classic ntpd begins with",
    real: true,
    lines: ["discard average 3", "restrict 10.9.28.1 noquery"],
    probes: [...both("10.9.28.1", ...noQueries), ...both("10.9.28.2", ...open), ...both("fd09::28:1", ...open)]
  },
  {
    name: "classic's own flags",
    real: true,
    lines: [
      "restrict default nomodify notrap noepeer noquery limited kod",
      "restrict 10.9.29.1 noepeer",
      "restrict 10.9.29.2 ippeerlimit 3 nomrulist",
      "restrict 10.9.29.3 lowpriotrap notrap",
      "restrict 10.9.29.5 serverresponse fuzz noquery"
    ],
    probes: [
      ...both("10.9.29.1", ...open),
      ...both("10.9.29.2", ...open),
      ...both("10.9.29.3", ...open),
      ...both("10.9.29.4", ...noQueries),
      ...both("10.9.29.5", ...noQueries),
      ...both("fd09::29:1", ...noQueries)
    ]
  }
]

export const CASES: readonly Case[] = [
  ...shared.map((one): Case => ({ ...one, dialect: "ntpsec", real: true, lines: [...EMPTY, ...one.lines] })),
  ...shared.map((one): Case => ({ ...one, dialect: "classic", real: true })),
  ...ntpsecOnly.map((one): Case => ({ ...one, dialect: "ntpsec" })),
  ...classicOnly.map((one): Case => ({ ...one, dialect: "classic" }))
]
