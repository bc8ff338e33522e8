/**
 * Reads command lines as they are declared (libs/config/src/flags.ts): parseArgs of node:util takes the words apart, and what is
 * wrong with them is said here. `--flag value` and `--flag=value` mean the same; `--` ends the flags.
 */
import { quoted } from "@meridian/config/diagnostic"
import type { CommandLine, Flag, FlagValues } from "@meridian/config/flags"
import { didYouMean, nearestWord } from "@meridian/config/nearest"
import * as onUse from "./on-use.ts"

export interface ParsedFlags<F> {
  readonly values: FlagValues<F>
  readonly positionals: readonly string[]
  /** `--help` or `-h` was given; nothing else was checked then. */
  readonly help: boolean
}

/** A command line that cannot be used. The message is one line for a person; print it and end with status 2. */
export class UsageError extends Error {
  readonly _tag = "UsageError"
  override readonly name = "UsageError"
}

type FlagsResult<F> =
  | { readonly ok: true; readonly value: ParsedFlags<F> }
  | { readonly ok: false; readonly error: UsageError }

/** Reads the arguments behind the command's name. Never throws; the first thing that is wrong is the error. */
export const parseFlags = <F extends Readonly<Record<string, Flag>>>(
  commandLine: CommandLine<F>,
  args: readonly string[]
): FlagsResult<F> => {
  const flagsEnd = args.indexOf("--")
  const flagArgs = flagsEnd === -1 ? args : args.slice(0, flagsEnd)
  if (flagArgs.includes("--help") || flagArgs.includes("-h")) {
    return { ok: true, value: { values: collect(commandLine.flags, new Map()), positionals: [], help: true } }
  }
  const given = new Map<string, unknown>()
  const positionals: string[] = []
  const options = Object.entries(commandLine.flags).map(
    ([name, { kind }]) => [name, { type: kind === "switch" ? "boolean" : "string" }] as const
  )
  const { tokens } = onUse.util().parseArgs({
    args: [...args],
    options: Object.fromEntries(options),
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value)
    if (token.kind !== "option") continue
    const { name, rawName, index, inlineValue } = token
    const flag =
      rawName.startsWith("--") && Object.hasOwn(commandLine.flags, name) ? commandLine.flags[name] : undefined
    if (flag === undefined) return unknownFlag(commandLine, args[index]!.split("=", 1)[0]!)
    if (flag.kind === "switch") {
      if (inlineValue) return refuse(`--${name} takes no value; found ${quoted(token.value)}`)
      given.set(name, true)
      continue
    }
    const value = inlineValue || !looksLikeFlag(token.value ?? "") ? token.value : undefined
    if (value === undefined) {
      return refuse(`--${name} needs a value, expected ${flag.type.expected}: --${name} ${flag.type.syntax}`)
    }
    const parsed = flag.type.parse(value)
    if (!parsed.ok) {
      const near =
        parsed.advice === undefined ? didYouMean(nearestWord(value, flag.type.words ?? [])) : `; ${parsed.advice}`
      return refuse(`--${name}: found ${quoted(value)}, expected ${flag.type.expected}${near}`)
    }
    const earlier = given.get(name)
    if (flag.kind === "list") given.set(name, [...((earlier as unknown[] | undefined) ?? []), parsed.value])
    else if (earlier === undefined) given.set(name, parsed.value)
    else return refuse(`--${name} is given twice, expected it once`)
  }
  const problem = positionalProblem(commandLine, positionals)
  return problem ?? { ok: true, value: { values: collect(commandLine.flags, given), positionals, help: false } }
}

/** `-5` is a value, if a wrong one, so that the answer can be about the value. */
const looksLikeFlag = (arg: string): boolean => /^-./.test(arg) && !/^-\d/.test(arg)

const refuse = (message: string): { readonly ok: false; readonly error: UsageError } => ({
  ok: false,
  error: new UsageError(message)
})

const unknownFlag = ({ command, flags }: CommandLine, written: string) => {
  const near = nearestWord(written.replace(/^-+/, ""), [...Object.keys(flags), "help"])
  const help = near === undefined ? `; '${command} --help' lists them` : didYouMean(`--${near}`)
  return refuse(`found ${quoted(written)}, expected a flag of '${command}'${help}`)
}

const positionalProblem = ({ command, positional }: CommandLine, found: readonly string[]) => {
  const { name, least, most } = positional
  const extra = found[most]
  if (extra !== undefined) {
    const expected = most === 0 ? "flags only" : `at most ${most} ${name}`
    return refuse(`found ${quoted(extra)}, expected ${expected}; '${command} --help' shows how`)
  }
  return found.length < least ? refuse(`${name} is missing, expected: ${command} ${name}`) : undefined
}

const collect = <F extends Readonly<Record<string, Flag>>>(
  flags: F,
  given: ReadonlyMap<string, unknown>
): FlagValues<F> => {
  const absent = { value: undefined, list: [], switch: false }
  const entries = Object.entries(flags).map(([name, { kind }]) => [name, given.get(name) ?? absent[kind]])
  return Object.fromEntries(entries) as FlagValues<F>
}
