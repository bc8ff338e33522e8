/** The rows of access control and rate limits, in the words of NTPsec, of the classic ntpd and of chrony. */
import { accessTarget, allowTarget, netmask } from "./access-types.ts"
import { type Directive, one, type Option, optional, row } from "./directive.ts"
import { decimalNumber, oneOf, wholeNumber } from "./value-types.ts"

/** The flags of `restrict`, and what stands beside them. */
const restrictOptions = {
  mask: netmask,
  ignore: "switch",
  noserve: "switch",
  notrust: "switch",
  version: "switch",
  nopeer: "switch",
  noepeer: "switch",
  epeer: "switch",
  limited: "switch",
  kod: "switch",
  "kod-deny": "switch",
  "kod-rstr": "switch",
  noquery: "switch",
  nomodify: "switch",
  nomrulist: "switch",
  notrap: "switch",
  lowpriotrap: "switch",
  mssntp: "switch",
  flake: "switch",
  ntpport: "switch",
  interface: "switch",
  serverresponse: oneOf("fuzz"),
  ippeerlimit: wholeNumber("N", -1, 32767)
} as const satisfies Record<string, Option>

const restrictOperands = {
  family: optional(oneOf("-4", "-6")),
  target: one(accessTarget)
}

export const restrictDirective = row({
  name: "restrict",
  operands: restrictOperands,
  options: restrictOptions,
  repeatable: true,
  default: "without any such line: everybody is served, and queries (mode 6) are answered to this host alone",
  meaning:
    "What hosts may not do. The most specific rule that matches an address decides; lines about the same addresses add up.",
  reload: "live"
})

export const unrestrictDirective = row({
  name: "unrestrict",
  operands: restrictOperands,
  options: restrictOptions,
  repeatable: true,
  default: "none",
  meaning: "Removes flags from an earlier rule, or the whole rule if no flag is named.",
  documented: "NTPsec's ntp.conf(5)",
  reload: "live"
})

export const allowDirective = row({
  name: "allow",
  operands: { all: optional(oneOf("all")), subnet: optional(allowTarget) },
  options: { kod: "switch" },
  repeatable: true,
  default: "everybody; once there is an `allow` or `deny` line, only those that an `allow` covers",
  meaning:
    "Serves a subnet, or everybody. The most specific line decides; with `all` this line overrides those within its subnet.",
  documented: "chrony.conf(5)",
  reload: "live"
})

export const denyDirective = row({
  name: "deny",
  operands: { all: optional(oneOf("all")), subnet: optional(allowTarget) },
  options: { kod: "switch" },
  repeatable: true,
  default: "see allow",
  meaning: "Serves nobody in a subnet. With `kod` they are told so now and then, by a kiss-o'-death DENY.",
  documented: "chrony.conf(5)",
  reload: "live"
})

export const limitDirective = row({
  name: "limit",
  operands: {},
  options: {
    average: decimalNumber("RATE", "packets a second", 0.001, 100_000),
    burst: decimalNumber("N", "packets", 1, 100_000),
    kod: decimalNumber("RATE", "packets a second", 0, 100_000)
  },
  needsOption: true,
  repeatable: true,
  default: "average 1, burst 20, kod 0.5",
  meaning:
    "NTPsec's limit for those whom `restrict … limited` names: packets a second on average, and at most in a burst.",
  documented: "NTPsec's ntp.conf(5)",
  reload: "live"
})

export const discardDirective = row({
  name: "discard",
  operands: {},
  options: {
    average: wholeNumber("LOG2_SECONDS", 0, 15),
    minimum: wholeNumber("SECONDS", 0, 86_400),
    monitor: wholeNumber("SECONDS", 0, 2 ** 31 - 1)
  },
  needsOption: true,
  repeatable: true,
  default: "average 3, minimum 2",
  meaning:
    "The classic ntpd's limit for those whom `restrict … limited` names: 2^average seconds from one packet to the next.",
  documented: "ntp.conf(5) of the classic ntpd",
  reload: "live",
  actedOn: "partly"
})

export const ratelimitDirective = row({
  name: "ratelimit",
  operands: {},
  options: {
    interval: wholeNumber("LOG2_SECONDS", -19, 12),
    burst: wholeNumber("N", 1, 255),
    leak: wholeNumber("LOG2", 0, 4),
    kod: wholeNumber("LOG2", 0, 4)
  },
  repeatable: true,
  default: "off; in a line without options: interval 3, burst 8, leak 2, kod 0",
  meaning:
    "Limits every client, as chrony does: one packet each 2^interval seconds and `burst` at once; of the rest, one in 2^leak is answered.",
  documented: "chrony.conf(5)",
  reload: "live"
})

export const mruDirective = row({
  name: "mru",
  operands: {},
  options: {
    maxmem: wholeNumber("KILOBYTES", 1, 4_194_304),
    maxdepth: wholeNumber("ENTRIES", 1, 67_108_864),
    maxage: wholeNumber("SECONDS", 0, 2 ** 31 - 1),
    minage: wholeNumber("SECONDS", 0, 2 ** 31 - 1),
    ipv6prefix: wholeNumber("LENGTH", 32, 128),
    mindepth: wholeNumber("ENTRIES", 0, 2 ** 31 - 1),
    initalloc: wholeNumber("ENTRIES", 0, 2 ** 31 - 1),
    initmem: wholeNumber("KILOBYTES", 0, 2 ** 31 - 1),
    incalloc: wholeNumber("ENTRIES", 0, 2 ** 31 - 1),
    incmem: wholeNumber("KILOBYTES", 0, 2 ** 31 - 1)
  },
  needsOption: true,
  repeatable: true,
  default: "maxmem 16384, maxage 3600, minage 64, ipv6prefix 64",
  meaning:
    "Size of the list of clients, over all workers, and when an entry may be dropped. Rate limits are kept in this list.",
  reload: "live",
  actedOn: "partly"
})

export const dialectDirective = row({
  name: "dialect",
  operands: { name: one(oneOf("ntpsec", "classic")) },
  default: "recognised by the words in the file; ntpsec if none decides",
  meaning:
    "Whose defaults apply to `restrict`. `ntpsec`: everybody is noquery and limited, by `limit`. `classic`: nobody is restricted; limits are those of `discard`.",
  documented: "Meridian",
  reload: "live"
})

export const ACCESS_DIRECTIVES: readonly Directive[] = [
  restrictDirective,
  unrestrictDirective,
  allowDirective,
  denyDirective,
  limitDirective,
  discardDirective,
  ratelimitDirective,
  mruDirective,
  dialectDirective
]
