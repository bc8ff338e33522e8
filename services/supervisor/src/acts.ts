/** What an operator may ask for through the control process. */
import type { ActMessage } from "@meridian/ipc/control-messages"

/** Says what came of it; never rejects. */
export const carryOut = async ({ name }: ActMessage): Promise<{ readonly ok: boolean; readonly message: string }> =>
  name === "configure"
    ? { ok: false, message: "nothing was changed: edit ntp.conf and reload or restart the node" }
    : { ok: false, message: `this node does not know how to ${name}` }
