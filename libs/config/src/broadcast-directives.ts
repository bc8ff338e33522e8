/** The rows of broadcast, multicast and manycast (RFC 5905 §3.1), as classic ntpd's page ntp.conf(5) has them. */
import { parseAddress } from "./address.ts"
import { keyId } from "./authentication-types.ts"
import { keyOwner } from "./autokey-directives.ts"
import { any, type Directive, one, optional, rest, row } from "./directive.ts"
import { accepted, decimalNumber, oneOf, refused, type ValueType, wholeNumber } from "./value-types.ts"

/** The group that IANA gave to NTP. */
export const NTP_GROUP = "224.0.1.1"

/** Whether an address is a multicast group's. */
export const isGroupAddress = (address: string): boolean =>
  !address.includes(":") ? /^2(2[4-9]|3\d)\./.test(address) : /^ff/i.test(address)

const group: ValueType<string> = {
  syntax: "GROUP",
  expected: `a multicast address such as ${NTP_GROUP} or ff05::101`,
  parse: (word) => {
    const address = parseAddress(word)
    return address !== undefined && isGroupAddress(address.text) ? accepted(address.text) : refused
  },
  write: String
}

const many: ValueType<string> = {
  syntax: "ADDRESS",
  expected: "a numeric address: a network's broadcast address, or a multicast group",
  parse: (word) => {
    const address = parseAddress(word)
    return address === undefined ? refused : accepted(address.text)
  },
  write: String
}

const pollExponent = wholeNumber("LOG2_SECONDS", 0, 17)
const family = optional(oneOf("-4", "-6"))

/** Of lines that name many servers or clients at once. */
const manyOptions = {
  autokey: "switch",
  iburst: "switch",
  prefer: "switch",
  ident: keyOwner("GROUP", "a group's name"),
  key: keyId,
  maxpoll: pollExponent,
  minpoll: pollExponent,
  ttl: wholeNumber("HOPS", 0, 255),
  version: wholeNumber("N", 1, 4)
} as const

export const broadcastDirective = row({
  name: "broadcast",
  operands: { family, address: one(many) },
  options: { ...manyOptions, xleave: "switch" },
  repeatable: true,
  default: "none",
  meaning:
    "Sends the time to a network's broadcast address or to a multicast group, every 2^minpoll seconds while this node is synchronised. Multicasts pass at most HOPS routers.",
  documented: "ntp.conf(5) of ntp",
  reload: "clock",
  actedOn: "partly"
})

export const broadcastclientDirective = row({
  name: "broadcastclient",
  operands: {},
  options: { novolley: "switch" },
  default: "off",
  meaning:
    "Follows servers that send the time to the broadcast addresses of this machine's networks. They must use a key that `trustedkey` names, or Autokey; without either only after `disable auth`. A few exchanges with each server measure the delay.",
  documented: "ntp.conf(5) of ntp",
  reload: "clock"
})

export const multicastclientDirective = row({
  name: "multicastclient",
  operands: { groups: any(group) },
  repeatable: true,
  default: `off; ${NTP_GROUP} if no group is named`,
  meaning: "As `broadcastclient`, for servers that send the time to these multicast groups.",
  documented: "ntp.conf(5) of ntp",
  reload: "clock"
})

export const broadcastdelayDirective = row({
  name: "broadcastdelay",
  operands: { seconds: one(decimalNumber("SECONDS", "seconds", 0, 1)) },
  default: "measured",
  meaning: "Round trip to broadcast servers, in seconds. If it is given, they are not asked and it is not measured.",
  documented: "ntp.conf(5) of ntp",
  reload: "clock"
})

export const manycastserverDirective = row({
  name: "manycastserver",
  operands: { groups: rest(group) },
  repeatable: true,
  default: "off",
  meaning:
    "Answers clients that look for servers at these multicast groups. They must use a trusted key or Autokey; without either only after `disable auth`.",
  documented: "ntp.conf(5) of ntp",
  reload: "restart"
})

export const manycastclientDirective = row({
  name: "manycastclient",
  operands: { family, address: one(many) },
  options: manyOptions,
  repeatable: true,
  default: "none",
  meaning:
    "Looks for servers at a multicast group, step by step further away, up to HOPS routers, and asks as many of those that answer as `tos maxclock` allows.",
  documented: "ntp.conf(5) of ntp",
  reload: "clock"
})

export const BROADCAST_DIRECTIVES: readonly Directive[] = [
  broadcastDirective,
  broadcastclientDirective,
  multicastclientDirective,
  broadcastdelayDirective,
  manycastserverDirective,
  manycastclientDirective
]
