/**
 * `ntpkeygen`, as NTPsec's page ntpkeygen(8) has it: writes twenty AES keys into `ntpkey_AES_HOST.FILESTAMP`, which only
 * its owner may read, and points the soft link `ntp.keys` at it. Exit codes: 0 done, 1 not done or a wrong flag.
 *
 * Where the original removes whatever is called `ntp.keys`, this replaces only a link: a file of that name holds keys that
 * somebody wrote.
 */
import { randomFillSync } from "node:crypto"
import { hostname } from "node:os"
import { parseArgs } from "node:util"
import { generateKeyFile } from "@meridian/auth/keygen"
import { NTP_UNIX_OFFSET_SECONDS } from "@meridian/time/timestamp"
import manifest from "../package.json" with { type: "json" }
import { asctime } from "./asctime.ts"
import { KeyDirectory, KeyFileTrouble } from "./key-directory.ts"

const USAGE = `Usage: ntpkeygen [-h] [-V] [--directory DIR]

Makes a file of twenty random AES-128 keys for ntp.keys(5), ten as text and ten
as hexadecimal, named ntpkey_AES_HOST.FILESTAMP, and the soft link ntp.keys to it.

  --directory DIR  Where to write them. Default: the working directory.
  -h, --help       Shows this.
  -V, --version    Shows the version.
`

/** What holds secrets of this machine alone. */
const KEY_FILE_MODE = 0o400

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
 * link there is no file either. Throws KeyFileTrouble.
 */
export const writeKeyFile = (directory: string, host: string, now: Date): WrittenKeyFile => {
  // The name goes into a path and into a comment of the file.
  if (!/^[A-Za-z0-9_.-]+$/.test(host))
    throw new KeyFileTrouble(`this machine's name is ${JSON.stringify(host)}, expected letters, digits, '.', '-', '_'`)
  const filestamp = Math.floor(now.getTime() / 1000) + NTP_UNIX_OFFSET_SECONDS
  const { name, link, text } = generateKeyFile({ host, filestamp, date: asctime(now), fillRandom: randomFillSync })
  new KeyDirectory(directory, KEY_FILE_MODE).write(name, text, [link])
  return { name, link }
}
