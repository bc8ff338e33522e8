/** What the lines about access, limits and the list of clients come to, and the checks that need more than one of them. */
import { ACCESS_FLAG_WORDS, AccessFlag } from "@meridian/protocol/access/access-flags"
import type { RateLimit } from "@meridian/protocol/access/rate-limit"
import {
  allowDirective,
  denyDirective,
  discardDirective,
  limitDirective,
  mruDirective,
  ratelimitDirective,
  restrictDirective,
  unrestrictDirective
} from "./access-directives.ts"
import { type AccessTarget, maskLength } from "./access-types.ts"
import { type Diagnostic, errorAt, lacking, warningAt } from "./diagnostic.ts"
import { type Dialect, dialectOf, type UnreadLine } from "./dialect.ts"
import { fromDefault, fromFile, lastGiven, type Folded, type Sourced } from "./sourced.ts"
import { type Statement, statementsOf } from "./statement.ts"

export interface Restriction {
  readonly action: "restrict" | "unrestrict"
  /** Only hosts' addresses of it, or only that family's default; undefined both. */
  readonly family: 4 | 6 | undefined
  readonly target: AccessTarget
  readonly ntpPort: boolean
  /** Of AccessFlag. */
  readonly flags: number
}

export interface Allowance {
  readonly action: "allow" | "deny"
  /** Also goes over lines about parts of the subnet. */
  readonly all: boolean
  /** Undefined: everybody. */
  readonly target: AccessTarget | undefined
  /** Who is denied is told so now and then. */
  readonly kod: boolean
}

interface ClientListSettings {
  /** Bytes, over all workers. */
  readonly bytes: Sourced<number>
  /** Seconds: see `mru` in ntp.conf(5). */
  readonly maxAge: Sourced<number>
  readonly minAge: Sourced<number>
  readonly ipv6Prefix: Sourced<number>
}

export interface AccessSettings {
  readonly dialect: Sourced<Dialect>
  /** In their order, which counts. */
  readonly restrictions: readonly Sourced<Restriction>[]
  readonly allowances: readonly Sourced<Allowance>[]
  readonly rateLimit: Sourced<RateLimit>
  readonly clientList: ClientListSettings
}

/** Whether no file has a line of `restrict`: one that is said to the running node adds to the rules that it has. */
export const saysNothing = ({ restrictions }: Pick<AccessSettings, "restrictions">): boolean =>
  restrictions.every(({ origin }) => origin.kind === "said")

const RECORD_BYTES = 50

/** The limits where no line gives others. */
const DEFAULT_LIMITS = {
  score: { law: "score", average: 1, burst: 20, kod: 0.5 },
  headway: { law: "headway", average: 3, minimum: 2 },
  tokens: { law: "tokens", interval: 3, burst: 8, leak: 2, kod: 0 }
} as const satisfies Record<string, RateLimit>

export const accessSettings = (
  statements: readonly Statement[],
  unread: readonly UnreadLine[]
): Folded<AccessSettings> => {
  const diagnostics: Diagnostic[] = []
  const dialect = dialectOf(statements, unread)
  const restrictions = statements.flatMap((statement) => restrictionsOf(statement, dialect.value, diagnostics))
  const allowances = statements.flatMap(allowancesOf)
  const limit = rateLimitOf(statements, dialect.value, diagnostics)
  const value: AccessSettings = {
    dialect,
    restrictions,
    allowances,
    rateLimit: limit,
    clientList: clientListOf(statements, diagnostics)
  }
  diagnostics.push(...togetherProblems(value, statements))
  return { value, diagnostics }
}

type RestrictStatement = Statement<typeof restrictDirective>

