/**
 * The addresses to bind to, from `listen` and `interface` lines. `listen` names addresses. `interface` lines are rules
 * as ntpd has them: the last rule that matches an address decides; with any rule at all, an address that no rule
 * matches is left alone, except for the loopback addresses, which are served unless a rule names them.
 *
 * A machine's addresses come and go. What lines ask for is kept as rules ({@link ListenRules}), to be held against the
 * addresses of any moment ({@link listenNow}).
 */
import {
  isLinkLocal,
  isLoopback,
  isMulticast,
  isWildcard,
  type IpAddress,
  prefixContains,
  withScope
} from "./address.ts"
import { errorAt, warningAt, type Diagnostic, type Location } from "./diagnostic.ts"
import { interfaceDirective, listenDirective } from "./directives.ts"
import { statementsOf, type Statement } from "./statement.ts"
import { WILDCARDS, type InterfaceMatch } from "./value-types.ts"

/** An address of one of the machine's network interfaces; a link-local one has its zone, by the interface's name. */
export interface InterfaceAddress {
  readonly name: string
  /** Of the interface: one that is made anew has another. */
  readonly index?: number
  readonly address: IpAddress
}

/** An address to bind to and the line that asked for it. */
interface PlacedAddress {
  readonly address: IpAddress
  readonly location: Location
}

/** What is to be listened on, whatever addresses the machine has. */
export interface ListenRules {
  /** Named one by one: listened on as soon as they are there. */
  readonly named: readonly IpAddress[]
  readonly rules: readonly InterfaceRule[]
}

interface InterfaceRule {
  readonly action: "listen" | "ignore" | "drop"
  readonly match: InterfaceMatch
}

/** What rules come to at a moment. */
interface ListenNow {
  readonly present: readonly IpAddress[]
  /** Named, but not an address of this machine. */
  readonly absent: readonly IpAddress[]
}

/** Addresses and rules that a configuration may have: each address is a socket in every worker. */
const MAX_LISTEN_LINES = 1024

interface ListenPlan {
  /** No duplicates. Undefined when no line says anything, so that the default holds. */
  readonly addresses: readonly PlacedAddress[] | undefined
  readonly rules: ListenRules | undefined
  readonly diagnostics: readonly Diagnostic[]
}

/** Folds both directives. `interfaces` are the machine's addresses now; rules that name classes choose among them. */
export const listenPlan = (statements: readonly Statement[], interfaces: readonly InterfaceAddress[]): ListenPlan => {
  const listens = statementsOf(statements, listenDirective)
  const rules = statementsOf(statements, interfaceDirective)
  if (listens.length === 0 && rules.length === 0) return { addresses: undefined, rules: undefined, diagnostics: [] }

  const excess = listens[MAX_LISTEN_LINES] ?? rules[MAX_LISTEN_LINES]
  if (excess !== undefined) {
    const problem = `found more than ${MAX_LISTEN_LINES} '${excess.directive.name}' lines, expected at most that many`
    return { addresses: undefined, rules: undefined, diagnostics: [errorAt(excess.location, problem)] }
  }

  const diagnostics: Diagnostic[] = []
  const placed = new Map<string, PlacedAddress>()
  for (const { values, location, places } of listens) {
    for (const address of values.address) {
      const earlier = placed.get(address.text)
      const where = places.get("address") ?? location
      if (earlier !== undefined) diagnostics.push(duplicate(address, where, earlier.location))
      else if (interfaces.length > 0 && !isThere(address, interfaces)) diagnostics.push(awaited(address, where))
      if (earlier === undefined) placed.set(address.text, { address, location })
    }
  }
  const named = [...placed.values()].map(({ address }) => address)
  for (const ruled of addressesByRule(rules, interfaces)) {
    if (!placed.has(ruled.address.text)) placed.set(ruled.address.text, ruled)
  }
  for (const rule of rules) diagnostics.push(...ruleProblems(rule, interfaces))
  const lastRule = rules.at(-1)
  const mayMatchLater = rules.some(({ values: { action } }) => action === "listen")
  if (placed.size === 0 && lastRule !== undefined) {
    diagnostics.push(
      mayMatchLater
        ? warningAt(lastRule.location, "these interface rules leave no address to answer on now")
        : errorAt(
            lastRule.location,
            "these interface rules leave no address to answer on; add 'interface listen ADDRESS'"
          )
    )
  }
  return { addresses: [...placed.values()], rules: { named, rules: rules.map(({ values }) => values) }, diagnostics }
}

/** What rules come to, with these addresses of the machine. */
export const listenNow = ({ named, rules }: ListenRules, interfaces: readonly InterfaceAddress[]): ListenNow => {
  const ruled = addressesByRule(
    rules.map((values) => ({ values, location: undefined })),
    interfaces
  )
  const all = new Map([...named, ...ruled.map(({ address }) => address)].map((address) => [address.text, address]))
  const present = [...all.values()].filter((address) => isThere(address, interfaces))
  return { present, absent: [...all.values()].filter((address) => !present.includes(address)) }
}

