/** Hosts of Autokey for a test, with key files that `ntp-keygen` makes. */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync } from "node:fs"
import { resolve } from "node:path"
import type { Stage } from "./stage.ts"

export const KEYGEN = resolve(import.meta.dirname, "../../cli/bin/ntp-keygen.mjs")

/** The lines of a configuration that give a host's name and keys. @param flags of `ntp-keygen`: -T for a trusted host */
export const autokeyHost = (stage: Stage, name: string, ...flags: readonly string[]): readonly string[] => {
  const folder = stage.folder.file(`${name}-keys`)
  mkdirSync(folder)
  const args = [KEYGEN, "-m", "1024", ...flags, "-p", `${name}pw`, "-s", name]
  execFileSync(process.execPath, args, { cwd: folder, stdio: "ignore" })
  return [`keysdir ${folder}`, `crypto host ${name} pw ${name}pw`]
}

/** Of leap-seconds.list; the reference passes on none whose hash is absent or wrong. */
const leapLines = ["#$\t3676924800", "#@\t4291747200", "3644697600\t36", "3692217600\t37"]
const leapHash = createHash("sha1").update(leapLines.join("").replaceAll(/\D/g, "")).digest("hex")
export const LEAP_TABLE = [...leapLines, `#h\t${leapHash.match(/.{8}/g)?.join(" ") ?? ""}`, ""].join("\n")
