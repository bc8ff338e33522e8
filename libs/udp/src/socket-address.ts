/** Numeric IP addresses as text and as the kernel's sockaddr_in and sockaddr_in6 (Linux). */
import { isIP } from "node:net"
import { endianness } from "node:os"
import { parseAddress, textOfOctets } from "@meridian/config/address"

const AF_INET = 2
const AF_INET6 = 10
const LITTLE_ENDIAN = endianness() === "LE"

/** The 4 or 16 octets of a numeric address; a zone is left out. The text must be valid (net.isIP). */
export const addressOctets = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(parseAddress(text.split("%")[0]!)!.bytes)

/** Writes them at `offset`; see {@link addressOctets}. */
export const writeAddress = (out: Uint8Array, offset: number, text: string): void =>
  out.set(addressOctets(text), offset)

/** Writes a sockaddr_in (16 bytes) or sockaddr_in6 (28 bytes, scope and flow 0) at `offset`. */
export const writeSocketAddress = (out: Uint8Array, offset: number, text: string, port: number): void => {
  const six = text.includes(":")
  out.fill(0, offset, offset + (six ? 28 : 16))
  out[offset + (LITTLE_ENDIAN ? 0 : 1)] = six ? AF_INET6 : AF_INET
  out[offset + 2] = port >> 8
  out[offset + 3] = port & 0xff
  writeAddress(out, offset + (six ? 8 : 4), text)
}

/** The port of a sockaddr at `offset`. */
export const socketAddressPort = (addresses: Uint8Array, offset: number): number =>
  (addresses[offset + 2]! << 8) | addresses[offset + 3]!

/** The 4 or 16 bytes of a numeric address at `offset` as text, in the one way in which addresses are compared (RFC 5952). */
export const addressText = (bytes: Uint8Array, offset: number, family: 4 | 6): string =>
  textOfOctets(bytes.subarray(offset, offset + (family === 4 ? 4 : 16)))

/** The address of a sockaddr_in or sockaddr_in6 at `offset` as text, with its zone as a number where it has one. */
export const socketAddressText = (addresses: Uint8Array, offset: number, family: 4 | 6): string => {
  const text = addressText(addresses, offset + (family === 6 ? 8 : 4), family)
  if (family === 4) return text
  const zone = new DataView(addresses.buffer, addresses.byteOffset).getUint32(offset + 24, LITTLE_ENDIAN)
  return zone === 0 ? text : `${text}%${zone}`
}

/** Node resolves every destination by default, even a numeric one; an address needs no look-up. */
export const numericLookup = (
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void
): void => callback(null, host, isIP(host))
