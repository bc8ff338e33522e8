/** What native/answer.h describes, for TypeScript; a test holds the two to each other. Maps are in the machine's byte order, addresses and ports in the packet's. */
import type { ClientOrder } from "@meridian/protocol/access/client-list"
import type { RateLimit } from "@meridian/protocol/access/rate-limit"

export const SETTINGS_BYTES = 240
export const PLACE_IPV4_BYTES = 8
export const PLACE_IPV6_BYTES = 20
export const RULE_BYTES = 20
export const CLIENT_KEY_BYTES = 16
export const CLIENT_BYTES = 56
export const COUNTS_BYTES = 136

/** Limits that hold for everybody who has no rule of his own. */
interface StrangersLimit {
  readonly limit: RateLimit
  /** Whether who is over it may be told so. */
  readonly kisses: boolean
}

export interface AnswerSettings {
  /** Whether requests are answered at all. */
  readonly answers: boolean
  /** Families whose strangers are answered, 4 and 6; and when they speak from port 123. */
  readonly families: readonly (4 | 6)[]
  readonly familiesFromNtpPort: readonly (4 | 6)[]
  /** Which table of rules holds; undefined: there are no rules. */
  readonly rules: "even" | "odd" | undefined
  readonly isGeneric: boolean
  /** Whether this processor lets loads overtake each other. */
  readonly needsFences: boolean
  /** log2 seconds */
  readonly precision: number
  readonly minimumPoll: number
  readonly ipv4TimeToLive: number
  readonly ipv6HopLimit: number
  /** Undefined: nobody is limited. */
  readonly limit: StrangersLimit | undefined
  /** Where nobody is limited, requests are noted for the list of clients so far apart, ns, each for those since the last; 0: none is. */
  readonly noteEvery: number
  /** IPv6 addresses share a record by their first bits. */
  readonly ipv6Prefix: number
  /** Of the interface, six octets. */
  readonly mac: readonly number[]
  /** Places to be looked at first, at most {@link NEAR_PLACES} of a family. */
  readonly nearPlaces: readonly Place[]
  /** Whether there are places beyond those. */
  readonly hasMorePlaces: boolean
}

/** XDP_NEAR_PLACES. */
export const NEAR_PLACES = 4

const LAWS = { none: 0, score: 1, headway: 2, tokens: 3 } as const
const UNIT = 2 ** 32
const MOST_WORD = 2n ** 64n - 1n

/** Whether the program can hold a limit as the workers do: only whole numbers in its reach. */
export const canHold = (limit: RateLimit): boolean => {
  switch (limit.law) {
    case "score":
      return limit.burst >= 0.1 && limit.burst <= 1e6 && limit.average > 0 && limit.average <= 1e6 && limit.kod <= 1e6
    case "headway":
      return Number.isInteger(limit.average) && limit.average >= 0 && limit.average <= 24
    case "tokens":
      return Number.isInteger(limit.interval) && Math.abs(limit.interval) <= 19
  }
}

const units = (value: number): bigint => BigInt(Math.round(value * UNIT))
const clamped = (value: bigint): bigint => (value > MOST_WORD ? MOST_WORD : value)
const familyBits = (families: readonly (4 | 6)[]): number =>
  (families.includes(4) ? 1 : 0) | (families.includes(6) ? 2 : 0)

/** `struct xdp_settings`. */
export const encodeSettings = (settings: AnswerSettings): Uint8Array => {
  const bytes = new Uint8Array(SETTINGS_BYTES)
  const view = new DataView(bytes.buffer)
  const word = (index: number, value: number): void => view.setUint32(4 * index, value, true)
  const long = (at: number, value: bigint): void => view.setBigUint64(at, clamped(value), true)
  word(0, settings.answers ? 1 : 0)
  word(1, familyBits(settings.families))
  word(2, familyBits(settings.familiesFromNtpPort))
  word(3, settings.rules === undefined ? 2 : settings.rules === "even" ? 0 : 1)
  word(4, settings.isGeneric ? 1 : 0)
  word(5, settings.needsFences ? 1 : 0)
  word(6, settings.precision & 0xff)
  view.setInt32(28, settings.minimumPoll, true)
  word(8, settings.ipv4TimeToLive)
  word(9, settings.ipv6HopLimit)
  word(12, settings.noteEvery)
  const limited = settings.limit
  if (limited !== undefined) {
    const { limit, kisses } = limited
    word(10, LAWS[limit.law])
    word(11, kisses ? 1 : 0)
    if (limit.law === "score") {
      long(64, units(1 / limit.burst))
      long(72, units(limit.average))
      long(80, units(limit.average + limit.kod))
      long(88, BigInt(Math.round((Math.LOG2E / limit.burst / 1e9) * 2 ** 88)))
    } else if (limit.law === "headway") {
      long(72, BigInt(limit.average))
      long(96, BigInt(Math.ceil(limit.minimum)))
    } else {
      word(13, limit.leak === 0 ? 0 : UNIT * 2 ** -limit.leak)
      word(14, limit.kod === 0 ? 0 : UNIT * 2 ** -limit.kod)
      view.setInt32(60, limit.interval, true)
      long(72, units(limit.burst))
    }
  }
  for (let at = 0; at < 16; at += 1) {
    const bits = Math.min(8, Math.max(0, settings.ipv6Prefix - 8 * at))
    bytes[104 + at] = (0xff << (8 - bits)) & 0xff
  }
  bytes.set(settings.mac.slice(0, 6), 120)
  bytes[127] = settings.hasMorePlaces ? 1 : 0
  for (const [octets, at] of [
    [4, 128],
    [16, 160]
  ] as const)
    settings.nearPlaces
      .filter(({ address }) => address.length === octets)
      .slice(0, NEAR_PLACES)
      .forEach((place, index) => bytes.set(encodePlace(place), at + index * (octets + 4)))
  return bytes
}

