/** Giving up root: only the supervisor needs it, and only until the sockets are open. */
import { execFileSync } from "node:child_process"
import { chownSync, readdirSync } from "node:fs"
import { join } from "node:path"

export interface Identity {
  /** As given, for messages. */
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** The user or group cannot be had: unknown, or this process may not become it. */
export class NoSuchIdentity {
  readonly _tag = "NoSuchIdentity"
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

const numberOf = (database: "passwd" | "group", name: string, field: number): number | undefined => {
  try {
    const line = execFileSync("getent", [database, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    const number = Number(line.trim().split(":")[field])
    return Number.isInteger(number) ? number : undefined
  } catch {
    return undefined
  }
}

/**
 * The ids of `NAME` or `NAME:GROUP`, by the system's own databases.
 * @throws NoSuchIdentity
 */
export const resolveIdentity = (text: string): Identity => {
  const [name = "", group] = text.split(":")
  const uid = numberOf("passwd", name, 2)
  const gid = group === undefined ? numberOf("passwd", name, 3) : numberOf("group", group, 2)
  if (uid === undefined)
    throw new NoSuchIdentity(`no user ${name} on this system; create it or give another --user NAME`)
  if (gid === undefined)
    throw new NoSuchIdentity(`no group ${group} on this system; create it or give another --user NAME:GROUP`)
  return { name: text, uid, gid }
}

/** Hands the state directory to the identity and becomes it, for good. */
export const dropPrivilege = (identity: Identity, stateDirectory: string): void => {
  chownSync(stateDirectory, identity.uid, identity.gid)
  for (const entry of readdirSync(stateDirectory)) chownSync(join(stateDirectory, entry), identity.uid, identity.gid)
  process.setgroups?.([identity.gid])
  process.setgid?.(identity.gid)
  process.setuid?.(identity.uid)
}