const restrictionsOf = (
  statement: Statement,
  dialect: Dialect,
  diagnostics: Diagnostic[]
): readonly Sourced<Restriction>[] => {
  const [restrict] = statementsOf([statement], restrictDirective)
  const [unrestrict] = statementsOf([statement], unrestrictDirective)
  const line: RestrictStatement | undefined = restrict ?? (unrestrict as RestrictStatement | undefined)
  if (line === undefined) return []
  const { values, location, places } = line
  const target = targetOf(line, diagnostics)
  if (target === undefined) return []
  const flags = ACCESS_FLAG_WORDS.reduce(
    (sum, [word, bit]) => (values[word.split(" ")[0] as keyof typeof values] === undefined ? sum : sum | bit),
    0
  )
  diagnostics.push(...restrictRemarks(line, flags, dialect))
  const family = values.family === undefined ? undefined : values.family === "-4" ? 4 : 6
  if (family !== undefined && target.kind === "prefix" && target.prefix.address.family !== family) {
    diagnostics.push(
      errorAt(places.get("target") ?? location, `found an address that is not of the family ${values.family}`)
    )
    return []
  }
  const action = restrict === undefined ? "unrestrict" : "restrict"
  return [fromFile({ action, family, target, ntpPort: values.ntpport === true, flags }, location)]
}

/** With its mask applied. */
const targetOf = (
  { values, places, location }: RestrictStatement,
  diagnostics: Diagnostic[]
): AccessTarget | undefined => {
  const { target, mask } = values
  if (mask === undefined) return target
  const where = places.get("mask") ?? location
  // Samba's guide has people write it so.
  if (target.kind === "host" && maskLength(mask) === mask.bytes.length * 8) return target
  if (target.kind !== "prefix") {
    const wanted = target.kind === "host" ? "a host's name stands for whole addresses" : `'${target.kind}' has none`
    diagnostics.push(errorAt(where, `found a mask, expected none: ${wanted}`))
    return undefined
  }
  const { address, length } = target.prefix
  if (length !== address.bytes.length * 8) {
    diagnostics.push(errorAt(where, `found a mask, expected none: the address says /${length} already`))
    return undefined
  }
  const bits = maskLength(mask)
  if (mask.family !== address.family || bits === undefined) {
    diagnostics.push(errorAt(where, `found a mask of IPv${mask.family}, expected one of IPv${address.family}`))
    return undefined
  }
  return { kind: "prefix", prefix: { address, length: bits } }
}

/** What a line says that has no effect here, or not the one that was meant. */
const restrictRemarks = (
  { values, words, location }: RestrictStatement,
  flags: number,
  dialect: Dialect
): Diagnostic[] => {
  const at = (name: string) => words.get(name) ?? location
  const remarks: Diagnostic[] = []
  const remark = (name: keyof typeof values, why: string): void => {
    if (values[name] !== undefined) remarks.push(warningAt(at(name), `'${name}' has no effect: ${why}`))
  }
  remark("interface", "the addresses of this machine's interfaces need no rule here")
  remark("epeer", "passive peers are taken under a trusted key anyway; 'passivepeers N' says how many")
  if ((values.ippeerlimit ?? -1) >= 0)
    remark("ippeerlimit", "one address is one passive peer here; 'passivepeers N' bounds them all")
  remark("serverresponse", "replies carry the reference timestamp as it is")
  remark("lowpriotrap", "there are no traps (mode 6 opcode 6)")
  if (
    (flags & AccessFlag.kod) !== 0 &&
    (flags & AccessFlag.limited) === 0 &&
    dialect === "classic" &&
    values.target.kind !== "default"
  )
    remarks.push(warningAt(at("kod"), "'kod' does something only beside 'limited': it tells who is over the limit"))
  return remarks
}

const allowancesOf = (statement: Statement): readonly Sourced<Allowance>[] => {
  const [allow] = statementsOf([statement], allowDirective)
  const [deny] = statementsOf([statement], denyDirective)
  const line = allow ?? deny
  if (line === undefined) return []
  const { all, subnet, kod } = line.values
  const action = allow === undefined ? "deny" : "allow"
  return [
    fromFile({ action, all: all !== undefined, target: subnet, kod: kod === true && action === "deny" }, line.location)
  ]
}

