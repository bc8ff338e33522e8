/** What an operator may ask for through the control process. */
import type { ActMessage } from "@meridian/ipc/control-messages"

export interface Acted {
  readonly ok: boolean
  /** What was done or why not, one sentence. */
  readonly message: string
}

/** Does one of them; never rejects. */
export type Act = (asked: ActMessage["arguments"], author: string) => Promise<Acted>

/** Says what came of it; never rejects. */
export const carryOut = async (
  { name, arguments: asked, author }: ActMessage,
  acts: Readonly<Record<string, Act | undefined>>
): Promise<Acted> =>
  (await acts[name]?.(asked, author)) ?? { ok: false, message: `this node does not know how to ${name}` }
