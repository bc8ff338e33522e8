/** What an operator may ask for through the control process. */
import type { ActMessage } from "@meridian/ipc/control-messages"

export interface ActParts {
  /** Reads the key file again; returns what is wrong with it, a line each. */
  readonly readKeys: () => readonly string[]
}

interface Acted {
  readonly ok: boolean
  /** What was done or why not, one sentence. */
  readonly message: string
}

/** Says what came of it; never rejects. */
export const carryOut = async ({ name }: ActMessage, { readKeys }: ActParts): Promise<Acted> => {
  switch (name) {
    case "rekey": {
      const problems = readKeys()
      return { ok: problems.length === 0, message: problems[0] ?? "the key file was read again" }
    }
    case "configure":
      return { ok: false, message: "nothing was changed: edit ntp.conf and reload or restart the node" }
    default:
      return { ok: false, message: `this node does not know how to ${name}` }
  }
}
