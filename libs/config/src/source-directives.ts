/** The rows of sources of time: servers, pools, peers and reference clocks. */
import { keyId, aeadId } from "./authentication-types.ts"
import { keyOwner } from "./autokey-directives.ts"
import { type Directive, one, optional, row } from "./directive.ts"
import { decimalNumber, oneOf, path, text, wholeNumber } from "./value-types.ts"

/** log2 of the poll interval in seconds: RFC 5905 §7.3 has 4 to 17, NTPsec takes 0 to 17. */
const pollExponent = wholeNumber("LOG2_SECONDS", -7, 17)
const clockPollExponent = wholeNumber("LOG2_SECONDS", 0, 17)

const sourceOperands = {
  family: optional(oneOf("-4", "-6")),
  host: one(text("HOST", "a host's name or address"))
}

const sourceOptions = {
  autokey: "switch",
  burst: "switch",
  iburst: "switch",
  noselect: "switch",
  noval: "switch",
  nts: "switch",
  preempt: "switch",
  prefer: "switch",
  true: "switch",
  xleave: "switch",
  xmtnonce: "switch",
  aead: aeadId,
  ask: text("HOST", "a host's name"),
  asymmetry: decimalNumber("SHARE", "", -0.5, 0.5),
  bias: decimalNumber("SECONDS", "seconds"),
  ca: path("PATH"),
  cert: path("FILE"),
  filter: wholeNumber("N", 1, 64),
  ident: keyOwner("GROUP", "a group's name"),
  key: keyId,
  maxdelay: decimalNumber("SECONDS", "seconds", 0, 1000),
  maxdelaydevratio: decimalNumber("RATIO", "", 0, 1e6),
  maxdelayratio: decimalNumber("RATIO", "", 1, 1e6),
  maxpoll: pollExponent,
  mindelay: decimalNumber("SECONDS", "seconds", 0, 1000),
  minpoll: pollExponent,
  mode: wholeNumber("N", 0, 2 ** 32 - 1),
  offset: decimalNumber("SECONDS", "seconds"),
  presend: pollExponent,
  require: text("HOST", "a host's name"),
  ttl: wholeNumber("N", 0, 255),
  version: wholeNumber("N", 1, 4)
} as const

/** Of Red Hat's ntp: a server that has no address yet, or is unreachable at start, is kept. It is so here. */
const droppedSourceOptions = { dynamic: "names that have no address yet are looked up again by themselves" } as const

/** chrony's. */
const saidOtherwise = { port: "a port stands behind the host: HOST:PORT" } as const

/** What lines of sources have in common. */
const sourceLine = {
  operands: sourceOperands,
  options: sourceOptions,
  droppedOptions: droppedSourceOptions,
  saidOtherwise,
  repeatable: true,
  reload: "live",
  actedOn: "partly"
} as const

export const serverDirective = row({
  name: "server",
  ...sourceLine,
  default: "127.127.1.0, the local reference",
  meaning: "Server to follow. 127.127.1.U is this machine's own clock, taken as it is (the local reference)."
})

export const poolDirective = row({
  name: "pool",
  ...sourceLine,
  default: "none",
  meaning: "Name that stands for many servers. As many of them are asked as `tos maxclock` allows."
})

export const peerDirective = row({
  name: "peer",
  ...sourceLine,
  default: "none",
  meaning: "Server that may also ask this one (symmetric mode, RFC 5905 §3)."
})

/** Each is a socket of the clock's process, and a vote. */
const MAX_PASSIVE_PEERS = 64
export const DEFAULT_PASSIVE_PEERS = 16

export const passivepeersDirective = row({
  name: "passivepeers",
  operands: { most: one(wholeNumber("N", 0, MAX_PASSIVE_PEERS)) },
  default: `${DEFAULT_PASSIVE_PEERS}`,
  meaning:
    "Most peers that are accepted without a line that names them (symmetric passive mode, RFC 5905 §3.1). Each must send packets under a trusted key. 0 accepts none, as ntpd does with `restrict default noepeer`.",
  documented: "Meridian",
  reload: "clock"
})

export const unpeerDirective = row({
  name: "unpeer",
  aliases: ["unconfig"],
  operands: {
    host: one(text("HOST", "a host's name or address, or clock")),
    clock: optional(text("TYPE", "a driver"))
  },
  options: { unit: wholeNumber("N", 0, 255) },
  repeatable: true,
  default: "none",
  meaning:
    "Removes every `server`, `pool` or `peer` line of this name; `unpeer clock TYPE unit N` removes a reference clock.",
  reload: "live",
  actedOn: true
})

/** A flag of a reference clock driver. */
const onOff = oneOf("0", "1")

/** What a driver can be told, by `refclock` itself or by `fudge`. */
const clockOptions = {
  flag1: onOff,
  flag2: onOff,
  flag3: onOff,
  flag4: onOff,
  refid: text("STRING", "a reference id of up to four characters"),
  stratum: wholeNumber("N", 0, 15),
  time1: decimalNumber("SECONDS", "seconds"),
  time2: decimalNumber("SECONDS", "seconds"),
  precision: decimalNumber("SECONDS", "seconds", 1e-9, 1e4),
  minjitter: decimalNumber("SECONDS", "seconds", 0)
} as const

export const refclockDirective = row({
  name: "refclock",
  operands: { driver: one(text("DRIVER", "a driver's name, such as shm, or its number")) },
  options: {
    ...clockOptions,
    noselect: "switch",
    prefer: "switch",
    true: "switch",
    bias: decimalNumber("SECONDS", "seconds"),
    baud: wholeNumber("N", 300, 4_000_000),
    holdover: decimalNumber("SECONDS", "seconds", 0),
    maxpoll: clockPollExponent,
    minpoll: clockPollExponent,
    mode: wholeNumber("N", 0, 2 ** 32 - 1),
    path: path("FILE"),
    ppspath: path("FILE"),
    subtype: wholeNumber("N", 0, 2 ** 31 - 1),
    unit: wholeNumber("N", 0, 255)
  },
  repeatable: true,
  default: "none",
  meaning:
    "Reference clock by its driver's name: shm, pps, sock or phc; `server 127.127.T.U` with `fudge` says the same by number.",
  documented: "NTPsec",
  reload: "clock",
  actedOn: "partly"
})

export const fudgeDirective = row({
  name: "fudge",
  operands: { clock: one(text("127.127.T.U", "a reference clock's address, 127.127.T.U")) },
  options: clockOptions,
  repeatable: true,
  default: "127.127.1.0 stratum 10",
  meaning:
    "Adjusts a reference clock. `stratum` of 127.127.1.U is the stratum that the local reference is served with, 1 to 15.",
  flags: ["stratum"],
  reload: "clock",
  actedOn: "partly"
})

export const SOURCE_DIRECTIVES: readonly Directive[] = [
  serverDirective,
  poolDirective,
  peerDirective,
  passivepeersDirective,
  unpeerDirective,
  refclockDirective,
  fudgeDirective
]
