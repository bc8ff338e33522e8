/** Value types of the lines about access: what a rule is about. */
import { type IpAddress, type IpPrefix, mappedIpv4, parseAddress, parsePrefix } from "./address.ts"
import { accepted, type Parsed, refused, type ValueType } from "./value-types.ts"

/** Whom a rule is about. Host names are resolved when the rules are put to use. */
export type AccessTarget =
  /** everybody no other rule matches */
  | { readonly kind: "default" }
  /** each server that this node asks */
  | { readonly kind: "source" }
  | { readonly kind: "prefix"; readonly prefix: IpPrefix }
  | { readonly kind: "host"; readonly host: string }

/** The prefix of one address alone. */
export const hostPrefix = (address: IpAddress): IpPrefix => ({ address, length: address.bytes.length * 8 })

const HOST_NAME = /^(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$/

/** A name that could be one of a host: not a number that was meant for an address. */
const isHostName = (text: string): boolean => HOST_NAME.test(text) && !/^[\d.]+$/.test(text)

const prefixOf = (text: string): Parsed<IpPrefix> => {
  const address = parseAddress(text)
  const prefix = address === undefined ? parsePrefix(text) : hostPrefix(address)
  if (prefix === undefined) return { ok: false, ...prefixAdvice(text) }
  const { scope } = prefix.address
  if (scope !== undefined) {
    const bare = prefix.address.text.slice(0, prefix.address.text.indexOf("%"))
    return { ok: false, advice: `a rule holds on every link; write it as ${bare}` }
  }
  const mapped = mappedIpv4(prefix.address)
  if (mapped === undefined) return accepted(prefix)
  const length = Math.max(0, prefix.length - 96)
  return { ok: false, advice: `write it as ${mapped.text}${length === 32 ? "" : `/${length}`}` }
}

const prefixAdvice = (text: string): { readonly advice?: string } => {
  if (/^\[.*\]/.test(text)) return { advice: "write the address without brackets" }
  if (/\/\d+\.\d+\.\d+\.\d+$/.test(text))
    return { advice: "write the mask behind the word mask, or its length behind /" }
  return /^0\d|\.0\d/.test(text) ? { advice: "write the numbers without leading zeros" } : {}
}

/** What `restrict` takes. */
export const accessTarget: ValueType<AccessTarget> = {
  syntax: "default|source|ADDRESS[/LENGTH]|HOST",
  expected: "default, source, an address, a prefix or a host's name",
  words: ["default", "source"],
  parse: (text) => {
    if (text === "default" || text === "source") return accepted({ kind: text })
    if (isHostName(text)) return accepted({ kind: "host", host: text })
    // Both ntpds take an IPv6 address in brackets too.
    const prefix = prefixOf(/^\[([0-9A-Fa-f:.]+)\]$/.exec(text)?.[1] ?? text)
    return prefix.ok ? accepted({ kind: "prefix", prefix: prefix.value }) : prefix
  },
  write: (value) => writeTarget(value as AccessTarget)
}

export const writeTarget = (target: AccessTarget): string => {
  switch (target.kind) {
    case "prefix":
      return writePrefix(target.prefix)
    case "host":
      return target.host
    case "default":
    case "source":
      return target.kind
  }
}

const writePrefix = ({ address, length }: IpPrefix): string =>
  length === address.bytes.length * 8 ? address.text : `${address.text}/${length}`

/** What chrony's `allow` and `deny` take: a prefix, also the first numbers of one (`192.168`), or a host's name. */
export const allowTarget: ValueType<AccessTarget> = {
  syntax: "SUBNET",
  expected: "an address, a subnet such as 192.0.2.0/24, or a host's name",
  parse: (text) => {
    const partial = partialPrefix(text)
    if (partial !== undefined) return accepted({ kind: "prefix", prefix: partial })
    if (isHostName(text)) return accepted({ kind: "host", host: text })
    const prefix = prefixOf(text)
    return prefix.ok ? accepted({ kind: "prefix", prefix: prefix.value }) : prefix
  },
  write: (value) => writeTarget(value as AccessTarget)
}

/** `10`, `192.168`, `1.2.3`, each also with a length as in `0/0` or `10/8`: the numbers left out are zero. */
const partialPrefix = (text: string): IpPrefix | undefined => {
  const match = /^(\d{1,3}(?:\.\d{1,3}){0,2})(?:\/(\d{1,2}))?$/.exec(text)
  if (match === null) return undefined
  const numbers = match[1]!.split(".")
  const padded = [...numbers, ...Array.from({ length: 4 - numbers.length }, () => "0")].join(".")
  return parsePrefix(`${padded}/${match[2] ?? numbers.length * 8}`)
}

/** A mask as bits; refused where it is none, such as one with holes. */
export const maskLength = (mask: IpAddress): number | undefined => {
  const bits = mask.bytes.map((byte) => byte.toString(2).padStart(8, "0")).join("")
  return /^1*0*$/.test(bits) ? bits.lastIndexOf("1") + 1 : undefined
}

export const netmask: ValueType<IpAddress> = {
  syntax: "MASK",
  expected: "a mask such as 255.255.255.0",
  parse: (text) => {
    const address = parseAddress(text)
    if (address === undefined) return refused
    return maskLength(address) === undefined
      ? { ok: false, advice: "the mask's ones must stand together at its beginning" }
      : accepted(address)
  },
  write: (value) => (value as IpAddress).text
}
