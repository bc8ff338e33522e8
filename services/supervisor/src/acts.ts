/** What an operator may ask for through the control process. */
import type { OperatorAct } from "@meridian/events"
import type { ActMessage } from "@meridian/ipc/control-messages"

export interface Acted {
  readonly ok: boolean
  /** What was done or why not, one sentence. */
  readonly message: string
}

/** Has the event log say that `author` did this to the node: what changed, a line or an address each. */
export type RecordAct = (act: OperatorAct["act"], author: string, changes: readonly string[]) => void

/** Who asks by the node's own socket says who he is. */
export const authorOf = (said: string | null): string =>
  (said === null || said === "" ? "the control socket" : said).replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 128)

/** Does one of them; never rejects. */
export type Act = (asked: ActMessage["arguments"], author: string) => Promise<Acted>

/** Says what came of it; never rejects. */
export const carryOut = async (
  { name, arguments: asked, author }: ActMessage,
  acts: Readonly<Record<string, Act | undefined>>
): Promise<Acted> =>
  (await acts[name]?.(asked, author)) ?? { ok: false, message: `this node does not know how to ${name}` }
