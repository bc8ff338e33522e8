/** `meridian config check FILE [--json]` and `meridian config reference`. Exit codes: 0 usable, 2 not. */
import { availableParallelism } from "node:os"
import { configCheckCommand } from "@meridian/config/command-lines"
import { formatDiagnostics } from "@meridian/config/diagnostic"
import { parseFlags, renderHelp } from "@meridian/config/flags"
import { checkReport, loadSettings } from "@meridian/config/load"
import { renderReferenceText } from "@meridian/config/reference"
import { describeOrigin, describeSettings } from "@meridian/config/rendering"
import { machineAddresses, readConfigurationFile } from "@meridian/system/configuration-files"

export const checkConfiguration = (args: readonly string[]): number => {
  const [verb, ...rest] = args
  if (verb === "reference") {
    process.stdout.write(renderReferenceText())
    return 0
  }
  if (verb !== "check") {
    process.stderr.write("meridian config: expected `meridian config check FILE` or `meridian config reference`\n")
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
    machine: { cores: availableParallelism(), interfaces: machineAddresses() }
  })
  const { usable, diagnostics, settings } = loaded
  if (parsed.value.values.json) {
    process.stdout.write(`${JSON.stringify({ file, ...checkReport(loaded) }, null, 2)}\n`)
    return usable ? 0 : 2
  }
  const colour = process.stderr.isTTY && process.env["NO_COLOR"] === undefined
  if (diagnostics.length > 0) process.stderr.write(`${formatDiagnostics(diagnostics, { colour })}\n`)
  for (const { directive, value, origin } of usable ? describeSettings(settings) : [])
    process.stdout.write(`${directive.padEnd(10)} ${(value ?? "(not set)").padEnd(30)} ${describeOrigin(origin)}\n`)
  if (!usable) process.stderr.write(`meridian: ${file} cannot be used\n`)
  return usable ? 0 : 2
}
