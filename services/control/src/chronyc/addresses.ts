/** Numeric addresses as octets. */
import { isIP } from "node:net"
import { addressOctets } from "@meridian/udp/socket-address"

/** 4 or 16 octets; undefined for what is no address. A zone is left out. */
export const addressBytes = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  const plain = text.split("%")[0]!
  return isIP(plain) === 0 ? undefined : addressOctets(plain)
}

/** Whether an address is the given one, in the octets of a mask where there is one of its family. */
export const underMask = (bytes: Uint8Array, given: Uint8Array, mask: Uint8Array | undefined): boolean =>
  bytes.length === given.length &&
  bytes.every((byte, index) => ((byte ^ given[index]!) & (mask?.length === given.length ? mask[index]! : 0xff)) === 0)

export const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a !== undefined && b !== undefined && a.length === b.length && a.every((byte, index) => byte === b[index])
