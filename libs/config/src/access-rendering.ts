/** The settings of access as lines that give the same settings when they are read. */
import { accessFlagWords } from "@meridian/protocol/access/access-flags"
import type { RateLimit } from "@meridian/protocol/access/rate-limit"
import { type AccessSettings, type Allowance, type Restriction, saysNothing } from "./access-settings.ts"
import { writeTarget } from "./access-types.ts"
import { line, type SettingLine } from "./setting-line.ts"
import type { Sourced } from "./sourced.ts"

export const describeAccess = (settings: AccessSettings): readonly SettingLine[] => {
  const { restrictions } = settings
  const isOpen = restrictions.length > 0 && saysNothing(settings)
  return [
    line("dialect", settings.dialect, String),
    ...(isOpen ? OWN_RULES[settings.dialect.value] : []),
    ...described(settings)
  ]
}

const ownRule = (directive: string, value: string): SettingLine => ({ directive, value, origin: { kind: "default" } })
const OPEN_TO_THIS_HOST = [ownRule("restrict", "127.0.0.0/8"), ownRule("restrict", "::1")]
/** What is the case without any line of `restrict`, as lines to which others can be added. */
const OWN_RULES = {
  ntpsec: [ownRule("unrestrict", "default limited"), ...OPEN_TO_THIS_HOST],
  classic: [ownRule("restrict", "default noquery"), ...OPEN_TO_THIS_HOST]
} as const

const described = ({ restrictions, allowances, rateLimit, clientList }: AccessSettings): readonly SettingLine[] => [
  ...restrictions.map((one) => line(one.value.action, one, writeRestriction)),
  ...allowances.map((one) => line(one.value.action, one, writeAllowance)),
  ...given(LAW_WORDS[rateLimit.value.law], rateLimit, writeLimit),
  line("mru", clientList.bytes, (bytes) => (bytes % 1024 === 0 ? `maxmem ${bytes / 1024}` : `maxdepth ${bytes / 50}`)),
  line("mru", clientList.maxAge, (seconds) => `maxage ${seconds}`),
  line("mru", clientList.minAge, (seconds) => `minage ${seconds}`),
  line("mru", clientList.ipv6Prefix, (length) => `ipv6prefix ${length}`)
]

/** The default needs no line: without a `restrict … limited` it limits nobody. */
const given = <T>(
  directive: string,
  value: Sourced<T>,
  write: (value: NonNullable<T>) => string
): readonly SettingLine[] => (value.origin.kind === "default" ? [] : [line(directive, value, write)])

const LAW_WORDS = { score: "limit", headway: "discard", tokens: "ratelimit" } as const

const writeRestriction = ({ family, target, ntpPort, flags }: Restriction): string =>
  [
    ...(family === undefined ? [] : [`-${family}`]),
    writeTarget(target),
    ...accessFlagWords(flags),
    ...(ntpPort ? ["ntpport"] : [])
  ].join(" ")

const writeAllowance = ({ all, target, kod }: Allowance): string =>
  [...(all ? ["all"] : []), ...(target === undefined ? [] : [writeTarget(target)]), ...(kod ? ["kod"] : [])].join(" ")

const writeLimit = (limit: RateLimit): string =>
  Object.entries(limit)
    .filter(([name]) => name !== "law")
    .map(([name, value]) => `${name} ${value}`)
    .join(" ")

/** Who may ask what and how often, in one line for the first screen. */
export const accessSummary = ({ dialect, restrictions, allowances, rateLimit }: AccessSettings): string => {
  const law = rateLimit.value.law
  const limit = `${LAW_WORDS[law]} ${writeLimit(rateLimit.value)}`
  if (restrictions.length + allowances.length === 0) {
    const limits = law === "tokens" ? `everybody is served under ${limit}` : "everybody is served, without a limit"
    return `${limits}; queries (mode 6) are answered to this host alone`
  }
  const rules = [
    ...(restrictions.length === 0
      ? []
      : [`${counted(restrictions.length, "restrict line")}, read as ${dialect.value} does`]),
    ...(allowances.length === 0 ? [] : [counted(allowances.length, "allow or deny line")])
  ]
  return `${rules.join(", ")}; ${law === "tokens" ? "" : "who is limited has "}${limit}`
}

const counted = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`
