/**
 * `ntpkeygen`, as NTPsec's page ntpkeygen(8) has it: writes twenty AES keys into `ntpkey_AES_HOST.FILESTAMP`, which only
 * its owner may read, and points the soft link `ntp.keys` at it. Exit codes: 0 done, 1 not done or a wrong flag.
 *
 * Where the original removes whatever is called `ntp.keys`, this replaces only a link: a file of that name holds keys that
 * somebody wrote.
 */
import { randomFillSync } from "node:crypto"
import {
  closeSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { generateKeyFile } from "@meridian/auth/keygen"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import manifest from "../package.json" with { type: "json" }
import { asctime } from "./asctime.ts"

const USAGE = `Usage: ntpkeygen [-h] [-V] [--directory DIR]

Makes a file of twenty random AES-128 keys for ntp.keys(5), ten as text and ten as hexadecimal,
named ntpkey_AES_HOST.FILESTAMP, and the soft link ntp.keys to it.

  --directory DIR  Where to write them. Default: the working directory.
  -h, --help       Shows this.
  -V, --version    Shows the version.
`

/** 1900-01-01 to 1970-01-01. */
const NTP_EPOCH_BEFORE_UNIX_SECONDS = 2_208_988_800

/** Nothing was made; the message is one line for a person. */
export class KeyFileNotWritten extends Error {
  readonly _tag = "KeyFileNotWritten"
}

interface WrittenKeyFile {
  readonly name: string
  readonly link: string
}

/** Runs the command: output on standard output and error, the exit code as its result. */
export const ntpkeygen = (args: readonly string[]): 0 | 1 => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "V" },
        directory: { type: "string" }
      }
    })
    if (values.help) process.stdout.write(USAGE)
    else if (values.version) process.stdout.write(`ntpkeygen ${manifest.version}\n`)
    else {
      const { name, link } = writeKeyFile(values.directory ?? ".", hostname(), new Date())
      process.stderr.write(`${link} -> ${name}\n`)
    }
    return 0
  } catch (error) {
    process.stderr.write(`ntpkeygen: ${(error as Error).message.split("\n", 1)[0]}\n`)
    return 1
  }
}

/**
 * Makes the file and the link in `directory`. The file appears whole or not at all and never replaces another; without the
 * link there is no file either. Throws KeyFileNotWritten.
 */
export const writeKeyFile = (directory: string, host: string, now: Date): WrittenKeyFile => {
  // The name goes into a path and into a comment of the file.
  if (!/^[A-Za-z0-9_.-]+$/.test(host))
    throw new KeyFileNotWritten(
      `this machine's name is ${JSON.stringify(host)}, expected letters, digits, '.', '-', '_'`
    )
  const filestamp = Math.floor(now.getTime() / 1000) + NTP_EPOCH_BEFORE_UNIX_SECONDS
  const { name, link, text } = generateKeyFile({ host, filestamp, date: asctime(now), fillRandom: randomFillSync })
  const file = join(directory, name)
  const linkPath = join(directory, link)
  attempt(linkPath, () => {
    const found = lstatSync(linkPath, { throwIfNoEntry: false })
    if (found !== undefined && !found.isSymbolicLink())
      throw new KeyFileNotWritten(`${linkPath} is there and no soft link; move it away first, it may hold keys in use`)
  })
  attempt(file, () => placeFile(file, text))
  try {
    attempt(linkPath, () => placeLink(linkPath, name))
  } catch (error) {
    rmSync(file, { force: true })
    throw error
  }
  return { name, link }
}

/** Written under a passing name, then linked to the proper one: link(2) refuses where rename(2) would replace. */
const placeFile = (file: string, text: string): void => {
  const passing = `${file}.${process.pid}`
  const descriptor = openSync(passing, "wx", 0o400)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
    linkSync(passing, file)
  } finally {
    closeSync(descriptor)
    rmSync(passing, { force: true })
  }
}

/** A link cannot be changed in place; renaming a new one over it leaves no moment without. */
const placeLink = (path: string, target: string): void => {
  const passing = `${path}.${process.pid}`
  symlinkSync(target, passing)
  try {
    renameSync(passing, path)
  } catch (error) {
    rmSync(passing, { force: true })
    throw error
  }
}

const attempt = (path: string, action: () => void): void => {
  try {
    action()
  } catch (error) {
    if (error instanceof KeyFileNotWritten) throw error
    const again = errnoName(error) === "EEXIST" ? "; wait a second and try again" : ""
    throw new KeyFileNotWritten(`cannot write ${path}: ${reasonOf(error)}${again}`)
  }
}