/** Whether other addresses than those of now may be asked for later, which cannot be bound before they are there. */
export const mayAskForMore = ({ named, rules }: ListenRules): boolean =>
  rules.some(({ action, match }) => action === "listen" && match.kind !== "address") ||
  named.some(({ scope }) => scope !== undefined)

/** Whether an address can be asked now. Those that stand for many are on no interface. */
const isThere = (address: IpAddress, interfaces: readonly InterfaceAddress[]): boolean =>
  isWildcard(address) ||
  isMulticast(address) ||
  (isLoopback(address) && address.family === 4) ||
  interfaces.some((one) => isSame(address, one))

/** A zone may be an interface's name or its number. */
const isSame = (address: IpAddress, { name, index, address: own }: InterfaceAddress): boolean =>
  address.text === own.text ||
  (address.scope !== undefined &&
    (address.scope === name || address.scope === String(index)) &&
    withScope(address, own.scope).text === own.text)

const duplicate = (address: IpAddress, where: Location, earlier: Location): Diagnostic =>
  warningAt(where, `${address.text} is listened on already (${earlier.file}:${earlier.line}); this line has no effect`)

const awaited = (address: IpAddress, where: Location): Diagnostic =>
  warningAt(where, `this machine has no address ${address.text} now; it is answered on once it is there`)

type Rule = Statement<typeof interfaceDirective>

/** The machine's addresses and the ones that rules name, each by the last rule that matches it. */
const addressesByRule = <L>(
  rules: readonly { readonly values: InterfaceRule; readonly location: L }[],
  interfaces: readonly InterfaceAddress[]
): { readonly address: IpAddress; readonly location: L }[] => {
  const [first] = rules
  if (first === undefined) return []
  const named: InterfaceAddress[] = rules.flatMap(({ values: { match } }) =>
    match.kind === "address" && !(isLinkLocal(match.address) && match.address.scope === undefined)
      ? [{ name: "", address: match.address }]
      : []
  )
  const candidates = [...interfaces, ...WILDCARDS.map((address) => ({ name: "", address })), ...named]
  const placed = new Map<string, { readonly address: IpAddress; readonly location: L }>()
  for (const candidate of candidates) {
    const rule = rules.findLast(({ values }) => matches(values.match, candidate))
    const isServed = rule === undefined ? isLoopback(candidate.address) : rule.values.action === "listen"
    if (!isServed || placed.has(candidate.address.text)) continue
    const { location } = rule ?? first
    placed.set(candidate.address.text, { address: candidate.address, location })
  }
  return [...placed.values()]
}

/** A link-local address without its zone is that of whichever interface has it. */
const matches = (match: InterfaceMatch, candidate: InterfaceAddress): boolean => {
  const { name, address } = candidate
  switch (match.kind) {
    case "address":
      return isSame(match.address, candidate) || match.address.text === withScope(address, undefined).text
    case "prefix":
      return !isWildcard(address) && prefixContains(match.prefix, address)
    case "name":
      return match.name === name
    case "class":
      return matchesClass(match.name, address)
  }
}

/** As in ntpd, `all` means neither the loopback addresses nor the wildcards. */
const matchesClass = (name: "all" | "ipv4" | "ipv6" | "wildcard", address: IpAddress): boolean => {
  if (name === "wildcard") return isWildcard(address)
  if (isWildcard(address)) return false
  return name === "all" ? !isLoopback(address) : address.family === (name === "ipv4" ? 4 : 6)
}

/** A rule that cannot do what it says, now or at all. */
const ruleProblems = ({ values, location, places }: Rule, interfaces: readonly InterfaceAddress[]): Diagnostic[] => {
  const { action, match } = values
  const where = places.get("match") ?? location
  if (match.kind === "name" && !interfaces.some(({ name }) => name === match.name)) {
    const names = [...new Set(interfaces.map(({ name }) => name))]
    const known = names.length === 0 ? "" : `; there are ${names.join(", ")}`
    const then = action === "listen" ? "it is answered on" : "it is left alone"
    return [
      warningAt(where, `this machine has no interface '${match.name}' with an address now${known}; ${then} once it has`)
    ]
  }
  if (
    match.kind === "address" &&
    action === "listen" &&
    interfaces.length > 0 &&
    !interfaces.some((one) => matches(match, one))
  ) {
    const isAnywhere = isWildcard(match.address) || isMulticast(match.address) || isLoopback(match.address)
    return isAnywhere ? [] : [awaited(match.address, where)]
  }
  if (action === "drop") {
    return [warningAt(location, "'interface drop' is taken as 'interface ignore': the address is not opened at all")]
  }
  return []
}
