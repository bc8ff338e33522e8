/** What the lines about broadcast, multicast and manycast come to. */
import {
  broadcastclientDirective,
  broadcastdelayDirective,
  broadcastDirective,
  isGroupAddress,
  manycastclientDirective,
  manycastserverDirective,
  multicastclientDirective,
  NTP_GROUP
} from "./broadcast-directives.ts"
import { type Diagnostic, errorAt, quoted, warningAt } from "./diagnostic.ts"
import { fromDefault, fromFile, lastOf, type Folded, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"

/** One `broadcast` or `manycastclient` line. */
export interface ManySettings {
  /** Numeric, as parsed. */
  readonly address: string
  readonly key: number | undefined
  readonly autokey: { readonly ident: string | undefined } | undefined
  /** How many routers far multicasts go, 1 … 255. */
  readonly hops: number
  /** log2 seconds; minPoll is not above maxPoll. */
  readonly minPoll: number
  readonly maxPoll: number
  readonly version: number
  readonly iburst: boolean
  readonly prefer: boolean
}

export interface BroadcastSettings {
  readonly broadcasts: readonly Sourced<ManySettings>[]
  /** Whether the broadcast addresses of this machine's networks are listened to. */
  readonly hearsBroadcasts: Sourced<boolean>
  /** Multicast groups that are listened to for servers that tell the time. */
  readonly groups: readonly Sourced<string>[]
  /** The round trip to broadcast servers, seconds; undefined: measured. */
  readonly delay: Sourced<number | undefined>
  /** Multicast groups at which clients look for servers. */
  readonly manycastGroups: readonly Sourced<string>[]
  readonly manycasts: readonly Sourced<ManySettings>[]
}

const MIN_POLL = 6
const MAX_POLL = 10
/** What `ttl` is without a word; the page of ntpd says 127. */
const HOPS = 127
/** Of `broadcastclient novolley`, the round trip that ntpd took, seconds. */
const NOVOLLEY_DELAY = 0.008

/** @param flags what `enable` and `disable` say: `bclient` hears broadcasts, without `auth` nobody must prove anything */
export const broadcastSettings = (
  statements: readonly Statement[],
  flags: Readonly<Record<"bclient" | "auth", Sourced<boolean>>>
): Folded<BroadcastSettings> => {
  const diagnostics: Diagnostic[] = []
  const read = (lines: readonly ManyStatement[]): readonly Sourced<ManySettings>[] =>
    lines.flatMap((line) => {
      const found = problems(line, flags.auth.value)
      diagnostics.push(...found.map(({ problem }) => problem))
      return found.some(({ isDropped }) => isDropped) ? [] : [fromFile(manyOf(line), line.location)]
    })
  const groupsOf = (directive: typeof multicastclientDirective | typeof manycastserverDirective, otherwise: string[]) =>
    statementsOf(statements, directive).flatMap(({ values, location }) =>
      (values.groups.length === 0 ? otherwise : values.groups).map((group) => fromFile(group, location))
    )
  const client = statementsOf(statements, broadcastclientDirective).at(-1)
  const isQuick = client?.values.novolley === true
  const delay = lastOf(statements, broadcastdelayDirective, "seconds")
  return {
    value: {
      broadcasts: read(statementsOf(statements, broadcastDirective) as readonly ManyStatement[]),
      hearsBroadcasts: client === undefined ? flags.bclient : fromFile(true, client.location),
      groups: groupsOf(multicastclientDirective, [NTP_GROUP]),
      delay: delay ?? (isQuick ? fromFile(NOVOLLEY_DELAY, client.location) : fromDefault(undefined)),
      manycastGroups: groupsOf(manycastserverDirective, []),
      manycasts: read(statementsOf(statements, manycastclientDirective) as readonly ManyStatement[])
    },
    diagnostics
  }
}

/** Both rows have the same operands, and `broadcast` has one option more. */
type ManyStatement = Statement<typeof manycastclientDirective>

const manyOf = ({ values }: ManyStatement): ManySettings => {
  const maxPoll = values.maxpoll ?? Math.max(MAX_POLL, values.minpoll ?? 0)
  return {
    address: values.address,
    key: values.autokey ? undefined : values.key,
    autokey: values.autokey ? { ident: values.ident } : undefined,
    // 0 would not leave this machine.
    hops: Math.max(1, values.ttl ?? HOPS),
    minPoll: values.minpoll ?? Math.min(MIN_POLL, maxPoll),
    maxPoll,
    version: values.version ?? 4,
    iburst: values.iburst === true,
    prefer: values.prefer === true
  }
}

const problems = (
  line: ManyStatement,
  authenticates: boolean
): readonly { problem: Diagnostic; isDropped: boolean }[] => {
  const { values, location, places, directive } = line
  const at = (name: string) => places.get(name) ?? location
  const isBroadcast = (directive as { readonly name: string }).name === "broadcast"
  const found: { problem: Diagnostic; isDropped: boolean }[] = []
  const drop = (name: string, problem: string): void =>
    void found.push({ problem: warningAt(at(name), problem), isDropped: true })
  const fail = (name: string, problem: string): void =>
    void found.push({ problem: errorAt(at(name), problem), isDropped: true })
  const warn = (name: string, problem: string): void =>
    void found.push({ problem: warningAt(at(name), problem), isDropped: false })
  const { address } = values
  const family = address.includes(":") ? "-6" : "-4"
  if (values.family !== undefined && values.family !== family)
    fail(
      "address",
      `found ${quoted(address)}, expected an IPv${values.family.slice(1)} address behind ${values.family}`
    )
  if (!isGroupAddress(address) && (family === "-6" || !isBroadcast))
    fail("address", `found ${quoted(address)}, expected a multicast group such as ${NTP_GROUP} or ff05::101`)
  if ((values.minpoll ?? 0) > (values.maxpoll ?? Infinity))
    fail("minpoll", `found minpoll ${values.minpoll} above maxpoll ${values.maxpoll}, expected it at most as large`)
  if (values.autokey && values.key !== undefined)
    warn("key", "'key' has no effect beside 'autokey', which authenticates by itself")
  if (values.ident !== undefined && values.autokey && isBroadcast)
    warn("ident", "'ident' has no effect on what is told to many: this host's own name says its group")
  if (!values.autokey && !isBroadcast && values.key === undefined && authenticates)
    drop(
      "address",
      "nobody's answer is believed without a key; this line has no effect: add 'key N' or 'autokey', or 'disable auth'"
    )
  if (values.ident !== undefined && !values.autokey) warn("ident", "'ident' has no effect without 'autokey'")
  if (places.has("xleave")) warn("xleave", "'xleave' has no effect: broadcasts are stamped as they leave")
  if (isBroadcast)
    for (const name of ["maxpoll", "iburst", "prefer"] as const)
      if (places.has(name)) warn(name, `'${name}' has no effect on what is told to many`)
  return found
}
