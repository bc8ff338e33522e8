/** Reads the table of accounts from its file, which nobody but the daemon's user may read. */
import type { Stats } from "node:fs"
import { type AccountTable, parseAccountFile } from "@meridian/auth/account-keys"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { octal, shellQuoted } from "../socket-place.ts"

/** Half a million accounts. */
const LONGEST_FILE = 64 * 1024 * 1024
/** Problems of one file that are told one by one. */
const MOST_TOLD = 10

/** No table was read. The message is one line a problem; none quotes the file. */
export class KeyTableNotRead extends Error {
  readonly _tag = "KeyTableNotRead"
}

/**
 * The accounts of a file, all of them or none: a line that is wrong may be the half of a file that is being written.
 * @throws KeyTableNotRead
 */
export const readKeyTable = (file: string): AccountTable => {
  const bytes = readPrivately(file)
  const { accounts, problems } = parseAccountFile(bytes.toString("utf8"), file)
  bytes.fill(0)
  if (problems.length === 0) return accounts
  const more = problems.length > MOST_TOLD ? [`and ${problems.length - MOST_TOLD} more lines of ${file}`] : []
  throw new KeyTableNotRead([...problems.slice(0, MOST_TOLD), ...more].join("\n"))
}

const readPrivately = (file: string): Buffer => {
  const user = process.geteuid?.() ?? 0
  const refuse = ({ uid, mode }: Stats): string | undefined => {
    if (uid !== user) return `it belongs to user ${uid}; mend it: chown ${user} ${shellQuoted(file)}`
    if ((mode & 0o077) !== 0)
      return `others than its owner have rights to it (mode ${octal(mode)}), and it holds keys; mend it: chmod 0600 ${shellQuoted(file)}`
    return undefined
  }
  try {
    return readRegularFile(file, LONGEST_FILE, refuse)
  } catch (error) {
    if (error instanceof FileNotRead) throw new KeyTableNotRead(error.message)
    throw error
  }
}
