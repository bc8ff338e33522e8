/** Reference identifiers of addresses (RFC 5905 §7.3), and which sources would close a timing loop. */
import type { OrphanRank } from "@meridian/algorithms/orphan"
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { isIPv6 } from "node:net"
import { networkInterfaces } from "node:os"

/** The 16 bytes of an IPv6 address; a zone is left out. Zeros for what is none. */
const ipv6Bytes = (address: string): Uint8Array => {
  const bytes = new Uint8Array(16)
  const [plain = ""] = address.split("%")
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain)
  const text =
    dotted === null
      ? plain
      : `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`
  const [head = "", tail] = text.split("::")
  const words = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16) & 0xffff)
  const [before, after] = [words(head), tail === undefined ? [] : words(tail)]
  const all = [...before, ...Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => 0), ...after]
  for (let index = 0; index < 8; index += 1) new DataView(bytes.buffer).setUint16(2 * index, all[index] ?? 0)
  return bytes
}

/** The reference id of who follows this address: itself for IPv4, the first four bytes of its MD5 for IPv6. */
export const referenceIdOfAddress = (address: string): number => {
  if (isIPv6(address)) return createHash("md5").update(ipv6Bytes(address)).digest().readUInt32BE(0)
  return address.split(".").reduce((value, byte) => ((value << 8) | (Number(byte) & 0xff)) >>> 0, 0)
}

/** The address that is served on and that an address of the same family is spoken to from; undefined for a wildcard. */
export const servedFrom = (serving: readonly { readonly address: string }[], address: string): string | undefined => {
  const own = serving.find((each) => isIPv6(each.address) === isIPv6(address))?.address
  return own === "0.0.0.0" || own === "::" ? undefined : own
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