/** An address of this node with a port, and the VLAN it is in; 0: none. */
export interface Place {
  /** 4 or 16 octets. */
  readonly address: readonly number[]
  readonly port: number
  readonly vlan: number
}

/** `struct xdp_place_ipv4` or `xdp_place_ipv6`. */
export const encodePlace = ({ address, port, vlan }: Place): Uint8Array => {
  const bytes = new Uint8Array(address.length + 4)
  const view = new DataView(bytes.buffer)
  bytes.set(address)
  view.setUint16(address.length, port)
  view.setUint16(address.length + 2, vlan, true)
  return bytes
}

/** `struct xdp_rule`. @param address 4 or 16 octets @param length of its prefix */
export const encodeRule = (address: readonly number[], length: number): Uint8Array => {
  const bytes = new Uint8Array(RULE_BYTES)
  const isIpv4 = address.length === 4
  new DataView(bytes.buffer).setUint32(0, isIpv4 ? length + 96 : length, true)
  if (isIpv4) bytes.fill(0xff, 14, 16)
  bytes.set(address, isIpv4 ? 16 : 4)
  return bytes
}

/** `struct xdp_counts`, summed over processors. */
export interface AnswerCounts {
  readonly served: number
  readonly servedUnsynchronised: number
  readonly kissed: number
  readonly limited: number
  readonly oldVersion: number
  /** Requests that were answered or dropped here, of versions 1 to 4. */
  readonly versions: readonly number[]
  /** Packets to a served address that were left to the sockets, by why. */
  readonly passed: {
    readonly rule: number
    readonly kind: number
    readonly damaged: number
    readonly clock: number
  }
}

/** @param bytes the value of each processor, one behind the other */
export const decodeCounts = (bytes: Uint8Array): AnswerCounts => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const sum = (index: number): number => {
    let total = 0
    for (let at = 0; at + COUNTS_BYTES <= bytes.length; at += COUNTS_BYTES)
      total += Number(view.getBigUint64(at + 8 * index, true))
    return total
  }
  return {
    served: sum(0),
    servedUnsynchronised: sum(1),
    kissed: sum(2),
    limited: sum(3),
    oldVersion: sum(4),
    versions: [5, 6, 7, 8].map(sum),
    passed: { rule: sum(9), kind: sum(10), damaged: sum(11), clock: sum(12) }
  }
}

/** `struct xdp_client`. */
export interface AnsweredClient {
  /** 16 octets, IPv4 as ::ffff:a.b.c.d */
  readonly address: Uint8Array
  /** CLOCK_MONOTONIC, seconds. */
  readonly first: number
  readonly last: number
  /** As rate-limit.ts counts it. */
  readonly level: number
  readonly count: number
  readonly dropped: number
  readonly kisses: number
  readonly port: number
  /** Of its last packet: bits 0 … 2 and 3 … 5. */
  readonly versionAndMode: number
  readonly isOver: boolean
}

/** @param at where the record begins @param wholeLevels levels are whole numbers: headway */
export const decodeClient = (bytes: Uint8Array, at: number, wholeLevels: boolean): AnsweredClient => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, CLIENT_BYTES)
  const level = Number(view.getBigInt64(16, true))
  return {
    first: Number(view.getBigUint64(0, true)) / 1e9,
    last: Number(view.getBigUint64(8, true)) / 1e9,
    level: wholeLevels ? level : level / UNIT,
    address: bytes.slice(at + 24, at + 40),
    count: view.getUint32(40, true),
    dropped: view.getUint32(44, true),
    kisses: view.getUint32(48, true),
    port: view.getUint16(52),
    versionAndMode: view.getUint8(54),
    isOver: view.getUint8(55) !== 0
  }
}

const NS_PER_SECOND = 1e9

/** What an order of the list of clients reads of a record; a larger number comes first, as in client-list.ts. */
const RANKS: Readonly<Record<ClientOrder, (view: DataView, at: number) => number>> = {
  last: (view, at) => Number(view.getBigUint64(at + 8, true)),
  first: (view, at) => -Number(view.getBigUint64(at, true)),
  count: (view, at) => view.getUint32(at + 40, true),
  dropped: (view, at) => view.getUint32(at + 44, true),
  kisses: (view, at) => view.getUint32(at + 48, true),
  interval: (view, at) => {
    const count = view.getUint32(at + 40, true)
    const span = Number(view.getBigUint64(at + 8, true) - view.getBigUint64(at, true)) / NS_PER_SECOND
    return count < 2 ? -Infinity : -span / (count - 1)
  }
}

/** The rank of each of so many records. */
export const rankClients = (bytes: Uint8Array, count: number, order: ClientOrder): Float64Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float64Array.from({ length: count }, (_, index) => RANKS[order](view, index * CLIENT_BYTES))
}
