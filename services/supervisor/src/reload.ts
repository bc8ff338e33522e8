/** What another configuration changes on a running node: line by line, and when each takes effect. */
import { describeOrigin, describeSettings, findDirective, type SettingLine, type Settings } from "@meridian/config"
import { movedLines } from "./moved-lines.ts"

/** Now; now, by a new process of the clock that asks every source anew; or at the next start of the node. */
type Effect = "now" | "clock" | "restart"

export interface Change {
  /** As in a file; undefined where the line is new, the same as after where it stands elsewhere and that may matter. */
  readonly before: string | undefined
  /** Undefined where it is gone. */
  readonly after: string | undefined
  /** `ntp.conf:3:1` of the new line, or of the one that is gone. */
  readonly where: string
  readonly effect: Effect
}

/** When a directive takes effect, by its row's word on reloads. */
const EFFECTS = { live: "now", clock: "clock", contents: "restart", restart: "restart" } as const

/** Of `nts`, which is taken up otherwise, what is settled when the node starts. */
const SETTLED = new Set(["nts cookie", "nts nocerttimecheck", "nts port", "nts processes"])

/** `enable` and `disable` of what the clock's process does; others are settled when the node starts, or do nothing. */
const SWITCHES_OF_THE_CLOCK = new Set(["auth", "bclient", "stats"])

const effectOf = ({ directive, value = "" }: SettingLine): Effect => {
  if (SWITCHES.has(directive)) return value === "ntp" ? "restart" : SWITCHES_OF_THE_CLOCK.has(value) ? "clock" : "now"
  if (directive === "server" && value.startsWith("127.127.1.")) return "clock"
  if (SETTLED.has(directive) || (directive === "nts" && (value === "enable" || value === "disable"))) return "restart"
  return EFFECTS[findDirective(directive.split(" ")[0]!)?.reload ?? "restart"]
}

const textOf = ({ directive, value }: SettingLine): string =>
  value === undefined ? `no ${directive}` : `${directive} ${value}`

/** The lines that a node runs by: of the new settings those that take effect, of those it was started with the others. */
export const runningLines = (started: Settings, applied: Settings): readonly SettingLine[] => {
  const waits = (line: SettingLine): boolean =>
    effectOf(line) === "restart" ||
    (line.directive === "logfile" && isMove(started.logfile.value, applied.logfile.value))
  return [...describeSettings(started).filter(waits), ...describeSettings(applied).filter((line) => !waits(line))]
}

/** Messages go on where they went: standard error is not left for a file, nor gone back to. */
const isMove = (before: string | undefined, after: string | undefined): boolean =>
  (before === undefined) !== (after === undefined)

/** Directives of which each option is a setting. */
const BY_OPTION = new Set(["tos", "tinker", "filegen", "mru"])
/** Of which each flag is one. */
const SWITCHES = new Set(["enable", "disable"])

/** What is different, in the order of the new lines; lines that are gone stand behind. */
export const changesBetween = (before: readonly SettingLine[], after: readonly SettingLine[]): readonly Change[] => {
  const gone = unmatched(before, after)
  const added = unmatched(after, before)
  const changes = added.map((line): Change => {
    const index = isRepeatable(line) ? -1 : gone.findIndex((old) => !isRepeatable(old) && keyOf(old) === keyOf(line))
    const [old] = index === -1 ? [] : gone.splice(index, 1)
    return {
      before: old && textOf(old),
      after: textOf(line),
      where: describeOrigin(line.origin),
      effect: line.directive === "logfile" && isMove(old?.value, line.value) ? "restart" : effectOf(line)
    }
  })
  const moved = movedLines(before, after).map((line): Change => ({
    before: textOf(line),
    after: textOf(line),
    where: describeOrigin(line.origin),
    effect: effectOf(line)
  }))
  const removed = gone.map((line): Change => ({
    before: textOf(line),
    after: undefined,
    where: describeOrigin(line.origin),
    effect: effectOf(line)
  }))
  return [...changes, ...moved, ...removed]
}

const REPEATABLE = new Set([
  "server",
  "pool",
  "peer",
  "restrict",
  "unrestrict",
  "allow",
  "deny",
  "listen",
  "trustedkey",
  "refclock",
  "extra port",
  "nts aead",
  "cluster nats",
  "anycast address",
  "anycast protocol"
])
const isRepeatable = ({ directive, value }: SettingLine): boolean =>
  REPEATABLE.has(directive) || (directive === "nts" && value?.startsWith("cert ") === true)

/** A directive whose value begins with an option's name is one setting for each of those. */
const keyOf = ({ directive, value }: SettingLine): string =>
  BY_OPTION.has(directive)
    ? `${directive} ${value?.split(" ")[0]}`
    : SWITCHES.has(directive)
      ? `switch ${value}`
      : directive

/** The lines of `of` that `against` has fewer of. */
const unmatched = (of: readonly SettingLine[], against: readonly SettingLine[]): SettingLine[] => {
  const counts = new Map<string, number>()
  for (const line of against) counts.set(textOf(line), (counts.get(textOf(line)) ?? 0) + 1)
  return of.filter((line) => {
    const left = counts.get(textOf(line)) ?? 0
    counts.set(textOf(line), left - 1)
    return left <= 0
  })
}

/** A change as a line for people: `+ restrict …`, `- …`, `moved: …`, `port 123 -> 124 (ntp.conf:3:1); at the next start`. */
export const formatChange = ({ before, after, where, effect }: Change): string => {
  const what =
    before === undefined
      ? `+ ${after}`
      : after === undefined
        ? `- ${before}`
        : before === after
          ? `moved: ${after}`
          : `${before} -> ${after}`
  const when = { now: "", clock: "; the clock's process starts anew", restart: "; at the next start of the node" }[
    effect
  ]
  return `${what} (${where})${when}`
}
