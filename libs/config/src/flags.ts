/**
 * Command lines, declared once: names, types and meanings give both the parser and the help text. Values go through the
 * same types as the words of a configuration file. `--flag value` and `--flag=value` mean the same; `--` ends the flags.
 * This keeps to the conventions of node:util parseArgs in its strict mode, without Node.
 */
import { quoted } from "./diagnostic.ts"
import { nearestWord } from "./nearest.ts"
import type { ValueType } from "./value-types.ts"

/** A flag with a value. */
interface ValueFlag<out T> {
  readonly kind: "value"
  readonly type: ValueType<T>
  readonly meaning: string
}

/** A flag with a value that may be given several times. */
interface ListFlag<out T> {
  readonly kind: "list"
  readonly type: ValueType<T>
  readonly meaning: string
}

/** A flag that is there or is not. */
interface SwitchFlag {
  readonly kind: "switch"
  readonly meaning: string
}

export type Flag = ValueFlag<unknown> | ListFlag<unknown> | SwitchFlag

/** A command's operands, such as the FILE of `config check FILE`. */
interface Positional {
  readonly name: string
  readonly meaning: string
  readonly least: number
  readonly most: number
}

export interface CommandLine<out F extends Readonly<Record<string, Flag>> = Readonly<Record<string, Flag>>> {
  /** As it is typed: `meridian up`. */
  readonly command: string
  /** One sentence. */
  readonly meaning: string
  /** By name, without the dashes. `help` is always there and is not declared. */
  readonly flags: F
  readonly positional: Positional
}

type FlagValue<F> = F extends { kind: "value"; type: ValueType<infer T> }
  ? T | undefined
  : F extends { kind: "list"; type: ValueType<infer T> }
    ? readonly T[]
    : boolean

/** Values by flag name: undefined, an empty list or false where the flag was not given. */
export type FlagValues<F> = { readonly [K in keyof F]: FlagValue<F[K]> }

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

export const valueFlag = <T>(type: ValueType<T>, meaning: string): ValueFlag<T> => ({ kind: "value", type, meaning })
export const listFlag = <T>(type: ValueType<T>, meaning: string): ListFlag<T> => ({ kind: "list", type, meaning })
export const switchFlag = (meaning: string): SwitchFlag => ({ kind: "switch", meaning })

/** Declares a command's flags and, if it takes any, its operands. */
export const defineFlags = <const F extends Readonly<Record<string, Flag>>>(declaration: {
  readonly command: string
  readonly meaning: string
  readonly flags: F
  readonly positional?: Positional
}): CommandLine<F> => ({
  ...declaration,
  positional: declaration.positional ?? { name: "", meaning: "", least: 0, most: 0 }
})

/** Reads the arguments behind the command's name. Never throws; the first thing that is wrong is the error. */
export const parseFlags = <F extends Readonly<Record<string, Flag>>>(
  commandLine: CommandLine<F>,
  args: readonly string[]
): FlagsResult<F> => {
  const given = new Map<string, unknown>()
  const positionals: string[] = []
  const flagsEnd = args.indexOf("--")
  const flagArgs = flagsEnd === -1 ? args : args.slice(0, flagsEnd)
  if (flagArgs.includes("--help") || flagArgs.includes("-h")) {
    return { ok: true, value: { values: collect(commandLine.flags, new Map()), positionals: [], help: true } }
  }
  for (let index = 0; index < flagArgs.length; index++) {
    const arg = flagArgs[index]!
    if (!arg.startsWith("-") || arg === "-") {
      positionals.push(arg)
      continue
    }
    const equals = arg.indexOf("=")
    const written = equals === -1 ? arg : arg.slice(0, equals)
    const name = written.slice(2)
    const flag =
      written.startsWith("--") && Object.hasOwn(commandLine.flags, name) ? commandLine.flags[name] : undefined
    if (flag === undefined) return unknownFlag(commandLine, written)
    if (flag.kind === "switch") {
      if (equals !== -1) return refuse(`--${name} takes no value; found ${quoted(arg.slice(equals + 1))}`)
      given.set(name, true)
      continue
    }
    const next = flagArgs[index + 1]
    const value = equals === -1 ? (next === undefined || looksLikeFlag(next) ? undefined : next) : arg.slice(equals + 1)
    if (equals === -1 && value !== undefined) index += 1
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
  if (flagsEnd !== -1) positionals.push(...args.slice(flagsEnd + 1))
  const problem = positionalProblem(commandLine, positionals)
  return problem ?? { ok: true, value: { values: collect(commandLine.flags, given), positionals, help: false } }
}

/** `-5` is a value, if a wrong one, so that the answer can be about the value. */
const looksLikeFlag = (arg: string): boolean => /^-./.test(arg) && !/^-\d/.test(arg)

const refuse = (message: string): { readonly ok: false; readonly error: UsageError } => ({
  ok: false,
  error: new UsageError(message)
})

const didYouMean = (near: string | undefined): string => (near === undefined ? "" : `; did you mean '${near}'?`)

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

const HELP_WIDTH = 100

/** The help of a command: how it is called, what it does, a line for each flag. Ends with a newline. */
export const renderHelp = (commandLine: CommandLine): string => {
  const { command, meaning, flags, positional } = commandLine
  const operand = positional.most === 0 ? "" : ` ${positional.least === 0 ? `[${positional.name}]` : positional.name}`
  const rows = [
    ...(positional.most === 0 ? [] : [{ left: positional.name, right: positional.meaning }]),
    ...Object.entries(flags).map(([name, flag]) => ({
      left: flag.kind === "switch" ? `--${name}` : `--${name} ${flag.type.syntax}`,
      right: flag.kind === "list" ? `${flag.meaning} May be given several times.` : flag.meaning
    })),
    { left: "-h, --help", right: "Shows this." }
  ]
  const left = Math.min(28, Math.max(...rows.map((one) => one.left.length)))
  const lines = rows.flatMap((one) => {
    const [first = "", ...more] = wrap(one.right, HELP_WIDTH - left - 4)
    const head =
      one.left.length > left
        ? [`  ${one.left}`, `  ${" ".repeat(left)}  ${first}`]
        : [`  ${one.left.padEnd(left)}  ${first}`]
    return [...head, ...more.map((text) => `  ${" ".repeat(left)}  ${text}`)]
  })
  return [`Usage: ${command} [FLAGS]${operand}`, "", ...wrap(meaning, HELP_WIDTH), "", ...lines, ""].join("\n")
}

/** Breaks text, or a list of parts, into lines of at most `width` characters; a longer word or part stands alone. */
export const wrap = (text: string | readonly string[], width: number): string[] => {
  const lines: string[] = []
  for (const part of typeof text === "string" ? text.split(" ") : text) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + part.length <= width) lines[lines.length - 1] = `${last} ${part}`
    else lines.push(part)
  }
  return lines
}
