/** From a file's path and the command line to settings: the one call that a composition root makes. */
import { amend, type Amendment } from "./amendment.ts"
import { isError, type Diagnostic } from "./diagnostic.ts"
import { type Configuration, parseConfiguration, type ReadFile } from "./parse.ts"
import { describeOrigin, describeSettings } from "./rendering.ts"
import { DEFAULT_PORT, effectiveSettings, NTP_PORT, type Machine, type Overrides, type Settings } from "./settings.ts"
import type { Statement } from "./statement.ts"

export interface LoadInput {
  /** The configuration file, or undefined to run without one. */
  readonly file: string | undefined
  readonly readFile: ReadFile
  readonly overrides: Overrides
  readonly machine: Machine
}

/** What the file was read as before, and what was said to the running node since. */
interface AmendedInput extends Omit<LoadInput, "readFile"> {
  readonly read: Configuration
  readonly said: readonly Amendment[]
}

export interface Loaded {
  readonly settings: Settings
  /** No diagnostic is an error: the settings may be used. */
  readonly usable: boolean
  /** In the order of the text; of one line first what it has by itself, then what only shows beside other lines. */
  readonly diagnostics: readonly Diagnostic[]
  /** The files read, the first one first. */
  readonly files: readonly string[]
  /** Files that lines include and that are not there. */
  readonly missing: readonly string[]
  /** What they were read as, without what flags and defaults add. */
  readonly read: Configuration
  /** Where a line stands in the text as a whole, included files in place of their line; -1 for what is no line. */
  readonly positionOf: (location: { readonly file: string; readonly line: number }) => number
}

const NOTHING: Configuration = {
  statements: [],
  diagnostics: [],
  unread: [],
  files: [],
  missing: [],
  failed: new Set(),
  positionOf: () => -1
}

/** Reads the configuration and folds it with the flags. Never throws. */
export const loadSettings = ({ readFile, ...input }: LoadInput): Loaded =>
  loadAmended({
    ...input,
    read: input.file === undefined ? NOTHING : parseConfiguration(input.file, readFile),
    said: []
  })

/** Folds what was read, what was said since, and the flags. Never throws. */
export const loadAmended = ({ file, overrides, machine, read, said }: AmendedInput): Loaded => {
  const statements = said.reduce(
    (before: readonly Statement[], amendment) => amend(before, amendment.statements),
    read.statements
  )
  const port = file !== undefined && machine.ntpPort === true ? NTP_PORT : DEFAULT_PORT
  const effective = effectiveSettings(statements, overrides, machine, read.unread, port)
  const together = effective.diagnostics.filter(({ lacks }) => lacks === undefined || !read.failed.has(lacks))
  const diagnostics = [...read.diagnostics, ...together].toSorted((a, b) => read.positionOf(a) - read.positionOf(b))
  const { files, missing, positionOf } = read
  const usable = !diagnostics.some(isError)
  return { settings: effective.settings, usable, diagnostics, files, missing, read, positionOf }
}

/** What `config check --json` prints: plain data. */
export const checkReport = ({
  settings,
  usable,
  diagnostics,
  files
}: Omit<Loaded, "positionOf" | "missing" | "read">) => ({
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
