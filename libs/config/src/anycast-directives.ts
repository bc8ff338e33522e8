/** The rows of a node behind an anycast address: its service addresses, who announces them, when, and how it is drained. */
import {
  type IpAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isWildcard,
  mappedIpv4,
  parseAddress,
  parsePrefix
} from "./address.ts"
import { type Directive, one, row } from "./directive.ts"
import { accepted, decimalNumber, oneOf, path, refused, type ValueType, wholeNumber } from "./value-types.ts"

/** An address that clients ask, and the prefix that is announced for it. */
export interface ServiceAddress {
  readonly address: IpAddress
  /** Of the announced prefix; the whole address where nothing is said. */
  readonly length: number
}

/** A shorter prefix would draw to this node what is for half of the world: it is a slip of the pen. */
const SHORTEST_PREFIX = { 4: 8, 6: 16 } as const

const isOfOneHost = (address: IpAddress): boolean =>
  ![isWildcard, isLoopback, isLinkLocal, isMulticast].some((isSuch) => isSuch(address)) &&
  mappedIpv4(address) === undefined

/** `192.0.2.1`, `192.0.2.1/24`, `2001:db8::123/48`. */
export const serviceAddress: ValueType<ServiceAddress> = {
  syntax: "ADDRESS[/LENGTH]",
  expected: "an address, or an address with the length of the prefix to announce, such as 192.0.2.1/24",
  parse: (value) => {
    const prefix = parsePrefix(value)
    const address = prefix?.address ?? parseAddress(value)
    if (address === undefined || address.scope !== undefined) return refused
    if (!isOfOneHost(address)) return { ok: false, advice: `${address.text} is no address that routers lead to a host` }
    const length = prefix?.length ?? address.bytes.length * 8
    const shortest = SHORTEST_PREFIX[address.family]
    if (length < shortest) return { ok: false, advice: `a prefix that is announced has at least ${shortest} bits` }
    return accepted({ address, length })
  },
  write: (value) => {
    const { address, length } = value as ServiceAddress
    return `${address.text}/${length}`
  }
}

/** Linux: at most 15 characters. */
const deviceName: ValueType<string> = {
  syntax: "NAME",
  expected: "the name of a network device, at most 15 characters, such as meridian0",
  parse: (value) => (/^[A-Za-z][A-Za-z0-9_.-]{0,14}$/.test(value) ? accepted(value) : refused),
  write: String
}

/** As BIRD spells the names of protocols without quotes. */
const birdProtocol: ValueType<string> = {
  syntax: "NAME",
  expected: "the name of a protocol in bird.conf: letters, digits and _",
  parse: (value) => (/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(value) ? accepted(value) : refused),
  write: String
}

const LONGEST_SECONDS = 3_600
const seconds = (least: number): ValueType<number> => decimalNumber("SECONDS", "s", least, LONGEST_SECONDS)
const LARGEST_AS = 4_294_967_294

export const anycastDirective = row({
  name: "anycast",
  operands: {},
  options: {
    address: serviceAddress,
    device: deviceName,
    bird: path("PATH"),
    protocol: birdProtocol,
    exabgp: path("PATH"),
    frr: wholeNumber("AS", 1, LARGEST_AS),
    vtysh: path("FILE"),
    script: path("FILE"),
    rise: seconds(0),
    fall: seconds(0),
    maxerror: decimalNumber("SECONDS", "s", 0.000_001, 16),
    maxrate: wholeNumber("PER_SECOND", 1, 1_000_000_000)
  },
  needsOption: true,
  repeatable: true,
  default: "none; bird /run/bird/bird.ctl, vtysh /usr/bin/vtysh, rise 10, fall 0.7, maxerror 0.5, maxrate none",
  meaning:
    "Announces the prefix of each service `address` while the node is healthy: synchronised within `maxerror` of the true time, in possession of its NTS keys, answering its own probes, not drained, and answering at most `maxrate` requests a second. The route is announced after `rise` seconds of that and withdrawn after `fall` seconds without. One or more of these announce it: BIRD, by its control socket `bird` and its `protocol` (a line for each protocol); ExaBGP, by a helper that asks at the socket `exabgp`; FRR, by `vtysh` in the AS `frr`; a `script`, which is called with announce or withdraw and the prefixes; or any router that follows the link state of `device`, a network device that the node makes for the addresses and removes when it ends. Without `device` the addresses are put on the loopback, if that is allowed.",
  documented: "Meridian",
  reload: "restart"
})

export const drainDirective = row({
  name: "drain",
  operands: {},
  options: { wait: seconds(0), grace: seconds(0), onstop: "switch" },
  needsOption: true,
  repeatable: true,
  default: "wait 10 and grace 10 if a route is announced, else 0; no onstop",
  meaning:
    "How a node is drained. Once the route is withdrawn, it waits `wait` seconds for routers to converge, stops key exchange, goes on answering time for `grace` seconds, and then says that it is drained. With `onstop` SIGTERM does all this before the node ends.",
  documented: "Meridian",
  flags: ["drain"],
  reload: "restart"
})

export const identifyDirective = row({
  name: "identify",
  operands: { state: one(oneOf("on", "off")) },
  default: "off",
  meaning:
    "Tells clients that ask for it (`meridian query HOST --identify`) which node answered, its software, its key generation and the decision of its clock that was in force. They ask by an extension field of the experimental type 0xF44E in a plain request that has room for the answer.",
  documented: "Meridian",
  reload: "live"
})

export const ANYCAST_DIRECTIVES: readonly Directive[] = [anycastDirective, drainDirective, identifyDirective]
