/**
 * The types of operands, options and flags: how each is written in a syntax line, what it accepts (for messages), how
 * text becomes a value and a value becomes text again. A file's word and a flag's argument go through the same type.
 */
import { isUnreadable } from "./lexer.ts"
import { type IpAddress, type IpPrefix, isLinkLocal, mappedIpv4, parseAddress, parsePrefix } from "./address.ts"

interface Accepted<T> {
  readonly ok: true
  readonly value: T
}

interface Refused {
  readonly ok: false
  /** What to do about it, where more than `expected` can be said. */
  readonly advice?: string
}

export type Parsed<T> = Accepted<T> | Refused

export interface ValueType<out T> {
  /** In a syntax line: `PORT`, `yes|no`. */
  readonly syntax: string
  /** In a message, behind "expected". */
  readonly expected: string
  /** The words it accepts where it is a choice, for spelling help. */
  readonly words?: readonly string[]
  /** Takes groups in parentheses, which parse then gets with their parentheses. Other types refuse them. */
  readonly takesGroups?: true
  parse(text: string): Parsed<T>
  /** Text that parses back to the value; not quoted yet. The value must be one of this type's. */
  write(value: unknown): string
}

export const accepted = <T>(value: T): Accepted<T> => ({ ok: true, value })
export const refused: Refused = { ok: false }

/** A whole number in decimal, from `least` to `most`. */
export const wholeNumber = (syntax: string, least: number, most: number): ValueType<number> => ({
  syntax,
  expected: `a whole number from ${least} to ${most}`,
  parse: (text) => {
    if (!/^[+-]?\d{1,15}$/.test(text)) return refused
    const value = Number(text)
    return value >= least && value <= most ? accepted(value === 0 ? 0 : value) : refused
  },
  write: String
})

/** A number in decimal, exponent allowed, from `least` to `most`. `unit` ("s", "ppm") is only for messages. */
export const decimalNumber = (syntax: string, unit: string, least = -1e9, most = 1e9): ValueType<number> => ({
  syntax,
  expected: `a number${unit === "" ? "" : ` in ${unit}`} from ${least} to ${most}`,
  parse: (text) => {
    if (!/^[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,3})?$/.test(text)) return refused
    const value = Number(text)
    return value >= least && value <= most ? accepted(value === 0 ? 0 : value) : refused
  },
  write: String
})

/** One of a few words, as it stands. */
export const oneOf = <const W extends string>(...words: readonly W[]): ValueType<W> => ({
  syntax: words.join("|"),
  expected: words.length === 1 ? words[0]! : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
  words,
  parse: (text) => {
    const word = words.find((candidate) => candidate === text)
    return word === undefined ? refused : accepted(word)
  },
  write: String
})

/** Any text of 1 to 255 characters without control characters, such as a host name or a reference id. */
export const text = (syntax: string, what: string): ValueType<string> => ({
  syntax,
  expected: what,
  parse: (value) => (value.length <= 255 && isWritable(value) ? accepted(value) : refused),
  write: String
})

