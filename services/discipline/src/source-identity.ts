/** Reference identifiers of addresses (RFC 5905 §7.3), and which sources would close a timing loop. */
import type { OrphanRank } from "@meridian/algorithms"
import { createSocket } from "node:dgram"
import { isIPv6 } from "node:net"
import { networkInterfaces } from "node:os"
import * as onUse from "@meridian/system/on-use"
import { addressOctets } from "@meridian/udp/socket-address"

/** The reference id of who follows this address: itself for IPv4, the first four bytes of its MD5 for IPv6. */
export const referenceIdOfAddress = (address: string): number => {
  if (isIPv6(address)) return onUse.crypto().createHash("md5").update(addressOctets(address)).digest().readUInt32BE(0)
  return address.split(".").reduce((value, byte) => ((value << 8) | (Number(byte) & 0xff)) >>> 0, 0)
}

const zoneOf = (address: string): string | undefined => /%(.+)$/.exec(address)?.[1]
const isLinkLocal = (address: string): boolean => /^fe[89ab]/i.test(address)
const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1"
export const isWildcard = (address: string): boolean => address === "0.0.0.0" || address === "::"

/** Whether an address of this machine can be spoken from to another: of its family, and on the same link where only that leads there. */
const reaches = (own: string, address: string): boolean => {
  if (isIPv6(own) !== isIPv6(address)) return false
  if (isWildcard(own)) return true
  if (isLinkLocal(own) || isLinkLocal(address)) return isLinkLocal(own) && zoneOf(own) === zoneOf(address)
  return isLoopback(own) === isLoopback(address)
}

/** Where the node serves that an address is spoken to from; undefined where it serves nowhere that leads there. */
export const servingTowards = <Endpoint extends { readonly address: string }>(
  serving: readonly Endpoint[],
  address: string
): Endpoint | undefined => serving.find((each) => reaches(each.address, address))

/** The address that is served on and that an address of the same family is spoken to from; undefined for a wildcard. */
export const servedFrom = (serving: readonly { readonly address: string }[], address: string): string | undefined => {
  const own = servingTowards(serving, address)?.address
  return own === undefined || isWildcard(own) ? undefined : own
}

/** An address of ours as a packet names it, with the zone of whoever sent it: the packet does not say. */
export const inZoneOf = (own: string, sender: string): string => {
  const zone = zoneOf(sender)
  return zone === undefined || !isLinkLocal(own) || zoneOf(own) !== undefined ? own : `${own}%${zone}`
}

/** The address that this machine speaks to another from, or undefined where no route leads there. Sends nothing. */
export const addressTowards = (remote: {
  readonly address: string
  readonly port: number
}): Promise<string | undefined> =>
  new Promise((done) => {
    const socket = createSocket(isIPv6(remote.address) ? "udp6" : "udp4")
    const finish = (address: string | undefined): void => {
      socket.close()
      done(address)
    }
    socket.once("error", () => finish(undefined))
    socket.connect(remote.port, remote.address, () => finish(socket.address().address))
  })

/** Where two orphans stand to each other: both compute the same two numbers, the other way round. */
export const orphanRank = (theirs: string, ours: string): OrphanRank => ({
  theirs: referenceIdOfAddress(theirs),
  ours: referenceIdOfAddress(ours)
})

const LOOPBACK = 0x7f000001
const REFRESH_SECONDS = 60

/** This machine's own addresses as reference ids, looked up again once a minute. */
export class OwnAddresses {
  private ids: ReadonlySet<number> = new Set()
  private readAt = -Infinity

  /** @param now CLOCK_MONOTONIC, seconds */
  has(referenceId: number, now: number): boolean {
    if (now - this.readAt > REFRESH_SECONDS) {
      this.readAt = now
      const all = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
      this.ids = new Set(all.map(({ address }) => referenceIdOfAddress(address)))
    }
    return this.ids.has(referenceId)
  }
}

/**
 * RFC 5905 A.5.5.3: a source that follows us, or whom we follow, is no second opinion. Loopback is exempt, since everybody
 * has it.
 * @param systemReferenceId what we follow now; undefined when nothing
 */
export const closesLoop = (
  stratum: number,
  referenceId: number,
  isOurs: (referenceId: number) => boolean,
  systemReferenceId: number | undefined
): boolean => stratum > 1 && referenceId !== LOOPBACK && (isOurs(referenceId) || referenceId === systemReferenceId)
