/**
 * Command lines, declared once: names, types and meanings give both what libs/system/src/command-line.ts reads and the help text.
 * Values go through the same types as the words of a configuration file.
 */
import type { ValueType } from "./value-types.ts"

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

/** A terminal's usual width. */
const HELP_WIDTH = 80

/** The help of a command: how it is called, what it does, a line for each flag. Ends with a newline. */
export const renderHelp = (commandLine: CommandLine): string => {
  const { command, meaning, flags, positional } = commandLine
  const operands = positional.most > Math.max(1, positional.least) ? `${positional.name} ...` : positional.name
  const operand = positional.most === 0 ? "" : ` ${positional.least === 0 ? `[${operands}]` : operands}`
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