/** The last line says which law; the lines of that law add up. */
const rateLimitOf = (
  statements: readonly Statement[],
  dialect: Dialect,
  diagnostics: Diagnostic[]
): Sourced<RateLimit> => {
  const laws: readonly unknown[] = [limitDirective, discardDirective, ratelimitDirective]
  const lines = statements.filter(({ directive }) => laws.includes(directive))
  const last = lines.at(-1)
  if (last === undefined) return fromDefault(dialect === "classic" ? DEFAULT_LIMITS.headway : DEFAULT_LIMITS.score)
  for (const line of lines)
    if (line.directive !== last.directive)
      diagnostics.push(
        warningAt(
          line.location,
          `'${line.directive.name}' has no effect: '${last.directive.name}' further down is the limit`
        )
      )
  const given = <K extends string>(name: K): number | undefined =>
    lines.findLast(
      ({ directive, values }) => directive === last.directive && (values as Record<string, unknown>)[name] !== undefined
    )?.values[name as never] as number | undefined
  return fromFile(limitFrom(last, given), last.location)
}

const limitFrom = (last: Statement, given: (name: string) => number | undefined): RateLimit => {
  const filled = <L extends RateLimit>(defaults: L): L =>
    Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, given(name) ?? value])) as L
  if ((last.directive as unknown) === limitDirective) return filled<RateLimit>(DEFAULT_LIMITS.score)
  if ((last.directive as unknown) === discardDirective) return filled<RateLimit>(DEFAULT_LIMITS.headway)
  return filled<RateLimit>(DEFAULT_LIMITS.tokens)
}

const clientListOf = (statements: readonly Statement[], diagnostics: Diagnostic[]): ClientListSettings => {
  const lines = statementsOf(statements, mruDirective)
  for (const { values, words, location } of lines) {
    for (const name of ["mindepth", "initalloc", "initmem", "incalloc", "incmem"] as const)
      if (values[name] !== undefined)
        diagnostics.push(
          warningAt(
            words.get(name) ?? location,
            `'${name}' has no effect: the list has memory as clients come, and 'maxmem' says how much at most`
          )
        )
  }
  const sized = lines.findLast(({ values }) => values.maxmem !== undefined || values.maxdepth !== undefined)
  const bytes =
    sized === undefined
      ? undefined
      : fromFile(
          sized.values.maxmem === undefined ? sized.values.maxdepth! * RECORD_BYTES : sized.values.maxmem * 1024,
          sized.location
        )
  return {
    bytes: bytes ?? fromDefault(16 * 2 ** 20),
    maxAge: lastGiven(statements, mruDirective, "maxage") ?? fromDefault(3600),
    minAge: lastGiven(statements, mruDirective, "minage") ?? fromDefault(64),
    ipv6Prefix: lastGiven(statements, mruDirective, "ipv6prefix") ?? fromDefault(64)
  }
}

const togetherProblems = (settings: AccessSettings, statements: readonly Statement[]): Diagnostic[] => {
  const problems: Diagnostic[] = []
  const [firstDeny] = statementsOf(statements, denyDirective)
  if (firstDeny !== undefined && !settings.allowances.some(({ value }) => value.action === "allow"))
    problems.push(
      lacking(
        "allow",
        warningAt(firstDeny.location, "no line allows anybody, so nobody is served (as in chrony); add: allow all")
      )
    )
  const named = statements.findLast(({ directive }) => [limitDirective, discardDirective].includes(directive as never))
  const limits = settings.restrictions.some(({ value }) => (value.flags & AccessFlag.limited) !== 0)
  const byDefault = settings.dialect.value === "ntpsec" && !saysNothing(settings)
  if (named !== undefined && settings.rateLimit.value.law !== "tokens" && !limits && !byDefault)
    problems.push(
      lacking(
        "restrict",
        warningAt(named.location, `'${named.directive.name}' limits nobody: no line says 'restrict default limited'`)
      )
    )
  return problems
}
