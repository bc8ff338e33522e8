/** From the lines about access to rules about prefixes, as the gate of the packet path has them (@meridian/protocol/access). */
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import type { AccessRule } from "@meridian/protocol/access/access-list"
import { type AccessSettings, type Allowance, type Restriction, saysNothing } from "./access-settings.ts"
import { type AccessTarget, hostPrefix } from "./access-types.ts"
import { type IpAddress, type IpPrefix, mappedIpv4, parsePrefix, prefixContains } from "./address.ts"

/** What host names stand for, which servers are asked, and which addresses this machine has. */
interface Surroundings {
  /** Empty for a name that has no address, or none yet. */
  readonly addressesOf: (host: string) => readonly IpAddress[]
  readonly sources: readonly IpAddress[]
  /** Besides loopback and link-local ones, which other links may have too. */
  readonly own?: readonly IpAddress[]
}

/** Every host name that the lines name. */
export const hostsOf = ({ restrictions, allowances }: AccessSettings): readonly string[] => [
  ...new Set(
    [...restrictions, ...allowances].flatMap(({ value: { target } }) => (target?.kind === "host" ? [target.host] : []))
  )
]

/** The lists that a packet passes, one or two: `restrict`, then `allow` and `deny` where there are such lines. */
export const accessRules = (
  settings: AccessSettings,
  surroundings: Surroundings
): readonly (readonly AccessRule[])[] => [
  restrictRules(settings, surroundings),
  ...(settings.allowances.length === 0 ? [] : [allowRules(settings, surroundings)])
]

const everybody = (family: 4 | 6): IpPrefix => parsePrefix(family === 4 ? "0.0.0.0/0" : "::/0") as IpPrefix
const LOOPBACK = ["127.0.0.0/8", "::1/128"].map((text) => parsePrefix(text) as IpPrefix)

interface Entry {
  readonly prefix: IpPrefix
  readonly ntpPort: boolean
  flags: number
}

const nameOf = (prefix: IpPrefix, ntpPort: boolean): string =>
  `${maskedBytes(prefix).join(".")}/${prefix.length}${ntpPort ? "@123" : ""}`

const maskedBytes = ({ address, length }: IpPrefix): readonly number[] =>
  address.bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, length - index * 8))) & 0xff)

const restrictRules = (settings: AccessSettings, surroundings: Surroundings): readonly AccessRule[] => {
  const entries = new Map<string, Entry>()
  const add = (prefix: IpPrefix, ntpPort: boolean, flags: number): void => {
    const name = nameOf(prefix, ntpPort)
    entries.set(name, { prefix, ntpPort, flags: (entries.get(name)?.flags ?? 0) | flags })
  }
  for (const family of [4, 6] as const) add(everybody(family), false, baseFlags(settings))
  // Who says nothing about access still wants to look at the node from the machine itself, by whichever of its addresses.
  if (saysNothing(settings))
    for (const prefix of [...LOOPBACK, ...(surroundings.own ?? []).map(hostPrefix)]) add(prefix, false, 0)
  for (const { value } of settings.restrictions) {
    for (const prefix of prefixesOf(value.target, value.family, surroundings)) {
      if (value.action === "restrict") add(prefix, value.ntpPort, value.flags)
      else take(entries, prefix, value)
    }
  }
  addSources(settings, surroundings, entries)
  return [...entries.values()].map(ruleOf)
}

/** What both ntpds begin with; without any line about access Meridian's own. */
const baseFlags = (settings: AccessSettings): number => {
  if (saysNothing(settings)) return AccessFlag.noquery
  return settings.dialect.value === "ntpsec" ? AccessFlag.noquery | AccessFlag.limited : 0
}

const take = (entries: Map<string, Entry>, prefix: IpPrefix, { ntpPort, flags }: Restriction): void => {
  const name = nameOf(prefix, ntpPort)
  const entry = entries.get(name)
  if (entry === undefined) return
  if (flags !== 0) entry.flags &= ~flags
  else if (prefix.length > 0) entries.delete(name)
}

/** `restrict source`: a rule for each server that is asked, unless its address has one of its own. */
const addSources = (settings: AccessSettings, { sources }: Surroundings, entries: Map<string, Entry>): void => {
  const templates = settings.restrictions.filter(
    ({ value }) => value.target.kind === "source" && value.action === "restrict"
  )
  const last = templates.at(-1)?.value
  if (last === undefined) return
  for (const address of sources) {
    const prefix = hostPrefix(mappedIpv4(address) ?? address)
    if (entries.has(nameOf(prefix, false)) || entries.has(nameOf(prefix, true))) continue
    entries.set(nameOf(prefix, last.ntpPort), { prefix, ntpPort: last.ntpPort, flags: last.flags })
  }
}

/** chrony's list: nobody is served whom no line allows. */
const allowRules = (settings: AccessSettings, surroundings: Surroundings): readonly AccessRule[] => {
  const entries = new Map<string, Entry>()
  const say = (prefix: IpPrefix, { action, all, kod }: Allowance): void => {
    if (all)
      for (const [name, entry] of entries)
        if (entry.prefix.length >= prefix.length && prefixContains(prefix, entry.prefix.address)) entries.delete(name)
    const denied = AccessFlag.noserve | (kod ? AccessFlag.kodDeny : 0)
    entries.set(nameOf(prefix, false), { prefix, ntpPort: false, flags: action === "allow" ? 0 : denied })
  }
  for (const family of [4, 6] as const)
    say(everybody(family), { action: "deny", all: false, target: undefined, kod: false })
  for (const { value } of settings.allowances)
    for (const prefix of prefixesOf(value.target ?? { kind: "default" }, undefined, surroundings)) say(prefix, value)
  return [...entries.values()].map(ruleOf)
}

const prefixesOf = (
  target: AccessTarget,
  family: 4 | 6 | undefined,
  { addressesOf }: Surroundings
): readonly IpPrefix[] => {
  switch (target.kind) {
    case "default":
      return ([4, 6] as const).filter((one) => family === undefined || one === family).map(everybody)
    case "prefix":
      return [target.prefix]
    case "host":
      return addressesOf(target.host)
        .filter((address) => family === undefined || address.family === family)
        .map(hostPrefix)
    case "source":
      return []
  }
}

const ruleOf = ({ prefix, ntpPort, flags }: Entry): AccessRule => ({
  family: prefix.address.family,
  bytes: prefix.address.bytes,
  length: prefix.length,
  ntpPort,
  flags
})
