/** What a row of the table of directives says: how a line is written, what it means, and when it takes effect. */
import type { ValueType } from "./value-types.ts"

/** An operand: a value by its position. `rest` takes all that follow and needs at least one, `any` needs none. */
export interface Operand<out T = unknown, out Count extends OperandCount = OperandCount> {
  readonly type: ValueType<T>
  readonly count: Count
}

type OperandCount = "one" | "optional" | "rest" | "any"

/** An option: a keyword followed by a value of the type, or a keyword alone (`switch`). Options follow the operands. */
export type Option<T = unknown> = ValueType<T> | "switch"

/**
 * When a change takes effect: at a reload (SIGHUP), there by a new process for the clock, at the next start, or there but
 * for the contents of the file it names.
 */
type Reload = "live" | "clock" | "contents" | "restart"

export interface Directive<
  out Operands extends Readonly<Record<string, Operand>> = Readonly<Record<string, Operand>>,
  out Options extends Readonly<Record<string, Option>> = Readonly<Record<string, Option>>
> {
  readonly name: string
  readonly aliases: readonly string[]
  readonly operands: Operands
  readonly options: Options
  /** Options without a value that some daemon drops or has by default, with the reason why nothing is lost without them. */
  readonly droppedOptions: Readonly<Record<string, string>>
  /** Words that another daemon has as options of this directive, with how to say the same here. */
  readonly saidOtherwise?: Readonly<Record<string, string>>
  /** A line with a word that is near to none of its own is left out with a warning, as by ntpd: it can open nothing. */
  readonly mayBeLeftOut: boolean
  readonly needsOption: boolean
  /** May stand on several lines. Where it may not, the last line counts and the others get a warning. */
  readonly repeatable: boolean
  /** The value without any line, as text for the reference. */
  readonly default: string
  /** One sentence. */
  readonly meaning: string
  /** Where it is documented outside Meridian, or "Meridian" where it is our own word. */
  readonly documented: string
  /** The flags of `meridian up` that override it, without dashes. */
  readonly flags: readonly string[]
  readonly reload: Reload
  /**
   * Whether its lines have an effect. Those of a row that is not acted on are checked and kept in the settings, and each
   * gets a warning; of a row acted on in part the settings say which lines have no effect.
   */
  readonly actedOn: boolean | "partly"
  /** For a row that will not be acted on: the reason, which the warning gives. */
  readonly pointless?: string
}

export const one = <T>(type: ValueType<T>): Operand<T, "one"> => ({ type, count: "one" })
/** One value or none: a word that is not of the type is left to the options. */
export const optional = <T>(type: ValueType<T>): Operand<T, "optional"> => ({ type, count: "optional" })

/** All values to the end of the line, at least one. */
export const rest = <T>(type: ValueType<T>): Operand<T, "rest"> => ({ type, count: "rest" })

/** All values to the end of the line, or none. */
export const any = <T>(type: ValueType<T>): Operand<T, "any"> => ({ type, count: "any" })

/** A row, with the usual values for what is not given. */
export const row = <
  const O extends Readonly<Record<string, Operand>>,
  const P extends Readonly<Record<string, Option>> = Readonly<Record<never, Option>>
>(
  fields: Omit<
    Directive<O, P>,
    | "aliases"
    | "options"
    | "droppedOptions"
    | "mayBeLeftOut"
    | "documented"
    | "flags"
    | "needsOption"
    | "repeatable"
    | "actedOn"
  > & {
    readonly aliases?: readonly string[]
    readonly options?: P
    readonly droppedOptions?: Readonly<Record<string, string>>
    readonly mayBeLeftOut?: boolean
    readonly documented?: string
    readonly flags?: readonly string[]
    readonly needsOption?: boolean
    readonly repeatable?: boolean
    readonly actedOn?: boolean | "partly"
  }
): Directive<O, P> => ({
  aliases: [],
  droppedOptions: {},
  mayBeLeftOut: false,
  documented: "ntp.conf(5)",
  flags: [],
  needsOption: false,
  repeatable: false,
  actedOn: true,
  ...fields,
  options: fields.options ?? ({} as P)
})

/** The parts of a syntax line: `server`, `[-4|-6]`, `HOST`, `[autokey]`, … `[minpoll LOG2_SECONDS]`. */
export const syntaxOf = (directive: Directive): readonly string[] => {
  const operands = Object.values(directive.operands).map(({ type, count }) => {
    const isChoice = type.words !== undefined && type.syntax.includes("|") && count !== "optional"
    const syntax = isChoice ? `(${type.syntax})` : type.syntax
    const several = count === "any" ? `[${syntax}...]` : `${syntax}...`
    return count === "one" ? syntax : count === "optional" ? `[${syntax}]` : several
  })
  const options = Object.entries(directive.options).map(([name, type]) =>
    type === "switch" ? `[${name}]` : `[${name} ${type.syntax}]`
  )
  return [directive.name, ...operands, ...options]
}