/** A host's name or address as clients are told it: printable ASCII without spaces (RFC 8915 §4.1.7). */
export const toldHost: ValueType<string> = {
  syntax: "HOST",
  expected: "a host's name or address in ASCII, at most 255 characters",
  parse: (value) => (/^[!#-~]{1,255}$/.test(value) ? accepted(value) : refused),
  write: String
}

/** Text that a configuration file can hold, quoted if need be. The language has no escape for a quote. */
const isWritable = (value: string): boolean =>
  value !== "" && !value.includes('"') && !Array.from(value).some(isUnreadable)

/** The longest path Linux takes (PATH_MAX without the final NUL). */
const LONGEST_PATH = 4095

export const path = (syntax: "FILE" | "DIR" | "PATH"): ValueType<string> => ({
  syntax,
  expected: { FILE: "a file's path", DIR: "a directory's path", PATH: "a file's or a directory's path" }[syntax],
  parse: (value) => {
    if (value === "") return refused
    if (!isWritable(value))
      return {
        ok: false,
        advice: "a path in a configuration may hold neither quotes nor characters that cannot be seen"
      }
    return value.length <= LONGEST_PATH
      ? accepted(value)
      : { ok: false, advice: `a path has at most ${LONGEST_PATH} characters` }
  },
  write: String
})

/** A file's path, or "" for none. */
export const pathOrNone: ValueType<string | undefined> = {
  ...path("FILE"),
  parse: (value) => (value === "" ? accepted(undefined) : path("FILE").parse(value)),
  write: (value) => (typeof value === "string" ? value : "")
}

/** The port of RFC 5905 §7.2 is 123; 0 would let the kernel choose, and nobody could find the server then. */
export const port: ValueType<number> = wholeNumber("PORT", 1, 65535)

/** A user, by name or number, optionally with a group: `ntp`, `ntp:ntp`, `101:102`. */
export const userName: ValueType<string> = {
  syntax: "NAME[:GROUP]",
  expected: "a user's name, or NAME:GROUP",
  parse: (value) =>
    /^([A-Za-z_][A-Za-z0-9_.-]{0,30}\$?|\d{1,9})(:([A-Za-z_][A-Za-z0-9_.-]{0,30}\$?|\d{1,9}))?$/.test(value)
      ? accepted(value)
      : refused,
  write: String
}

/** What `*` means in an address to listen on, and what a service listens on by default. */
export const WILDCARDS: readonly IpAddress[] = ["0.0.0.0", "::"].map((one) => {
  const address = parseAddress(one)
  if (address === undefined) throw new Error(`${one} is not an address`)
  return address
})

/** A local address to bind to: one address, or both wildcards for `*`. */
export const listenAddresses: ValueType<readonly IpAddress[]> = {
  syntax: "ADDRESS",
  expected: "an IPv4 or IPv6 address, or *",
  parse: (value) => {
    if (value === "*") return accepted(WILDCARDS)
    const address = parseAddress(value)
    return address === undefined ? { ok: false, ...addressAdvice(value) } : bindable(address)
  },
  write: (value) => {
    const addresses = value as readonly IpAddress[]
    return addresses.length === 1 ? addresses[0]!.text : "*"
  }
}

const bindable = (address: IpAddress): Parsed<readonly IpAddress[]> => {
  const mapped = mappedIpv4(address)
  if (mapped !== undefined) return { ok: false, advice: `write it as ${mapped.text}` }
  // A link-local address means nothing without its link (RFC 4007 §6), and bind() refuses it.
  return isLinkLocal(address) && address.scope === undefined
    ? { ok: false, advice: `a link-local address needs its interface: ${address.text}%eth0` }
    : accepted([address])
}

const addressAdvice = (value: string): { readonly advice?: string } => {
  const inBrackets = /^\[(.*)\](:\d+)?$/.exec(value)
  if (inBrackets !== null && parseAddress(inBrackets[1]!) !== undefined) {
    return {
      advice: `write the address without brackets${inBrackets[2] === undefined ? "" : "; the port is set by 'port'"}`
    }
  }
  if (/^[\d.]+:\d+$/.test(value)) return { advice: "the port is set by 'port', for all addresses" }
  if (parsePrefix(value) !== undefined) return { advice: "'interface listen ADDRESS/LENGTH' listens on a whole prefix" }
  if (/^0\d|\.0\d/.test(value)) return { advice: "write the numbers without leading zeros" }
  return {}
}

export const interfaceName: ValueType<string> = {
  syntax: "INTERFACE",
  expected: "an interface's name, such as eth0",
  parse: (value) => (isInterfaceName(value) ? accepted(value) : refused),
  write: String
}

/** Linux: up to 15 characters, neither '/' nor blank. What starts like an address and is none is not a name. */
const isInterfaceName = (value: string): boolean =>
  /^[A-Za-z_][A-Za-z0-9_.@:-]{0,14}$/.test(value) && !/^[0-9A-Fa-f]*:[0-9A-Fa-f:]*$/.test(value)

/** What an `interface` rule matches: a class of addresses, the addresses within a prefix, or an interface by name. */
export type InterfaceMatch =
  | { readonly kind: "class"; readonly name: InterfaceClass }
  | { readonly kind: "address"; readonly address: IpAddress }
  | { readonly kind: "prefix"; readonly prefix: IpPrefix }
  | { readonly kind: "name"; readonly name: string }

type InterfaceClass = "all" | "ipv4" | "ipv6" | "wildcard"

const INTERFACE_CLASSES: readonly InterfaceClass[] = ["all", "ipv4", "ipv6", "wildcard"]

export const interfaceMatch: ValueType<InterfaceMatch> = {
  syntax: "all|ipv4|ipv6|wildcard|NAME|ADDRESS[/LENGTH]",
  expected: "all, ipv4, ipv6, wildcard, an interface's name, an address or a prefix",
  parse: (value) => {
    const name = INTERFACE_CLASSES.find((candidate) => candidate === value)
    if (name !== undefined) return accepted({ kind: "class", name })
    const prefix = parsePrefix(value)
    if (prefix !== undefined) return accepted({ kind: "prefix", prefix })
    const address = parseAddress(value)
    if (address !== undefined) {
      // Without its zone it stands for whichever interface has it.
      const usable = isLinkLocal(address) ? accepted([address]) : bindable(address)
      return usable.ok ? accepted({ kind: "address", address }) : usable
    }
    return isInterfaceName(value) ? accepted({ kind: "name", name: value }) : refused
  },
  write: (value) => {
    const match = value as InterfaceMatch
    switch (match.kind) {
      case "address":
        return match.address.text
      case "prefix":
        return `${match.prefix.address.text}/${match.prefix.length}`
      case "class":
      case "name":
        return match.name
    }
  }
}
