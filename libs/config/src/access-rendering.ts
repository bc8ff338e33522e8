/** The settings of access as lines that give the same settings when they are read. */
import { accessFlagWords } from "@meridian/protocol/access/access-flags"
import type { RateLimit } from "@meridian/protocol/access/rate-limit"
import type { AccessSettings, Allowance, Restriction } from "./access-settings.ts"
import { writeTarget } from "./access-types.ts"
import type { SettingLine } from "./rendering.ts"
import type { Sourced } from "./sourced.ts"

export const describeAccess = ({
  dialect,
  restrictions,
  allowances,
  rateLimit,
  clientList
}: AccessSettings): readonly SettingLine[] => [
  ...given("dialect", dialect, String),
  ...restrictions.map((one) => lineOf(one.value.action, one, writeRestriction)),
  ...allowances.map((one) => lineOf(one.value.action, one, writeAllowance)),
  ...given(LAW_WORDS[rateLimit.value.law], rateLimit, writeLimit),
  ...given("mru", clientList.bytes, (bytes) =>
    bytes % 1024 === 0 ? `maxmem ${bytes / 1024}` : `maxdepth ${bytes / 50}`
  ),
  ...given("mru", clientList.maxAge, (seconds) => `maxage ${seconds}`),
  ...given("mru", clientList.minAge, (seconds) => `minage ${seconds}`),
  ...given("mru", clientList.ipv6Prefix, (length) => `ipv6prefix ${length}`)
]

/** Defaults need no line. */
const given = <T>(directive: string, value: Sourced<T>, write: (value: T) => string): readonly SettingLine[] =>
  value.origin.kind === "default" ? [] : [lineOf(directive, value, write)]

const LAW_WORDS = { score: "limit", headway: "discard", tokens: "ratelimit" } as const

const lineOf = <T>(directive: string, { value, origin }: Sourced<T>, write: (value: T) => string): SettingLine => ({
  directive,
  value: write(value),
  origin
})

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
