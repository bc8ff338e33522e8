/** What an operator may do with sources. It is said in the log, and to the event log. */
import { SOURCE_ACTS, type SourceCommand } from "@meridian/ipc/source-command"
import type { Act, RecordAct } from "./acts.ts"
import type { LivePlan } from "./live-plan.ts"

/** More than any clock has sources: names lead to other addresses as years go by. */
const MOST_OFFLINE = 10_000

const STANDINGS = ["online", "offline"] as const
type SourceAct = (typeof STANDINGS)[number] | SourceCommand["act"]

interface SourceActParts {
  /** Who is offline is part of the plan, for whatever process of the clock there is. */
  readonly live: LivePlan
  /** Has the clock's process do it once. */
  readonly tell: (command: SourceCommand) => void
  readonly inform: (message: string) => void
  readonly record: RecordAct
}

/** Each by its name, which is chronyc's. */
export const sourceActs = ({ live, tell, inform, record }: SourceActParts): Readonly<Record<SourceAct, Act>> => {
  const stand = (act: (typeof STANDINGS)[number], addresses: readonly string[]): void => {
    const { offline = [], ...rest } = live.plan.discipline
    const others = offline.filter((address) => !addresses.includes(address))
    const now = act === "offline" ? [...others, ...addresses].slice(-MOST_OFFLINE) : others
    live.change({ discipline: { ...rest, offline: now } })
  }
  const actOf = (act: SourceAct): Act => {
    return async ({ addresses = "", good = 0, total = 0 }, author) => {
      const all = String(addresses).split(" ").filter(Boolean)
      if (act === "online" || act === "offline") stand(act, all)
      else tell({ type: "source-command", act, addresses: all, good: Number(good), total: Number(total) })
      const what = act === "refresh" ? "all names are looked up again" : `${act}: ${all.join(", ") || "no source"}`
      inform(`${author} said: ${what}`)
      record(act, author, all)
      return { ok: true, message: what }
    }
  }
  const acts = [...STANDINGS, ...SOURCE_ACTS]
  return Object.fromEntries(acts.map((act) => [act, actOf(act)])) as Record<SourceAct, Act>
}
