/**
 * `meridian signd`: a signing daemon for NTP servers on this machine that serve Windows clients, in place of Samba's ntp_signd.
 *
 * SIGHUP reads the key table anew, SIGUSR1 prints the counters, SIGTERM and SIGINT end it. Exit codes: 0 ended, 1 it could not
 * be done, 2 the command line or the configuration is wrong.
 */
import { rmSync } from "@meridian/system/files"
import type { AccountTable } from "@meridian/auth/account-keys"
import { installedDigests } from "@meridian/ciphers/digests-native"
import { signdCommand } from "@meridian/config/command-lines"
import { formatDiagnostics } from "@meridian/config/diagnostic"
import { renderHelp } from "@meridian/config/flags"
import { parseFlags } from "@meridian/system/command-line"
import { readSigndFile, type SigndWord } from "@meridian/config/signd-settings"
import { forbidCoreDumps } from "@meridian/system/memory"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { BadSocketPlace } from "../socket-place.ts"
import { KeyTableNotRead, readKeyTable } from "./key-table.ts"
import { type OpenedSocket, openSocket } from "./listen.ts"
import { SigndServer } from "./server.ts"
import { Signer } from "./signer.ts"

const LONGEST_CONFIGURATION = 1024 * 1024

const say = (message: string): void => {
  for (const line of message.split("\n")) process.stderr.write(`meridian signd: ${line}\n`)
}
const fail = (message: string, status: 1 | 2): never => {
  say(message)
  process.exit(status)
}

interface Settings {
  readonly socket: string
  readonly keys: string
  readonly group: string | undefined
}

const readFile = (file: string): Readonly<Partial<Record<SigndWord, string>>> => {
  try {
    const { values, diagnostics } = readSigndFile(file, readRegularFile(file, LONGEST_CONFIGURATION))
    if (diagnostics.length === 0) return values
    process.stderr.write(`${formatDiagnostics(diagnostics)}\n`)
    return fail(`${file} cannot be used`, 2)
  } catch (error) {
    if (error instanceof FileNotRead) return fail(error.message, 2)
    throw error
  }
}

const readSettings = (args: readonly string[]): Settings => {
  const parsed = parseFlags(signdCommand, args)
  if (!parsed.ok) return fail(parsed.error.message, 2)
  if (parsed.value.help) {
    process.stdout.write(renderHelp(signdCommand))
    process.exit(0)
  }
  const flags = parsed.value.values
  const file = flags.config === undefined ? {} : readFile(flags.config)
  const socket = flags.socket ?? file.ntpsigndsocket
  const keys = flags.keys ?? file.keys
  if (socket === undefined)
    return fail("no socket is named; give --socket PATH, or ntpsigndsocket = PATH in the file", 2)
  if (keys === undefined) return fail("no key table is named; give --keys FILE, or keys = FILE in the file", 2)
  return { socket, keys, group: flags.group ?? file.group }
}

const settings = readSettings(process.argv.slice(2))
// The table of keys is in its memory from here on.
forbidCoreDumps()

const readTable = (): AccountTable => {
  try {
    return readKeyTable(settings.keys)
  } catch (error) {
    if (error instanceof KeyTableNotRead)
      return fail(`${error.message}\nthe key table ${settings.keys} cannot be used`, 1)
    throw error
  }
}

const open = async (): Promise<OpenedSocket> => {
  try {
    return await openSocket(settings.socket, settings.group)
  } catch (error) {
    if (error instanceof BadSocketPlace) return fail(error.message, 1)
    throw error
  }
}

const accountsText = (table: AccountTable): string => `${table.size} account${table.size === 1 ? "" : "s"}`

const signer = new Signer(readTable(), installedDigests())
const signd = new SigndServer(signer)

// Before anybody can see that it is there: without these a reload ends the process, and SIGUSR1 opens Node's debugger.
process.on("SIGHUP", () => {
  try {
    signer.accounts = readKeyTable(settings.keys)
    say(`the key table was read: ${accountsText(signer.accounts)}`)
  } catch (error) {
    if (!(error instanceof KeyTableNotRead)) throw error
    say(`${error.message}\nthe keys that were there stay in use`)
  }
})
const counters = (): void => void process.stderr.write(`${JSON.stringify(signd.counters)}\n`)
process.on("SIGUSR1", counters)

const { path, server } = await open()
const end = (): void => {
  counters()
  signd.close()
  server.close()
  // In a directory that is root's, a user's daemon leaves it to the next one to take over.
  try {
    rmSync(path, { force: true })
  } catch {}
  process.exit(0)
}
process.on("SIGTERM", end)
process.on("SIGINT", end)

signd.serve(server)
server.on("error", (error) => fail(`the socket failed: ${error.message}`, 1))
const whoMayAsk =
  settings.group === undefined ? "nobody but this user and root may ask" : `group ${settings.group} may ask`
say(`signs for ${accountsText(signer.accounts)} on ${path}; ${whoMayAsk}`)
