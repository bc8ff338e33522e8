/** What an operator may do with sources: told on to the clock's process, and said in the log. */
import { SOURCE_ACTS, type SourceCommand } from "@meridian/ipc/source-command"
import type { Act } from "./acts.ts"

type SourceAct = SourceCommand["act"]

/** Each by its name, which is chronyc's. It lasts for as long as the clock's process runs. */
export const sourceActs = (
  tell: (command: SourceCommand) => void,
  inform: (message: string) => void
): Readonly<Record<SourceAct, Act>> => {
  const actOf = (act: SourceAct): Act => {
    return async ({ addresses = "", good = 0, total = 0 }, author) => {
      const all = String(addresses).split(" ").filter(Boolean)
      tell({ type: "source-command", act, addresses: all, good: Number(good), total: Number(total) })
      const what = act === "refresh" ? "all names are looked up again" : `${act}: ${all.join(", ") || "no source"}`
      inform(`${author} said: ${what}`)
      return { ok: true, message: what }
    }
  }
  return Object.fromEntries(SOURCE_ACTS.map((act) => [act, actOf(act)])) as Record<SourceAct, Act>
}
