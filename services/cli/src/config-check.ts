/**
 * `meridian config check FILE [--user NAME] [--json]`, `config show` and `config reference`. Exit codes: 0 usable, 1 no node to be
 * shown, 2 not usable, 3 usable but for files that it names.
 */
import { configCheckCommand } from "@meridian/config/command-lines"
import { formatDiagnostics, type Location } from "@meridian/config/diagnostic"
import { defineFlags } from "@meridian/config/flags"
import type { Loaded, Settings, Origin } from "@meridian/config"
import { checkReport, loadSettings, describeOrigin, describeSettings, NTP_PORT } from "@meridian/config"
import { directivesWithOption, nearestDirective, renderReferenceText } from "@meridian/config/reference"
import { NoSuchIdentity, resolveIdentity } from "@meridian/system/identity"
import { checkNamedFiles, type FileRemark } from "./named-files.ts"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askNode, nodeFlags } from "./node-client.ts"
import { OperatorProblem, printJson, runCommand, runVerb } from "./run-command.ts"
import { lineWidth } from "./text-table.ts"
import { readConfigurationFile, thisMachine } from "@meridian/system/configuration-files"

export const configShowCommand = defineFlags({
  command: "meridian config show",
  meaning: "Shows the configuration in force in the running node, as an ntp.conf. Each line says where it is from.",
  flags: nodeFlags
})

interface ShownLine {
  readonly directive: string
  readonly value: string | null
  readonly origin: string
}

const showConfiguration = (args: readonly string[]): Promise<number> =>
  runCommand(configShowCommand, args, async ({ values: { state, json } }) => {
    const lines = await askNode<readonly ShownLine[]>(stateDirectoryOf(state), "/config")
    if (json) printJson(lines)
    else for (const line of lines) process.stdout.write(`${formatLine(line)}\n`)
  })

const formatLine = ({ directive, value, origin }: ShownLine): string =>
  `${(value === null ? `# ${directive} is not set` : `${directive} ${value}`).padEnd(48)}  # ${origin}`

export const configReferenceCommand = defineFlags({
  command: "meridian config reference",
  meaning: "Explains every directive of the configuration, or the one that is named.",
  flags: {},
  positional: {
    name: "NAME",
    meaning: "A directive, or its first words, such as server or nts cert.",
    least: 0,
    most: 32
  }
})

const asksForHelp = (args: readonly string[]): boolean => args.includes("--help") || args.includes("-h")

/** Options of directives begin with a dash, too, such as `-4`: all words are operands. */
const runReference = (args: readonly string[]): Promise<number> =>
  runCommand(configReferenceCommand, asksForHelp(args) ? args : ["--", ...args], ({ positionals }) =>
    showReference(positionals)
  )

const showReference = (words: readonly string[]): number => {
  const word = words.length === 0 ? undefined : words.join(" ")
  const text = renderReferenceText(word)
  if (text === undefined) {
    const near = nearestDirective(word ?? "")
    const having = directivesWithOption(word ?? "")
    const hint =
      having.length > 0
        ? `it is an option of ${having.join(", ")}`
        : near === undefined
          ? "without a name it shows all of them"
          : `did you mean ${near}?`
    process.stderr.write(`meridian config reference: no directive ${JSON.stringify(word)}; ${hint}\n`)
    return 2
  }
  process.stdout.write(text)
  return 0
}

