/**
 * Who may ask what: rules about prefixes, compiled into ranges (address-ranges.ts). As in ntpd the most specific rule that
 * matches an address decides alone, and one that asks for source port 123 goes before its twin that does not. Up to two
 * lists stand behind each other, `restrict` and `allow`/`deny`; what either forbids is forbidden.
 */
import { AccessFlag } from "./access-flags.ts"
import { findIpv4, findIpv6, layRanges, type Ranges } from "./address-ranges.ts"

/** What holds for the addresses of one prefix. */
export interface AccessRule {
  readonly family: 4 | 6
  /** 4 or 16 bytes in network order. */
  readonly bytes: readonly number[]
  readonly length: number
  /** Holds for packets from UDP port 123 only. */
  readonly ntpPort: boolean
  /** Of {@link AccessFlag}. */
  readonly flags: number
}

/** A list of rules, laid out; plain data that can be sent to another process. */
export interface AccessLayer {
  readonly ipv4: Ranges
  readonly ipv6: Ranges
  /** What packets from port 123 meet; undefined where no rule asks for that port. */
  readonly ipv4FromNtpPort: Ranges | undefined
  readonly ipv6FromNtpPort: Ranges | undefined
  /** The sets of flags that occur. A range's value is the flags themselves, so that neighbours that say the same are one range. */
  readonly flagSets: Int32Array
}

/** Rules that one list may have. */
const MOST_RULES = 2 ** 20

/** The layers that a packet passes, at most two; none forbids nothing. */
type CompiledAccess = readonly AccessLayer[]

/**
 * Compiles a list. Addresses that no rule covers are free of flags. Flags of rules about the same addresses add up.
 * @throws RangeError for more than {@link MOST_RULES} rules
 */
export const compileAccess = (rules: readonly AccessRule[]): AccessLayer => {
  const merged = mergeAlike(rules)
  if (merged.length > MOST_RULES) throw new RangeError(`${merged.length} rules, expected at most ${MOST_RULES}`)
  const prefixes = merged.map((rule) => ({ ...rule, value: rule.flags }))
  const anyPort = prefixes.filter(({ ntpPort }) => !ntpPort)
  // The narrower match stands behind its twin, and of two with the same bits the later one counts.
  const fromNtpPort = [...anyPort, ...prefixes.filter(({ ntpPort }) => ntpPort)]
  const asksForPort = fromNtpPort.length > anyPort.length
  return {
    ipv4: layRanges(anyPort, 4),
    ipv6: layRanges(anyPort, 6),
    ipv4FromNtpPort: asksForPort ? layRanges(fromNtpPort, 4) : undefined,
    ipv6FromNtpPort: asksForPort ? layRanges(fromNtpPort, 6) : undefined,
    flagSets: Int32Array.from(new Set(merged.map(({ flags }) => flags)))
  }
}

/** One rule for the same addresses and port, with all their flags. */
export const mergeAlike = (rules: readonly AccessRule[]): readonly AccessRule[] => {
  const merged = new Map<string, AccessRule>()
  for (const rule of rules) {
    const masked = rule.bytes.map((byte, index) => byte & maskOf(rule.length - index * 8))
    const name = `${masked.join(".")}/${rule.length}${rule.ntpPort ? "@123" : ""}`
    const flags = (merged.get(name)?.flags ?? 0) | rule.flags
    merged.set(name, { ...rule, bytes: masked, flags })
  }
  return [...merged.values()]
}

const maskOf = (bits: number): number => (bits >= 8 ? 0xff : bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff)

/** The port that NTP servers and peers speak from. */
const NTP_PORT = 123

/** A compiled access list in use. Looking up allocates nothing. */
export class AccessList {
  private readonly layers: CompiledAccess

  constructor(compiled: CompiledAccess) {
    this.layers = compiled
  }

  /** The flags for an IPv4 sender. @param address its 32 bits */
  ipv4(address: number, port: number): number {
    // A multicast address sends nothing (RFC 1112 §7.2); as in ntpd, such packets are not looked at.
    if (address >>> 28 === 0xe) return AccessFlag.ignore
    let flags = 0
    for (let at = 0; at < this.layers.length; at += 1) {
      const layer = this.layers[at]!
      const ranges = port === NTP_PORT ? (layer.ipv4FromNtpPort ?? layer.ipv4) : layer.ipv4
      flags |= flagsOf(findIpv4(ranges, address))
    }
    return flags
  }

  /** The flags for an IPv6 sender; one that stands for an IPv4 address is that. @param a the first 32 bits, and so on */
  ipv6(a: number, b: number, c: number, d: number, port: number): number {
    if (a === 0 && b === 0 && c === 0xffff) return this.ipv4(d, port)
    if (a >>> 24 === 0xff) return AccessFlag.ignore
    let flags = 0
    for (let at = 0; at < this.layers.length; at += 1) {
      const layer = this.layers[at]!
      const ranges = port === NTP_PORT ? (layer.ipv6FromNtpPort ?? layer.ipv6) : layer.ipv6
      flags |= flagsOf(findIpv6(ranges, a, b, c, d))
    }
    return flags
  }
}

/** None where no rule is about an address. */
const flagsOf = (value: number): number => (value < 0 ? 0 : value)
