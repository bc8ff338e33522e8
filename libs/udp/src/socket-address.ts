/** Numeric IP addresses as text and as the kernel's sockaddr_in and sockaddr_in6 (Linux). */
import { endianness } from "node:os"
import { parseAddress } from "@meridian/config/address"

const AF_INET = 2
const AF_INET6 = 10
const LITTLE_ENDIAN = endianness() === "LE"

const writeAddress4 = (out: Uint8Array, offset: number, text: string): void => {
  const parts = text.split(".")
  for (let index = 0; index < 4; index++) out[offset + index] = Number(parts[index])
}

const writeAddress6 = (out: Uint8Array, offset: number, text: string): void => {
  const [head = "", tail] = text.split("%")[0]!.split("::")
  out.fill(0, offset, offset + 16)
  const writeGroups = (groups: string, at: number): void => {
    let position = offset + at
    for (const group of groups.split(":").filter((part) => part !== "")) {
      if (group.includes(".")) {
        writeAddress4(out, position, group)
        position += 4
      } else {
        const value = Number.parseInt(group, 16)
        out[position++] = value >> 8
        out[position++] = value & 0xff
      }
    }
  }
  const groupBytes = (groups: string): number =>
    groups.split(":").reduce((sum, part) => sum + (part === "" ? 0 : part.includes(".") ? 4 : 2), 0)
  writeGroups(head, 0)
  if (tail !== undefined) writeGroups(tail, 16 - groupBytes(tail))
}

/** Writes the 4 or 16 bytes of a numeric address; a zone is left out. The text must be valid (net.isIP). */
export const writeAddress = (out: Uint8Array, offset: number, text: string): void =>
  text.includes(":") ? writeAddress6(out, offset, text) : writeAddress4(out, offset, text)

/** The 4 or 16 octets of a numeric address; see {@link writeAddress}. */
export const addressOctets = (text: string): Uint8Array => {
  const octets = new Uint8Array(text.includes(":") ? 16 : 4)
  writeAddress(octets, 0, text)
  return octets
}

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
export const addressText = (bytes: Uint8Array, offset: number, family: 4 | 6): string => {
  if (family === 4) return bytes.subarray(offset, offset + 4).join(".")
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((bytes[offset + 2 * index]! << 8) | bytes[offset + 2 * index + 1]!).toString(16)
  )
  return parseAddress(groups.join(":"))!.text
}

/** The address of a sockaddr_in or sockaddr_in6 at `offset` as text, with its zone as a number where it has one. */
export const socketAddressText = (addresses: Uint8Array, offset: number, family: 4 | 6): string => {
  const text = addressText(addresses, offset + (family === 6 ? 8 : 4), family)
  if (family === 4) return text
  const zone = new DataView(addresses.buffer, addresses.byteOffset).getUint32(offset + 24, LITTLE_ENDIAN)
  return zone === 0 ? text : `${text}%${zone}`
}
