/**
 * IP addresses as text: IPv4 in dotted decimal, IPv6 in every form of RFC 4291 §2.2 with an optional scope
 * (RFC 4007 §11, `fe80::1%eth0`), and prefixes (`192.0.2.0/24`). What is parsed is kept in one canonical form
 * (RFC 5952), so two spellings of one address compare equal as text.
 */

export interface IpAddress {
  readonly family: 4 | 6
  /** Canonical text, scope included. */
  readonly text: string
  /** 4 or 16 bytes in network order. */
  readonly bytes: readonly number[]
  /** Interface name or number behind `%`, IPv6 only. */
  readonly scope?: string
}

/** Addresses whose first `length` bits are those of `address`. */
export interface IpPrefix {
  readonly address: IpAddress
  readonly length: number
}

/** Longest text worth looking at: 45 for IPv6, `%`, 15 for an interface name (Linux IFNAMSIZ - 1), `/128`. */
const LONGEST_TEXT = 65

/** Parses an address without brackets, port or prefix length; undefined when it is none. */
export const parseAddress = (text: string): IpAddress | undefined => {
  if (text.length > LONGEST_TEXT) return undefined
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text)
}

/** The canonical text of 4 or 16 octets in network order. */
export const textOfOctets = (octets: ArrayLike<number>): string =>
  octets.length === 4 ? Array.from(octets).join(".") : formatIpv6(groupsOf(octets))

/** Parses `ADDRESS/LENGTH`; undefined when it is none. Bits behind the length may be set and are not looked at. */
export const parsePrefix = (text: string): IpPrefix | undefined => {
  const slash = text.indexOf("/")
  if (slash === -1 || !/^(0|[1-9]\d{0,2})$/.test(text.slice(slash + 1))) return undefined
  const address = parseAddress(text.slice(0, slash))
  const length = Number(text.slice(slash + 1))
  return address === undefined || length > address.bytes.length * 8 ? undefined : { address, length }
}

/** Is the address within the prefix? Scopes are not compared. */
export const prefixContains = (prefix: IpPrefix, address: IpAddress): boolean => {
  if (prefix.address.family !== address.family) return false
  for (let index = 0, bits = prefix.length; bits > 0; index++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff
    if (((prefix.address.bytes[index]! ^ address.bytes[index]!) & mask) !== 0) return false
  }
  return true
}

/** The first address of a prefix: that of its bits, all others cleared. */
export const networkOf = ({ address, length }: IpPrefix): IpAddress => {
  const bytes = address.bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, length - index * 8))
    return byte & (0xff << (8 - bits)) & 0xff
  })
  if (address.family === 4) return ipv4(bytes)
  return { family: 6, text: textOfOctets(bytes), bytes }
}

/** 0.0.0.0 or ::, the addresses that stand for every address of their family. */
export const isWildcard = (address: IpAddress): boolean => address.bytes.every((byte) => byte === 0)

/** 127.0.0.0/8 (RFC 1122 §3.2.1.3) or ::1 (RFC 4291 §2.5.3). */
export const isLoopback = (address: IpAddress): boolean =>
  address.family === 4
    ? address.bytes[0] === 127
    : address.bytes.every((byte, index) => byte === (index === 15 ? 1 : 0))

/** fe80::/10 (RFC 4291 §2.5.6): means nothing without its link. */
export const isLinkLocal = (address: IpAddress): boolean =>
  address.family === 6 && address.bytes[0] === 0xfe && (address.bytes[1]! & 0xc0) === 0x80

/** 224.0.0.0/4 or ff00::/8. */
export const isMulticast = (address: IpAddress): boolean =>
  address.family === 4 ? address.bytes[0]! >> 4 === 0xe : address.bytes[0] === 0xff

/** The same address in another zone, or in none. */
export const withScope = ({ family, text, bytes }: IpAddress, scope: string | undefined): IpAddress => {
  const bare = text.replace(/%.*$/, "")
  return scope === undefined ? { family, text: bare, bytes } : { family, text: `${bare}%${scope}`, bytes, scope }
}

/** The IPv4 address inside `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2), or undefined. */
export const mappedIpv4 = (address: IpAddress): IpAddress | undefined => {
  if (address.family === 4) return undefined
  const isMapped = address.bytes.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 0xff))
  return isMapped ? ipv4(address.bytes.slice(12)) : undefined
}

const ipv4 = (bytes: readonly number[]): IpAddress => ({ family: 4, text: bytes.join("."), bytes })

const parseIpv4 = (text: string): IpAddress | undefined => {
  const parts = text.split(".")
  // Leading zeros are refused: some readers take 010 for eight (RFC 6943 §3.1.1).
  const good = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
  return good ? ipv4(parts.map(Number)) : undefined
}

const parseIpv6 = (text: string): IpAddress | undefined => {
  const percent = text.indexOf("%")
  const scope = percent === -1 ? undefined : text.slice(percent + 1)
  if (scope !== undefined && !/^[A-Za-z0-9_.:@-]{1,15}$/.test(scope)) return undefined
  const groups = parseGroups(percent === -1 ? text : text.slice(0, percent))
  if (groups === undefined) return undefined
  const canonical = formatIpv6(groups) + (scope === undefined ? "" : `%${scope}`)
  const bytes = groups.flatMap((group) => [group >> 8, group & 0xff])
  return scope === undefined ? { family: 6, text: canonical, bytes } : { family: 6, text: canonical, bytes, scope }
}

const groupsOf = (octets: ArrayLike<number>): readonly number[] =>
  Array.from({ length: 8 }, (_, index) => (octets[2 * index]! << 8) | octets[2 * index + 1]!)

/** The eight 16-bit groups of an IPv6 address. */
const parseGroups = (text: string): number[] | undefined => {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const head = parseHalf(halves[0]!, halves.length === 1)
  if (halves.length === 1) return head?.length === 8 ? head : undefined
  const tail = parseHalf(halves[1]!, true)
  if (head === undefined || tail === undefined) return undefined
  const zeros = 8 - head.length - tail.length
  return zeros >= 1 ? [...head, ...Array.from({ length: zeros }, () => 0), ...tail] : undefined
}

/** Groups of one side of `::`; the last may be dotted decimal where the address ends (RFC 4291 §2.2 form 3). */
const parseHalf = (text: string, endsAddress: boolean): number[] | undefined => {
  if (text === "") return []
  const groups: number[] = []
  const parts = text.split(":")
  for (const [index, part] of parts.entries()) {
    const embedded = endsAddress && index === parts.length - 1 ? parseIpv4(part) : undefined
    if (embedded !== undefined) {
      const [a, b, c, d] = embedded.bytes as [number, number, number, number]
      groups.push((a << 8) | b, (c << 8) | d)
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else {
      return undefined
    }
  }
  return groups
}

/** RFC 5952 §4: lower case, no leading zeros, `::` for the first longest run of at least two zero groups. */
const formatIpv6 = (groups: readonly number[]): string => {
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join(".")}`
  }
  const hex = groups.map((group) => group.toString(16))
  const run = longestZeroRun(groups)
  if (run.length < 2) return hex.join(":")
  return `${hex.slice(0, run.start).join(":")}::${hex.slice(run.start + run.length).join(":")}`
}

const longestZeroRun = (groups: readonly number[]): { start: number; length: number } => {
  let best = { start: 0, length: 0 }
  let current = 0
  for (const [index, group] of groups.entries()) {
    current = group === 0 ? current + 1 : 0
    if (current > best.length) best = { start: index - current + 1, length: current }
  }
  return best
}
