/** `meridian config check FILE [--json]`, `config show` and `config reference`. Exit codes: 0 usable, 1 no node to be shown, 2 not usable. */
import { configCheckCommand } from "@meridian/config/command-lines"
import { formatDiagnostics } from "@meridian/config/diagnostic"
import { defineFlags, parseFlags, renderHelp } from "@meridian/config/flags"
import { checkReport, loadSettings } from "@meridian/config/load"
import { renderReferenceText } from "@meridian/config/reference"
import { describeOrigin, describeSettings } from "@meridian/config/rendering"
import { askNode, nodeFlags, stateDirectoryOf } from "./sources-command.ts"
import { NodeUnreachable } from "./status.ts"
import { readConfigurationFile, thisMachine } from "@meridian/system/configuration-files"

export const configShowCommand = defineFlags({
  command: "meridian config show",
  meaning: "Shows the settings that the running node runs by, each with its origin; it is an ntp.conf.",
  flags: nodeFlags
})

interface ShownLine {
  readonly directive: string
  readonly value: string | null
  readonly origin: string
}

const showConfiguration = async (programRoot: string, args: readonly string[]): Promise<number> => {
  const parsed = parseFlags(configShowCommand, args)
  if (!parsed.ok) {
    process.stderr.write(`meridian config show: ${parsed.error.message}\n`)
    return 2
  }
  if (parsed.value.help) {
    process.stdout.write(renderHelp(configShowCommand))
    return 0
  }
  const { state, json } = parsed.value.values
  const lines = await askNode<readonly ShownLine[]>(stateDirectoryOf(state, programRoot), "/config")
  if (lines instanceof NodeUnreachable) {
    process.stderr.write(`meridian config show: ${lines.message}\n`)
    return 1
  }
  if (json) process.stdout.write(`${JSON.stringify(lines, null, 2)}\n`)
  else for (const line of lines) process.stdout.write(`${formatLine(line)}\n`)
  return 0
}

const formatLine = ({ directive, value, origin }: ShownLine): string =>
  `${(value === null ? `# ${directive} is not set` : `${directive} ${value}`).padEnd(48)}  # ${origin}`

export const checkConfiguration = async (programRoot: string, args: readonly string[]): Promise<number> => {
  const [verb, ...rest] = args
  if (verb === "reference") {
    process.stdout.write(renderReferenceText())
    return 0
  }
  if (verb === "show") return showConfiguration(programRoot, rest)
  if (verb !== "check") {
    process.stderr.write("meridian config: expected `meridian config check FILE`, `show` or `reference`\n")
    return 2
  }
  const parsed = parseFlags(configCheckCommand, rest)
  if (!parsed.ok) {
    process.stderr.write(`meridian config check: ${parsed.error.message}\n`)
    return 2
  }
  if (parsed.value.help) {
    process.stdout.write(renderHelp(configCheckCommand))
    return 0
  }
  const file = parsed.value.positionals[0] ?? ""
  const loaded = loadSettings({
    file,
    readFile: readConfigurationFile,
    overrides: {},
    machine: thisMachine()
  })
  const { usable, diagnostics, settings } = loaded
  if (parsed.value.values.json) {
    process.stdout.write(`${JSON.stringify({ file, ...checkReport(loaded) }, null, 2)}\n`)
    return usable ? 0 : 2
  }
  const colour = process.stderr.isTTY && process.env["NO_COLOR"] === undefined
  if (diagnostics.length > 0) process.stderr.write(`${formatDiagnostics(diagnostics, { colour })}\n`)
  const lines = usable ? describeSettings(settings) : []
  const width = Math.max(0, ...lines.map(({ directive }) => directive.length))
  for (const { directive, value, origin } of lines)
    process.stdout.write(`${directive.padEnd(width)} ${(value ?? "(not set)").padEnd(30)} ${describeOrigin(origin)}\n`)
  if (
    lines.some(
      ({ directive, value, origin }) => directive === "server" && value === "127.127.1.0" && origin.kind === "default"
    )
  )
    process.stderr.write(`note: ${file} names no source: this machine's own clock is served, which nobody checks\n`)
  if (!usable) process.stderr.write(`meridian: ${file} cannot be used\n`)
  return usable ? 0 : 2
}