const checkConfiguration = (args: readonly string[]): Promise<number> =>
  runCommand(configCheckCommand, args, ({ values: { user, json }, positionals: [file = ""] }) => {
    const loaded = loadSettings({ file, readFile: readConfigurationFile, overrides: { user }, machine: thisMachine() })
    const { usable, settings, positionOf } = loaded
    const remarks = usable ? namedFileRemarks(loaded) : []
    const isWhole = !remarks.some(({ unusable }) => unusable)
    const code = !usable ? 2 : isWhole ? 0 : 3
    const diagnostics = [...loaded.diagnostics, ...remarks].toSorted((a, b) => positionOf(a) - positionOf(b))
    if (json) {
      printJson({ file, ...checkReport({ ...loaded, diagnostics }), filesOk: isWhole })
      return code
    }
    const colour = process.stderr.isTTY && process.env["NO_COLOR"] === undefined
    if (diagnostics.length > 0) process.stderr.write(`${formatDiagnostics(diagnostics, { colour })}\n`)
    process.stdout.write(usable ? settingsTable(settings) : "")
    for (const note of usable ? notesOn(file, settings) : []) process.stderr.write(`note: ${note}\n`)
    if (code !== 0)
      process.stderr.write(
        `meridian: ${file} ${usable ? "can be used, but not all files that it names" : "cannot be used"}\n`
      )
    return code
  })

export const runConfig = (args: readonly string[]): Promise<number> =>
  runVerb(
    "meridian config",
    {
      check: checkConfiguration,
      // Not loaded where it is not asked for.
      convert: async (rest) => (await import("./config-convert.ts")).runConfigConvert(rest),
      reference: runReference,
      show: showConfiguration
    },
    args
  )

/** Remarks about the files that settings name. */
const namedFileRemarks = ({ settings, files }: Loaded): readonly FileRemark[] => {
  try {
    const user = settings.user.value
    return checkNamedFiles({
      settings,
      files,
      identity: user === undefined ? undefined : resolveIdentity(user),
      locate: locationOf,
      unixSeconds: Date.now() / 1000
    })
  } catch (error) {
    if (error instanceof NoSuchIdentity) throw new OperatorProblem(2, error.message)
    throw error
  }
}

/** A word of the line at an origin, its first one where it does not hold that. */
const locationOf = (origin: Origin, word: string): Location => {
  if (origin.kind !== "file") return { file: describeOrigin(origin), line: 1, column: 1, length: 1, lineText: "" }
  const { file, line, column } = origin
  const read = readConfigurationFile(file, undefined)
  const lines = read.ok && "bytes" in read ? new TextDecoder().decode(read.bytes).split(/\r?\n/) : []
  const lineText = lines[line - 1] ?? ""
  const at = lineText.indexOf(word)
  if (at >= 0) {
    const before = Array.from(lineText.slice(0, at)).length
    return { file, line, column: before + 1, length: Array.from(word).length, lineText }
  }
  return { file, line, column, length: 1, lineText }
}

const settingsTable = (settings: Settings): string => {
  const chosen = { statedir: `(${stateDirectoryOf(undefined)})` } as Readonly<Record<string, string>>
  const lines = describeSettings(settings)
  const width = Math.max(...lines.map(({ directive }) => directive.length))
  return lines
    .map(({ directive, value, origin }) => {
      const shown = (value ?? chosen[directive] ?? "(not set)").padEnd(30)
      return `${fittedLine(directive.padEnd(width), `${shown} ${describeOrigin(origin)}`)}\n`
    })
    .join("")
}

/** Where a terminal has no room for a line's origin beside what it says, it stands below. */
const fittedLine = (name: string, text: string): string => {
  const line = `${name} ${text}`
  const at = text.lastIndexOf(" ")
  return process.stdout.isTTY && line.length > lineWidth()
    ? `${name} ${text.slice(0, at).trimEnd()}\n${" ".repeat(name.length + 1)}${text.slice(at + 1)}`
    : line
}

const notesOn = (file: string, settings: Settings): readonly string[] => {
  const asked =
    settings.sources.length + settings.referenceClocks.filter(({ value }) => value.kind !== undefined).length
  return [
    ...(asked === 0 && settings.localReference.origin.kind === "default"
      ? [`${file} names no source: this machine's own clock is served, which nobody checks`]
      : []),
    ...(settings.port.origin.kind === "default" && settings.port.value !== NTP_PORT
      ? [`port ${settings.port.value}, since this user may not bind 123, which the file means; root may`]
      : [])
  ]
}
