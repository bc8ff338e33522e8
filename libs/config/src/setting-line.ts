/** Settings as lines of a file, and the words that a line is written with. */
import type { Origin, Sourced } from "./sourced.ts"

/** One effective setting. */
export interface SettingLine {
  /** The directive's name, of `nts` and `extra` with their option's; the same name comes several times where there are several values. */
  readonly directive: string
  /** The operands as they stand in a file; undefined where nothing is set and the caller chooses. */
  readonly value: string | undefined
  readonly origin: Origin
}

/** @param write the value, where there is one */
export const line = <T>(
  directive: string,
  { value, origin }: Sourced<T>,
  write: (value: NonNullable<T>) => string
): SettingLine => ({ directive, value: value === undefined || value === null ? undefined : write(value), origin })

/** No line where nothing is set. */
export const lineWhereSet = <T>(
  directive: string,
  setting: Sourced<T>,
  write: (value: NonNullable<T>) => string
): readonly SettingLine[] => (setting.value === undefined ? [] : [line(directive, setting, write)])

/** A word as it must stand in a file: in quotes where a blank, a comment sign or a parenthesis would end or change it. */
export const quoteWord = (word: string): string => (/^[A-Za-z0-9_./:@%+~=,*$-]+$/.test(word) ? word : `"${word}"`)

/** An option with its value, left out where it is not given or has its default. */
export const given = (word: string, value: string | number | undefined, otherwise?: number): readonly string[] =>
  value === undefined || value === otherwise ? [] : [`${word} ${value}`]

/** An option that is there or is not. */
export const switched = (word: string, on: boolean): readonly string[] => (on ? [word] : [])
