/**
 * `meridian init [PURPOSE] [--out FILE]`: a configuration to start from, for what the node is to be. Asks where it is not
 * told and a terminal is there. Exit codes: 0 written or shown, 1 it could not be written, 2 wrong flag or purpose.
 */
import { existsSync, writeFileSync } from "@meridian/system/files"
import { join } from "node:path"
import { createInterface } from "node:readline/promises"
import { defineFlags, switchFlag, valueFlag } from "@meridian/config/flags"
import { path } from "@meridian/config/value-types"
import { reasonOf } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { readRegularFile } from "@meridian/system/regular-file"
import { programRoot } from "./coordinator-client.ts"
import { OperatorProblem, runCommand } from "./run-command.ts"

const purposes = {
  client: "a machine that wants the right time and answers nobody else",
  "lan-server": "time for a local network",
  "pool-member": "a server of the NTP Pool",
  "nts-server": "time with NTS, with a certificate of Let's Encrypt",
  "stratum-1": "a GPS receiver by gpsd, with pulses",
  "samba-dc": "a domain controller of Samba's",
  "anycast-fleet": "one node of a fleet behind an anycast address"
} as const
type Purpose = keyof typeof purposes

const list = (): string =>
  Object.entries(purposes)
    .map(([name, meaning]) => `  ${name.padEnd(14)}  ${meaning}\n`)
    .join("")

export const initCommand = defineFlags({
  command: "meridian init",
  meaning: `Writes a configuration to start from. PURPOSE is one of ${Object.keys(purposes).join(", ")}; without it the command asks.`,
  flags: {
    out: valueFlag(path("FILE"), "File to write; it is never overwritten. Default: standard output."),
    list: switchFlag("Lists the purposes.")
  },
  positional: { name: "PURPOSE", meaning: "Purpose of the node.", least: 0, most: 1 }
})

const LONGEST_STARTER = 1024 * 1024

/** In a checkout the starters lie with the packaging, in a package below share. */
const starter = (purpose: Purpose): string => {
  const places = [
    join(programRoot, "infra/packaging/starters"),
    join(programRoot, "share/starters"),
    "/usr/share/doc/meridian-time/examples"
  ]
  const folder = places.find((place) => existsSync(join(place, `${purpose}.conf`))) ?? (places[0] as string)
  return readRegularFile(join(folder, `${purpose}.conf`), LONGEST_STARTER).toString("utf8")
}

const isPurpose = (word: string): word is Purpose => Object.hasOwn(purposes, word)

const askPurpose = async (): Promise<string> => {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  process.stderr.write(`What is this node to be?\n${list()}`)
  const answer = await terminal.question("> ")
  terminal.close()
  return answer.trim()
}

export const runInit = (args: readonly string[]): Promise<number> =>
  runCommand(initCommand, args, async ({ values, positionals }) => {
    if (values.list) return void process.stdout.write(list())
    const word = positionals[0] ?? (process.stdin.isTTY === true ? await askPurpose() : "")
    if (!isPurpose(word)) {
      const found = word === "" ? "found none" : `found ${JSON.stringify(word)}`
      process.stderr.write(`meridian init: ${found}, expected a purpose:\n${list()}`)
      return 2
    }
    const text = starter(word)
    if (values.out === undefined) return void process.stdout.write(text)
    try {
      writeFileSync(values.out, text, { flag: "wx", mode: 0o644 })
    } catch (error) {
      throw new OperatorProblem(
        1,
        errnoName(error) === "EEXIST"
          ? `${values.out} is there already and was left alone; name another file`
          : `${values.out} cannot be written: ${reasonOf(error)}`
      )
    }
    process.stdout.write(`${values.out} is written. Next: meridian config check ${values.out}\n`)
  })
