/** Frames as they come off a wire, with right checksums, and what stands in them. */

export const MAC = [2, 0, 0, 0, 0, 1] as const
export const CLIENT_MAC = [2, 0, 0, 0, 0, 2] as const
export const IPV4 = [192, 0, 2, 1] as const
export const IPV4_CLIENT = [192, 0, 2, 9] as const
const ipv6 = (last: number): readonly number[] => [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
export const IPV6 = ipv6(1)
export const IPV6_CLIENT = ipv6(9)

export interface FrameParts {
  readonly family: 4 | 6
  readonly payload: Uint8Array
  readonly client?: readonly number[]
  readonly server?: readonly number[]
  readonly clientPort?: number
  readonly port?: number
  readonly vlan?: number
  /** right; as a sender leaves it to its device; none (IPv4); or wrong. */
  readonly checksum?: "right" | "partial" | "none" | "wrong"
  readonly ttl?: number
  /** Of IPv4, octets of options. */
  readonly options?: number
  /** IPv4's flags and fragment offset. */
  readonly fragment?: number
  readonly mac?: readonly number[]
  /** Octets behind the packet. */
  readonly padding?: number
}

const sum = (bytes: Uint8Array): number => {
  let total = 0
  for (let at = 0; at < bytes.length; at += 2) total += (bytes[at]! << 8) | (bytes[at + 1] ?? 0)
  return total
}
const fold = (total: number): number => {
  let folded = total
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000)
  return folded
}
const word = (value: number): readonly number[] => [value >> 8, value & 0xff]

const UDP = 17

const pseudoSum = (addresses: Uint8Array, length: number): number => sum(addresses) + UDP + length

const udpChecksum = (kind: FrameParts["checksum"], addresses: Uint8Array, udp: Uint8Array): number => {
  const pseudo = pseudoSum(addresses, udp.length)
  const right = 0xffff ^ fold(pseudo + sum(udp))
  if (kind === "none") return 0
  if (kind === "partial") return fold(pseudo)
  if (kind === "wrong") return right ^ 0x0101
  return right === 0 ? 0xffff : right
}

/** A frame from a client to the server. */
export const frame = (parts: FrameParts): Uint8Array => {
  const { family, payload, vlan, options = 0, padding = 0 } = parts
  const client = parts.client ?? (family === 4 ? IPV4_CLIENT : IPV6_CLIENT)
  const server = parts.server ?? (family === 4 ? IPV4 : IPV6)
  const length = 8 + payload.length
  const udp = Uint8Array.from([
    ...word(parts.clientPort ?? 12_345),
    ...word(parts.port ?? 123),
    ...word(length),
    0,
    0,
    ...payload
  ])
  udp.set(word(udpChecksum(parts.checksum, Uint8Array.from([...client, ...server]), udp)), 6)
  const ttl = parts.ttl ?? 64
  const ip =
    family === 6
      ? Uint8Array.from([0x60, 0, 0, 0, ...word(length), UDP, ttl, ...client, ...server])
      : Uint8Array.from([
          0x45 + options / 4,
          0xb8,
          ...word(20 + options + length),
          0x12,
          0x34,
          ...word(parts.fragment ?? 0x4000),
          ttl,
          UDP,
          0,
          0,
          ...client,
          ...server,
          ...Array.from({ length: options }, () => 1)
        ])
  if (family === 4) ip.set(word(0xffff ^ fold(sum(ip))), 10)
  const tag = vlan === undefined ? [] : [0x81, 0, ...word(vlan)]
  const type = family === 4 ? [8, 0] : [0x86, 0xdd]
  return Uint8Array.from([
    ...(parts.mac ?? MAC),
    ...CLIENT_MAC,
    ...tag,
    ...type,
    ...ip,
    ...udp,
    ...Array.from({ length: padding }, () => 0)
  ])
}

interface FrameFields {
  readonly to: readonly number[]
  readonly from: readonly number[]
  readonly vlan: number | undefined
  readonly source: readonly number[]
  readonly destination: readonly number[]
  readonly service: number
  readonly ttl: number
  readonly sourcePort: number
  readonly destinationPort: number
  /** Whether each checksum is right; the UDP one as a device would have to complete it. */
  readonly ipChecksumRight: boolean
  readonly udpChecksum: "right" | "partial" | "wrong"
  readonly payload: Uint8Array
}

/** Takes a frame apart that {@link frame} could have made. */
export const readFrame = (bytes: Uint8Array): FrameFields => {
  const isTagged = bytes[12] === 0x81
  const ipAt = isTagged ? 18 : 14
  const isIpv6 = bytes[ipAt - 2] === 0x86
  const ip = bytes.subarray(ipAt, ipAt + (isIpv6 ? 40 : 20))
  const udp = bytes.subarray(ipAt + ip.length)
  const addresses = isIpv6 ? ip.subarray(8) : ip.subarray(12)
  const half = addresses.length / 2
  const pseudo = pseudoSum(addresses, udp.length)
  const isRight = fold(pseudo + sum(udp)) === 0xffff
  const isPartial = ((udp[6]! << 8) | udp[7]!) === fold(pseudo)
  return {
    to: [...bytes.subarray(0, 6)],
    from: [...bytes.subarray(6, 12)],
    vlan: isTagged ? ((bytes[14]! << 8) | bytes[15]!) & 0xfff : undefined,
    source: [...addresses.subarray(0, half)],
    destination: [...addresses.subarray(half)],
    service: isIpv6 ? ((ip[0]! & 15) << 4) | (ip[1]! >> 4) : ip[1]!,
    ttl: isIpv6 ? ip[7]! : ip[8]!,
    sourcePort: (udp[0]! << 8) | udp[1]!,
    destinationPort: (udp[2]! << 8) | udp[3]!,
    ipChecksumRight: isIpv6 || fold(sum(ip)) === 0xffff,
    udpChecksum: isRight ? "right" : isPartial ? "partial" : "wrong",
    payload: udp.slice(8)
  }
}
