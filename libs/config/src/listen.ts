/**
 * The addresses to bind to, from `listen` and `interface` lines. `listen` names addresses. `interface` lines are rules
 * as ntpd has them: the last rule that matches an address decides; with any rule at all, an address that no rule
 * matches is left alone, except for the loopback addresses, which are served unless a rule names them.
 */
import { isLoopback, isWildcard, prefixContains, type IpAddress } from "./address.ts"
import { errorAt, warningAt, type Diagnostic, type Location } from "./diagnostic.ts"
import { interfaceDirective, listenDirective } from "./directives.ts"
import { statementsOf, type Statement } from "./statement.ts"
import { WILDCARDS, type InterfaceMatch } from "./value-types.ts"

/** An address of one of the machine's network interfaces. */
export interface InterfaceAddress {
  readonly name: string
  readonly address: IpAddress
}

/** An address to bind to and the line that asked for it. */
export interface PlacedAddress {
  readonly address: IpAddress
  readonly location: Location
}

/** Addresses and rules that a configuration may have: each address is a socket in every worker. */
export const MAX_LISTEN_LINES = 1024

export interface ListenPlan {
  /** No duplicates. Undefined when no line says anything, so that the default holds. */
  readonly addresses: readonly PlacedAddress[] | undefined
  readonly diagnostics: readonly Diagnostic[]
}

/** Folds both directives. `interfaces` are the machine's addresses now; rules that name classes choose among them. */
export const listenPlan = (statements: readonly Statement[], interfaces: readonly InterfaceAddress[]): ListenPlan => {
  const listens = statementsOf(statements, listenDirective)
  const rules = statementsOf(statements, interfaceDirective)
  if (listens.length === 0 && rules.length === 0) return { addresses: undefined, diagnostics: [] }

  const excess = listens[MAX_LISTEN_LINES] ?? rules[MAX_LISTEN_LINES]
  if (excess !== undefined) {
    const problem = `found more than ${MAX_LISTEN_LINES} '${excess.directive.name}' lines, expected at most that many`
    return { addresses: undefined, diagnostics: [errorAt(excess.location, problem)] }
  }

  const diagnostics: Diagnostic[] = []
  const placed = new Map<string, PlacedAddress>()
  for (const { values, location, places } of listens) {
    for (const address of values.address) {
      const earlier = placed.get(address.text)
      if (earlier === undefined) placed.set(address.text, { address, location })
      else diagnostics.push(duplicate(address, places.get("address") ?? location, earlier.location))
    }
  }
  for (const ruled of addressesByRule(rules, interfaces)) {
    if (!placed.has(ruled.address.text)) placed.set(ruled.address.text, ruled)
  }
  for (const rule of rules) diagnostics.push(...ruleProblems(rule, interfaces))
  const lastRule = rules.at(-1)
  if (placed.size === 0 && lastRule !== undefined) {
    const problem = "these interface rules leave no address to answer on; add 'interface listen ADDRESS'"
    diagnostics.push(errorAt(lastRule.location, problem))
  }
  return { addresses: [...placed.values()], diagnostics }
}

const duplicate = (address: IpAddress, where: Location, earlier: Location): Diagnostic =>
  warningAt(where, `${address.text} is listened on already (${earlier.file}:${earlier.line}); this line has no effect`)

type Rule = Statement<typeof interfaceDirective>

/** The machine's addresses and the ones that rules name, each by the last rule that matches it. */
const addressesByRule = (rules: readonly Rule[], interfaces: readonly InterfaceAddress[]): PlacedAddress[] => {
  const [first] = rules
  if (first === undefined) return []
  const named: InterfaceAddress[] = rules.flatMap(({ values: { match } }) =>
    match.kind === "address" ? [{ name: "", address: match.address }] : []
  )
  const candidates = [...interfaces, ...WILDCARDS.map((address) => ({ name: "", address })), ...named]
  const placed = new Map<string, PlacedAddress>()
  for (const candidate of candidates) {
    const rule = rules.findLast(({ values }) => matches(values.match, candidate))
    const isServed = rule === undefined ? isLoopback(candidate.address) : rule.values.action === "listen"
    if (!isServed || placed.has(candidate.address.text)) continue
    const { location } = rule ?? first
    placed.set(candidate.address.text, { address: candidate.address, location })
  }
  return [...placed.values()]
}

const matches = (match: InterfaceMatch, { name, address }: InterfaceAddress): boolean => {
  switch (match.kind) {
    case "address":
      return match.address.text === address.text
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

/** A rule that cannot do what it says. */
const ruleProblems = ({ values, location, places }: Rule, interfaces: readonly InterfaceAddress[]): Diagnostic[] => {
  const { action, match } = values
  const where = places.get("match") ?? location
  if (match.kind === "name" && !interfaces.some(({ name }) => name === match.name)) {
    const names = [...new Set(interfaces.map(({ name }) => name))]
    const known = names.length === 0 ? "" : `; there are ${names.join(", ")}`
    return [errorAt(where, `this machine has no interface '${match.name}' with an address now${known}`)]
  }
  if (action === "drop") {
    return [warningAt(location, "'interface drop' is taken as 'interface ignore': the address is not opened at all")]
  }
  return []
}
