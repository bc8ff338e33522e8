/** Which addresses a packet that comes in by an interface may be meant for, as the program finds them in it. */
import { readFileSync } from "@meridian/system/files"
import { networkInterfaces, type NetworkInterfaceInfo } from "node:os"
import { parseAddress } from "@meridian/config/address"
import type { Place } from "./answer-layout.ts"

export interface Listening {
  /** Numeric; 0.0.0.0 and :: stand for all of their family. */
  readonly addresses: readonly string[]
  readonly ports: readonly number[]
}

interface OwnAddresses {
  readonly places: readonly Place[]
  /** Of the interface; all zero where it has none that can be read. */
  readonly mac: readonly number[]
}

/** VLANs over an interface: their own interfaces' names, and their numbers. */
type Vlans = ReadonlyMap<string, number>

/** Lines `NAME | ID | PARENT` of /proc/net/vlan/config. */
export const parseVlans = (text: string, parent: string): Vlans =>
  new Map(
    text.split("\n").flatMap((line) => {
      const [name = "", id = "", over = ""] = line.split("|").map((word) => word.trim())
      return over === parent && /^\d{1,4}$/.test(id) ? [[name, Number(id)] as const] : []
    })
  )

const readVlans = (parent: string): Vlans => {
  try {
    return parseVlans(readFileSync("/proc/net/vlan/config", "utf8"), parent)
  } catch {
    return new Map()
  }
}

/** The interface's own addresses are those that most packets are sent to. */
const ownFirst = (
  interfaceName: string,
  interfaces: Interfaces
): readonly (readonly [string, readonly NetworkInterfaceInfo[] | undefined])[] =>
  Object.entries(interfaces).toSorted(([a], [b]) => Number(b === interfaceName) - Number(a === interfaceName))

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>

const isServed = (address: string, family: 4 | 6, addresses: readonly string[]): boolean =>
  addresses.includes(address) || addresses.includes(family === 4 ? "0.0.0.0" : "::")

/**
 * The places of the addresses that are listened on. An address of a VLAN over the interface is looked for behind that VLAN's tag. One
 * of another interface, such as an anycast address of the loopback, is looked for in front of every tag; without a tag only where the
 * interface has no VLANs, for a device may take the tags off before the program sees them.
 */
export const placesOn = (
  interfaceName: string,
  { addresses, ports }: Listening,
  interfaces: Interfaces,
  vlans: Vlans
): readonly Place[] =>
  ownFirst(interfaceName, interfaces).flatMap(([name, infos = []]) => {
    const tags =
      name === interfaceName
        ? [0]
        : vlans.has(name)
          ? [vlans.get(name) as number]
          : vlans.size === 0
            ? [0]
            : [...vlans.values()]
    return infos.flatMap((info) => {
      const parsed = parseAddress(info.address.replace(/%.*$/, ""))
      if (parsed === undefined || !isServed(parsed.text, parsed.family, addresses)) return []
      return tags.flatMap((vlan) => ports.map((port) => ({ address: parsed.bytes, port, vlan })))
    })
  })

const NO_MAC = [0, 0, 0, 0, 0, 0]

const parseMac = (text: string): readonly number[] => {
  const octets = text
    .trim()
    .split(":")
    .map((octet) => Number.parseInt(octet, 16))
  return octets.length === 6 && octets.every((octet) => octet >= 0 && octet <= 255) ? octets : NO_MAC
}

const readMac = (interfaceName: string, interfaces: Interfaces): readonly number[] => {
  const [info] = interfaces[interfaceName] ?? []
  if (info !== undefined) return parseMac(info.mac)
  try {
    // One without an address of its own, as below a bridge.
    return parseMac(readFileSync(`/sys/class/net/${interfaceName}/address`, "utf8"))
  } catch {
    return NO_MAC
  }
}

/** As they are now; an address that comes or goes is noticed at the next look. */
export const ownAddresses = (interfaceName: string, listening: Listening): OwnAddresses => {
  const interfaces = networkInterfaces()
  return {
    places: placesOn(interfaceName, listening, interfaces, readVlans(interfaceName)),
    mac: readMac(interfaceName, interfaces)
  }
}

const readNumber = (path: string, otherwise: number): number => {
  try {
    const value = Number(readFileSync(path, "utf8"))
    return value >= 1 && value <= 255 ? value : otherwise
  } catch {
    return otherwise
  }
}

/** What this system's packets leave with. */
export const hopLimits = (
  interfaceName: string
): { readonly ipv4TimeToLive: number; readonly ipv6HopLimit: number } => ({
  ipv4TimeToLive: readNumber("/proc/sys/net/ipv4/ip_default_ttl", 64),
  ipv6HopLimit: readNumber(`/proc/sys/net/ipv6/conf/${interfaceName}/hop_limit`, 64)
})
