/** Why the socket cannot be used by this process, in one line with the command that mends it. */
import { errnoWords } from "@meridian/system/errno-words"
import type { Stats } from "node:fs"
import { statSync } from "@meridian/system/files"
import { dirname } from "node:path"
import { readRegularFile } from "@meridian/system/regular-file"
import { octal, shellQuoted } from "../socket-place.ts"

/** Who this process is, as the kernel judges it. */
interface Asker {
  readonly user: number
  readonly groups: readonly number[]
}

const thisProcess = (): Asker => {
  const group = process.getegid?.() ?? 0
  return { user: process.geteuid?.() ?? 0, groups: [group, ...(process.getgroups?.() ?? [])] }
}

/**
 * @param path the socket's
 * @param errno the name of the error that connecting to it gave
 */
export const troubleWith = (path: string, errno: string, asker: Asker = thisProcess()): string => {
  if (errno === "EACCES" || errno === "EPERM") return deniedAt(path, asker)
  if (errno === "ENOENT" || errno === "ENOTDIR") return missingAt(path)
  if (errno === "ECONNREFUSED")
    return `nobody listens on ${path}; start Samba (\`systemctl start samba-ad-dc\`) or \`meridian signd\``
  if (errno === "ENOTSOCK" || errno === "EPROTOTYPE")
    return `${path} is no stream socket; let ntpsigndsocket name the directory of Samba's \`ntp signd socket directory\``
  return `${path} cannot be connected to: ${errnoWords(errno)}`
}

const foldersTo = (path: string): readonly string[] => {
  const parent = dirname(path)
  return parent === path ? [path] : [...foldersTo(parent), path]
}

const lookThrough = (path: string): Stats | undefined => {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

const missingAt = (path: string): string => {
  const missing = foldersTo(path).find((part) => lookThrough(part) === undefined) ?? path
  return missing === path
    ? `${path} is not there; start Samba with ntp_signd among its \`server services\`, or \`meridian signd\``
    : `${missing} is not there; let ntpsigndsocket name what \`testparm -s --parameter-name='ntp signd socket directory'\` prints`
}

const ENTER = 1
const WRITE = 2

const deniedAt = (path: string, asker: Asker): string => {
  const group = nameOf("/etc/group", asker.groups[0] ?? 0)
  const who = `user ${nameOf("/etc/passwd", asker.user)}, group ${group}`
  for (const part of foldersTo(path)) {
    const found = lookThrough(part)
    if (found === undefined) break
    const isSocket = part === path
    if (may(found, asker, isSocket ? WRITE : ENTER)) continue
    const state = `mode ${octal(found.mode)}, user ${nameOf("/etc/passwd", found.uid)}, group ${nameOf("/etc/group", found.gid)}`
    const place = shellQuoted(part)
    return isSocket
      ? `${who} may not write to ${part} (${state}); mend it: give \`meridian signd\` group = ${group}, or for Samba: chmod 0777 ${place}`
      : `${who} may not enter ${part} (${state}); mend it: chgrp ${group} ${place} && chmod 0750 ${place}`
  }
  return `${who} may not connect to ${path}, though its mode allows it; see AppArmor's or SELinux's log (\`journalctl -k -g DENIED\`)`
}

/** What the mode's bits say; root's own rights are left out, since whoever is root was not denied. */
const may = ({ mode, uid, gid }: Stats, { user, groups }: Asker, right: number): boolean => {
  const bits = uid === user ? mode >> 6 : groups.includes(gid) ? mode >> 3 : mode
  return (bits & right) !== 0
}

const LONGEST_FILE = 16 * 1024 * 1024

/** Of a user or group, by the system's own file: a name service over the network might have this process wait. */
const nameOf = (file: string, number: number): string => {
  try {
    const line = readRegularFile(file, LONGEST_FILE)
      .toString("utf8")
      .split("\n")
      .find((one) => one.split(":")[2] === String(number))
    return line?.split(":", 1)[0] ?? String(number)
  } catch {
    return String(number)
  }
}
