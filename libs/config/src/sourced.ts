/** Values that know where they came from, and how the last line of a directive becomes one. */
import { type Diagnostic, type Location, NO_FILE } from "./diagnostic.ts"
import type { Directive } from "./directive.ts"
import { statementsOf, type Statement } from "./statement.ts"

/** Where a value came from. */
export type Origin =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: "flag"; readonly flag: string }
  /** Said to the running node, see amendment.ts. */
  | { readonly kind: "said"; readonly by: string; readonly column: number }

export interface Sourced<T> {
  readonly value: T
  readonly origin: Origin
}

/** What lines come to, and what is wrong with them. */
export interface Folded<T> {
  readonly value: T
  readonly diagnostics: readonly Diagnostic[]
}

const DEFAULT: Origin = { kind: "default" }

export const fromDefault = <T>(value: T): Sourced<T> => ({ value, origin: DEFAULT })
export const fromFlag = <T>(value: T, flag: string): Sourced<T> => ({ value, origin: { kind: "flag", flag } })
/** From a line of a file, or from one that was said to the running node. */
export const fromFile = <T>(value: T, { file, line, column }: Location): Sourced<T> => ({
  value,
  origin: line === NO_FILE ? { kind: "said", by: file, column } : { kind: "file", file, line, column }
})

/** The flag beats the file, the file beats the default. */
export const choose = <T>(
  flagged: T | undefined,
  flag: string,
  filed: Sourced<T> | undefined,
  otherwise: T
): Sourced<T> => (flagged === undefined ? (filed ?? fromDefault(otherwise)) : fromFlag(flagged, flag))

/** An operand of the last line of a directive, undefined without a line. */
export const lastOf = <D extends Directive, K extends keyof Statement<D>["values"]>(
  statements: readonly Statement[],
  directive: D,
  name: K
): Sourced<Statement<D>["values"][K]> | undefined => {
  const last = statementsOf(statements, directive).at(-1)
  return last === undefined ? undefined : fromFile(last.values[name], last.location)
}

/** An option of the last line that gives it, for a directive whose lines add to each other. */
export const lastGiven = <D extends Directive, K extends keyof Statement<D>["values"] & string>(
  statements: readonly Statement[],
  directive: D,
  name: K
): Sourced<NonNullable<Statement<D>["values"][K]>> | undefined => {
  const last = statementsOf(statements, directive).findLast(({ values }) => values[name] !== undefined)
  return last === undefined
    ? undefined
    : fromFile(last.values[name] as NonNullable<Statement<D>["values"][K]>, last.location)
}
