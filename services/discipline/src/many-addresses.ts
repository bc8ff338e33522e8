/** Addresses that stand for many: the broadcast addresses of this machine's networks, and what multicasts leave from. */
import { isIPv4, isIPv6 } from "node:net"
import { networkInterfaces } from "node:os"
import { isGroup } from "@meridian/udp/client"
import { addressTowards, isWildcard } from "./source-identity.ts"

/** An own address on a network that can carry broadcasts or multicasts. */
interface OwnNetwork {
  readonly address: string
  /** Of IPv4; undefined for IPv6, and where a network has one host or two (RFC 3021). */
  readonly broadcast: string | undefined
}

const number = (address: string): number =>
  address.split(".").reduce((value, part) => (value * 256 + Number(part)) >>> 0, 0)

/** The last address of a network. */
const broadcastOf = (address: string, netmask: string): string | undefined => {
  if (!isIPv4(address) || !isIPv4(netmask)) return undefined
  const mask = number(netmask)
  const last = (number(address) | ~mask) >>> 0
  return ~mask >>> 0 < 3 ? undefined : [24, 16, 8, 0].map((shift) => (last >>> shift) & 0xff).join(".")
}

/**
 * The networks of this machine, loopback aside.
 * @param serving addresses that the node serves on: where none is a wildcard, networks of other addresses are left alone
 */
export const ownNetworks = (serving: readonly { readonly address: string }[]): readonly OwnNetwork[] =>
  Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).flatMap(({ address, netmask, internal }) => {
      const isServed =
        serving.length === 0 ||
        serving.some(
          (each) => each.address === address || (isWildcard(each.address) && isIPv6(each.address) === isIPv6(address))
        )
      if (internal || !isServed) return []
      const zoned = /^fe[89ab]/i.test(address) ? `${address}%${name}` : address
      return [{ address: zoned, broadcast: broadcastOf(address, netmask) }]
    })
  )

/** Our address on the network that a broadcast or multicast address leads to; undefined where there is none. */
export const addressTowardsMany = async (
  many: string,
  serving: readonly { readonly address: string }[]
): Promise<string | undefined> => {
  const networks = ownNetworks(serving).filter(({ address }) => isIPv6(address) === isIPv6(many))
  const direct = networks.find(({ broadcast }) => broadcast === many)
  if (direct !== undefined) return direct.address
  const routed = isGroup(many) ? await addressTowards({ address: many, port: 123 }) : undefined
  const isOurs = networks.some(({ address }) => address.split("%", 1)[0] === routed)
  return isOurs ? routed : networks[0]?.address
}
