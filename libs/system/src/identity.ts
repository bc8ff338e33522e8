/** Users and groups of this system, by name. */
import { execFileSync } from "node:child_process"

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

const fieldOf = (database: "passwd" | "group", key: string, field: number): string | undefined => {
  try {
    const line = execFileSync("getent", [database, key], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    return line.trim().split(":")[field]
  } catch {
    return undefined
  }
}

const numberOf = (database: "passwd" | "group", name: string, field: number): number | undefined => {
  const number = Number(fieldOf(database, name, field) ?? Number.NaN)
  return Number.isInteger(number) ? number : undefined
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

/** The names of a user and a group; their numbers where they have none. */
export const ownerNames = (uid: number, gid: number): { readonly user: string; readonly group: string } => ({
  user: fieldOf("passwd", String(uid), 0) ?? String(uid),
  group: fieldOf("group", String(gid), 0) ?? String(gid)
})
