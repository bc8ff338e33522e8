/** From a file's path and the command line to settings: the one call that a composition root makes. */
import { isError, type Diagnostic } from "./diagnostic.ts"
import { parseConfiguration, type ReadFile } from "./parse.ts"
import { describeOrigin, describeSettings } from "./rendering.ts"
import { effectiveSettings, type Machine, type Overrides, type Settings } from "./settings.ts"

export interface LoadInput {
  /** The configuration file, or undefined to run without one. */
  readonly file: string | undefined
  readonly readFile: ReadFile
  readonly overrides: Overrides
  readonly machine: Machine
}

export interface Loaded {
  readonly settings: Settings
  /** No diagnostic is an error: the settings may be used. */
  readonly usable: boolean
  /** First what single lines have, in the order of the text; then what only shows when they are put together. */
  readonly diagnostics: readonly Diagnostic[]
  /** The files read, the first one first. */
  readonly files: readonly string[]
}

/** Reads the configuration and folds it with the flags. Never throws. */
export const loadSettings = ({ file, readFile, overrides, machine }: LoadInput): Loaded => {
  const parsed =
    file === undefined ? { statements: [], diagnostics: [], unread: [], files: [] } : parseConfiguration(file, readFile)
  const effective = effectiveSettings(parsed.statements, overrides, machine, parsed.unread)
  const diagnostics = [...parsed.diagnostics, ...effective.diagnostics]
  return { settings: effective.settings, usable: !diagnostics.some(isError), diagnostics, files: parsed.files }
}

/** What `config check --json` prints: plain data. */
export const checkReport = ({ settings, usable, diagnostics, files }: Loaded) => ({
  ok: usable,
  files,
  diagnostics: diagnostics.map(({ severity, file, line, column, message }) => ({
    severity,
    file,
    line,
    column,
    message
  })),
  settings: describeSettings(settings).map(({ directive, value, origin }) => ({
    directive,
    value: value ?? null,
    origin: describeOrigin(origin)
  }))
})
