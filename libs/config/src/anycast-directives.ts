/** The rows of a node behind an anycast address: its service addresses, who announces them, when, and how it is drained. */
import { type IpAddress, parseAddress, parsePrefix } from "./address.ts"
import { type Directive, one, row } from "./directive.ts"
import { accepted, decimalNumber, oneOf, path, refused, type ValueType, wholeNumber } from "./value-types.ts"

/** An address that clients ask, and the prefix that is announced for it. */
export interface ServiceAddress {
  readonly address: IpAddress
  /** Of the announced prefix; the whole address where nothing is said. */
  readonly length: number
}

/** `192.0.2.1`, `192.0.2.1/24`, `2001:db8::123/48`. */
export const serviceAddress: ValueType<ServiceAddress> = {
  syntax: "ADDRESS[/LENGTH]",
  expected: "an address, or an address with the length of the prefix to announce, such as 192.0.2.1/24",
  parse: (value) => {
    const prefix = parsePrefix(value)
    const address = prefix?.address ?? parseAddress(value)
    if (address === undefined || address.scope !== undefined) return refused
    return accepted({ address, length: prefix?.length ?? address.bytes.length * 8 })
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
    "Routes that follow health: the prefix of each service `address` is announced while the node is synchronised within `maxerror` of the true time, holds its NTS keys, answers its own probes, is not drained and answers at most `maxrate` requests a second; it comes after `rise` seconds of that and goes after `fall` seconds without. Who announces: BIRD, over the control socket `bird`, by its `protocol` (several lines for several); ExaBGP, by a helper that asks at the socket `exabgp`; FRR, in the AS `frr`, by `vtysh`; a `script` that is given announce or withdraw and the prefixes; or whichever router follows the `device` of its own that carries the addresses, whose link is up while they are announced, and which goes with the node. Without a device the addresses are put on the loopback where that is allowed.",
  documented: "Meridian",
  reload: "restart"
})

export const drainDirective = row({
  name: "drain",
  operands: {},
  options: { wait: seconds(0), grace: seconds(0), onstop: "switch" },
  needsOption: true,
  repeatable: true,
  default: "wait 10 and grace 10 where a route is announced, else 0; no onstop",
  meaning:
    "How a node leaves: after the route is withdrawn it waits for so long until routers have converged, stops key exchange, answers time for the grace time on, and then says that it is drained. With `onstop` SIGTERM does all that before the node ends.",
  documented: "Meridian",
  flags: ["drain"],
  reload: "restart"
})

export const identifyDirective = row({
  name: "identify",
  operands: { state: one(oneOf("on", "off")) },
  default: "off",
  meaning:
    "Tells clients that ask, by an extension field of experimental type 0xF44E in a plain request that has room for it, which node answered, by which software, key generation and decision of its clock: `meridian query --identify`.",
  documented: "Meridian",
  reload: "live"
})

export const ANYCAST_DIRECTIVES: readonly Directive[] = [anycastDirective, drainDirective, identifyDirective]
