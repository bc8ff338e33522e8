/** Hosts of Autokey for a test, with key files that `ntp-keygen` makes. */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import type { Stage } from "./stage.ts"

export const KEYGEN = resolve(import.meta.dirname, "../../cli/bin/ntp-keygen.mjs")

/** Runs `ntp-keygen` in a directory, with moduli of 1024 bits. What it writes to its standard output. */
export const keygen = (folder: string, ...args: readonly string[]): string =>
  execFileSync(process.execPath, [KEYGEN, "-m", "1024", ...args], { cwd: folder, encoding: "utf8", stdio: "pipe" })

/** The lines of a configuration that give a host's name and keys. @param flags of `ntp-keygen`: -T for a trusted host */
export const autokeyHost = (stage: Stage, name: string, ...flags: readonly string[]): readonly string[] => {
  const folder = stage.folder.file(`${name}-keys`)
  mkdirSync(folder)
  keygen(folder, ...flags, "-p", `${name}pw`, "-s", name)
  return [`keysdir ${folder}`, `crypto host ${name} pw ${name}pw`]
}

/** The lines that write cryptostats, and the file they write. */
export const cryptostats = (stage: Stage, name: string) => {
  const folder = stage.folder.file(`${name}-statistics/`)
  mkdirSync(folder)
  const lines = [
    `statsdir ${folder}`,
    "statistics cryptostats",
    "filegen cryptostats file cryptostats type none enable"
  ]
  return { lines, file: `${folder}cryptostats` }
}

/** The table of leap seconds in a file. */
export const leapTable = (stage: Stage): string => {
  const path = stage.folder.file("leap-seconds.list")
  writeFileSync(path, LEAP_TABLE)
  return path
}

/** The lines of a server that has its own clock: a node serves it at stratum 5, classic ntpd at 6. */
export const ownClock = (stage: Stage): readonly string[] => [
  "server 127.127.1.0 prefer minpoll 3 maxpoll 3",
  "fudge 127.127.1.0 stratum 5",
  `leapfile ${leapTable(stage)}`
]

/** Of an association that did every step: certificate, its trail, identity, cookie, list, signature, table of leap seconds. */
export const COMPLETE = 0x7f01

/** The status word that ntpq shows of an association; 0 before there is one. */
export const flagsIn = (text: string): number => Number.parseInt(/flags=0x([0-9a-f]+)/.exec(text)?.[1] ?? "0", 16)

/** Whether a status word has all the flags of another. */
export const hasFlags = (flags: number, needed: number): boolean => (flags & needed) === needed

/** Of leap-seconds.list; the reference passes on none whose hash is absent or wrong. */
const leapLines = ["#$\t3676924800", "#@\t4291747200", "3644697600\t36", "3692217600\t37"]
const leapHash = createHash("sha1").update(leapLines.join("").replaceAll(/\D/g, "")).digest("hex")
export const LEAP_TABLE = [...leapLines, `#h\t${leapHash.match(/.{8}/g)?.join(" ") ?? ""}`, ""].join("\n")
