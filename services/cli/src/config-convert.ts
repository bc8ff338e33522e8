/**
 * `meridian config convert FILE [--from chrony|ntpd-rs] [--json]`: chrony.conf, or ntpd-rs's ntp.toml, as an ntp.conf on standard output.
 * What is not carried over is said on standard error. Exit codes: 0 carried over whole, 1 not readable, 2 wrong flag, 3 but for some lines.
 */
import { readdirSync } from "@meridian/system/files"
import { join } from "node:path"
import { type Conversion, convertChrony, convertNtpdRs, type Files } from "@meridian/config/convert"
import { defineFlags, switchFlag, valueFlag } from "@meridian/config/flags"
import { loadSettings } from "@meridian/config"
import { oneOf } from "@meridian/config/value-types"
import { readConfigurationFile, thisMachine } from "@meridian/system/configuration-files"
import { reasonOf } from "@meridian/system/errno-words"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { OperatorProblem, printJson, runCommand } from "./run-command.ts"

export const configConvertCommand = defineFlags({
  command: "meridian config convert",
  meaning:
    "Converts chrony.conf and the files that it includes, or ntp.toml of ntpd-rs, to an ntp.conf with the same behaviour, on standard output. Lines without a counterpart are reported and kept as comments.",
  flags: {
    from: valueFlag(
      oneOf("chrony", "ntpd-rs"),
      "The program whose file it is. Default: ntpd-rs if the name ends in .toml, else chrony."
    ),
    json: switchFlag("Prints JSON.")
  },
  positional: { name: "FILE", meaning: "File to convert.", least: 1, most: 1 }
})

const LONGEST_FILE = 16 * 1024 * 1024

const files: Files = {
  read: (path) => {
    try {
      return { text: readRegularFile(path, LONGEST_FILE).toString("utf8") }
    } catch (error) {
      return { why: error instanceof FileNotRead ? error.why : reasonOf(error) }
    }
  },
  list: (directory, suffix) => {
    try {
      return readdirSync(directory)
        .filter((name) => name.endsWith(suffix))
        .toSorted()
        .map((name) => join(directory, name))
    } catch {
      return []
    }
  }
}

const convert = async (file: string, text: string, from: "chrony" | "ntpd-rs"): Promise<Conversion> => {
  if (from === "chrony") return convertChrony(file, files)
  const { parse } = await import("smol-toml")
  try {
    return convertNtpdRs(file, text, parse(text))
  } catch (error) {
    throw new OperatorProblem(1, `${file} is not TOML: ${(error as Error).message.split("\n", 1)[0] ?? ""}`)
  }
}

/** Lines that this program does not take after all, as comments: whoever wrote them had another's rules. */
const checked = ({ lines, remarks }: Conversion): Conversion => {
  const { diagnostics } = loadSettings({
    file: "ntp.conf",
    readFile: (path, from) =>
      from === undefined ? { ok: true, bytes: Buffer.from(lines.join("\n")) } : readConfigurationFile(path, from),
    overrides: {},
    machine: thisMachine()
  })
  const refused = new Map(
    diagnostics.filter(({ file, severity }) => file === "ntp.conf" && severity === "error").map((it) => [it.line, it])
  )
  return {
    lines: lines.map((text, at) => (refused.has(at + 1) ? `# ${text}: ${refused.get(at + 1)?.message ?? ""}` : text)),
    remarks: [
      ...remarks,
      ...[...refused.values()].map(({ line, message }) => ({
        file: "ntp.conf",
        line,
        text: lines[line - 1] ?? "",
        why: message
      }))
    ]
  }
}

export const runConfigConvert = (args: readonly string[]): Promise<number> =>
  runCommand(configConvertCommand, args, async ({ values, positionals: [file = ""] }) => {
    const { from = file.endsWith(".toml") ? "ntpd-rs" : "chrony", json } = values
    const read = files.read(file)
    if ("why" in read) throw new OperatorProblem(1, `${file}: ${read.why}`)
    const { lines, remarks } = checked(await convert(file, read.text, from))
    const code = remarks.length === 0 ? 0 : 3
    if (json) {
      printJson({ file, from, lines, remarks })
      return code
    }
    process.stdout.write(
      `# Converted from ${file} of ${from === "chrony" ? "chrony" : "ntpd-rs"}.\n${lines.join("\n")}\n`
    )
    for (const { file: where, line, text, why } of remarks)
      process.stderr.write(`${where}:${line}: not carried over: ${text.trim()}\n    ${why}\n`)
    if (remarks.length > 0) process.stderr.write(`meridian: ${remarks.length} of its settings are not carried over\n`)
    return code
  })
