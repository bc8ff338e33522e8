/**
 * Which requests the program may answer by the access lists: those of strangers, who have no rule of their own, where what the
 * lists say of everybody leaves nothing to decide but a limit. All others are the workers'.
 */
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { type AccessRule, mergeAlike } from "@meridian/protocol/access/access-list"
import type { AccessPlan } from "@meridian/protocol/access/access-plan"
import { type AnswerSettings, canHold } from "./answer-layout.ts"

/** Without a limit, requests are noted for the list of clients so far apart on each processor, ns: all of them where they are rare. */
const NOTE_EVERY = 1_000_000

export interface Strangers extends Pick<
  AnswerSettings,
  "families" | "familiesFromNtpPort" | "limit" | "noteEvery" | "ipv6Prefix"
> {
  /** Of whom the lists say something: the sockets' alone. */
  readonly known: readonly { readonly address: readonly number[]; readonly length: number }[]
  /** Why some or all strangers are left to the workers too; undefined where none are. */
  readonly reason: string | undefined
}

/** Flags after which a plain request may still be answered, or not, by what it is. */
const DECIDED_BY_WORKERS =
  AccessFlag.ignore | AccessFlag.noserve | AccessFlag.notrust | AccessFlag.version | AccessFlag.flake
const OF_THE_LIMIT = AccessFlag.limited | AccessFlag.kod

/** Rules that the program is given; they are written one by one. */
export const MOST_RULES_HELD = 65_536

interface Address {
  readonly bytes: readonly number[]
}
type Rules = readonly (readonly AccessRule[])[]

/** Whether a rule is about loopback alone, from which the program answers nobody: looking it up would be for nothing. */
const isAboutLoopback = ({ bytes, length }: AccessRule): boolean =>
  bytes.length === 4
    ? length >= 8 && bytes[0] === 127
    : length === 128 && bytes.every((octet, at) => octet === (at === 15 ? 1 : 0))

/** Whether it lets an address of this machine ask all that there is: nobody else sends from there, and of a plain request it says nothing. */
const isAboutOwn = ({ bytes, length, ntpPort, flags }: AccessRule, own: readonly Address[]): boolean =>
  flags === 0 &&
  !ntpPort &&
  length === 8 * bytes.length &&
  own.some(
    (address) => address.bytes.length === bytes.length && address.bytes.every((octet, at) => octet === bytes[at])
  )

/** What all lists together say of everybody of a family. */
const everybodysFlags = (lists: Rules, family: 4 | 6, fromNtpPort: boolean): number =>
  lists.reduce((flags, list) => {
    const rules = mergeAlike(list).filter((rule) => rule.family === family && rule.length === 0)
    const narrow = fromNtpPort ? rules.find(({ ntpPort }) => ntpPort) : undefined
    return flags | ((narrow ?? rules.find(({ ntpPort }) => !ntpPort))?.flags ?? 0)
  }, 0)

const FAMILIES = [4, 6] as const

/**
 * Splits a plan.
 * @param lists the rules that `plan` was compiled from
 * @param addresses of this machine
 */
export const strangersBy = (lists: Rules, plan: AccessPlan, addresses: readonly Address[] = []): Strangers => {
  const { manners, limit } = plan
  const limitOf = (flags: number): number => flags & OF_THE_LIMIT
  const flags = { 4: everybodysFlags(lists, 4, false), 6: everybodysFlags(lists, 6, false) }
  const own = FAMILIES.filter((family) => (flags[family] & DECIDED_BY_WORKERS) === 0)
  const [first] = own
  // One limit holds in the program: where the families have two, the second is left to the workers.
  const alike = own.filter((family) => first !== undefined && limitOf(flags[family]) === limitOf(flags[first]))
  const ofAll = first === undefined ? 0 : flags[first]
  const isLimited = manners.limited || (ofAll & AccessFlag.limited) !== 0
  const known = lists.flatMap((list) =>
    list.filter((rule) => rule.length > 0 && !isAboutLoopback(rule) && !isAboutOwn(rule, addresses))
  )
  const isTooLong = known.length > MOST_RULES_HELD
  const families = isTooLong || (isLimited && !canHold(limit)) ? [] : alike
  const familiesFromNtpPort = families.filter((family) => {
    const narrow = everybodysFlags(lists, family, true)
    return (narrow & DECIDED_BY_WORKERS) === 0 && limitOf(narrow) === limitOf(flags[family])
  })
  return {
    families,
    familiesFromNtpPort,
    limit: isLimited ? { limit, kisses: manners.kod || (ofAll & AccessFlag.kod) !== 0 } : undefined,
    noteEvery: plan.clients === null ? 0 : NOTE_EVERY,
    ipv6Prefix: plan.clients?.ipv6Prefix ?? 128,
    known: isTooLong ? [] : known.map(({ bytes, length }) => ({ address: bytes, length })),
    reason: isTooLong
      ? `there are ${known.length} access rules, and the program holds ${MOST_RULES_HELD}`
      : own.length < FAMILIES.length
        ? "the access rules about everybody are the workers' to apply"
        : families.length < FAMILIES.length
          ? "the limits are the workers' to apply"
          : undefined
  }
}
