/** Whose ntp.conf a file is: NTPsec's and the classic ntpd's differ in what `restrict` begins with, and no file says which it is. */
import { type Location, NO_FILE } from "./diagnostic.ts"
import {
  dialectDirective,
  discardDirective,
  limitDirective,
  restrictDirective,
  unrestrictDirective
} from "./access-directives.ts"
import { ntsDirective } from "./authentication-directives.ts"
import { AUTOKEY_DIRECTIVES } from "./autokey-directives.ts"
import { BROADCAST_DIRECTIVES, broadcastdelayDirective } from "./broadcast-directives.ts"
import { findKnownWord } from "./known-words.ts"
import { fromDefault, fromFile, lastOf, type Sourced } from "./sourced.ts"
import { type Statement, statementsOf } from "./statement.ts"

export type Dialect = "ntpsec" | "classic"

/** A line that begins with a word that is known and not acted on. */
export interface UnreadLine extends Location {
  readonly word: string
}

/** Options of `restrict` that the classic ntpd alone has. */
const CLASSIC_FLAGS = ["noepeer", "epeer", "ippeerlimit", "serverresponse"] as const

/** Rows of words that the classic ntpd alone has; NTPsec kept `broadcastdelay`. */
const CLASSIC_ROWS: ReadonlySet<unknown> = new Set(
  [...AUTOKEY_DIRECTIVES, ...BROADCAST_DIRECTIVES].filter((row) => row !== (broadcastdelayDirective as unknown))
)

/**
 * A `dialect` line decides; without one, the first word of the file that only one of the two has; without one, ntpsec. Words that are said to
 * the running node tell nothing: the rules that it has stay what they are.
 */
export const dialectOf = (all: readonly Statement[], unread: readonly UnreadLine[]): Sourced<Dialect> => {
  const statements = all.filter(
    ({ directive, location }) => location.line !== NO_FILE || (directive as unknown) === dialectDirective
  )
  const named = lastOf(statements, dialectDirective, "name")
  if (named !== undefined) return named
  const ntpsec: Location[] = [limitDirective, unrestrictDirective, ntsDirective].flatMap((directive) =>
    statementsOf<typeof directive>(statements, directive).map(({ location }) => location)
  )
  const classic: Location[] = [
    ...statementsOf(statements, discardDirective).map(({ location }) => location),
    ...statements.filter(({ directive }) => CLASSIC_ROWS.has(directive)).map(({ location }) => location),
    ...unread.filter(({ word }) => findKnownWord(word)?.documented === "ntp")
  ]
  for (const { places, values } of statementsOf(statements, restrictDirective)) {
    for (const flag of CLASSIC_FLAGS) if (values[flag] !== undefined) classic.push(places.get(flag)!)
    const { target } = values
    // A length behind the address is NTPsec's alone; a whole address is read as one.
    const place = places.get("target")
    if (
      target.kind === "prefix" &&
      place !== undefined &&
      place.lineText
        .slice(place.column - 1)
        .split(/\s/)[0]
        ?.includes("/")
    )
      ntpsec.push(place)
  }
  const [first] = [
    ...ntpsec.map((location) => ({ dialect: "ntpsec" as const, location })),
    ...classic.map((location) => ({ dialect: "classic" as const, location }))
  ].toSorted((a, b) => (a.location.file === b.location.file ? a.location.line - b.location.line : 0))
  return first === undefined ? fromDefault("ntpsec") : fromFile(first.dialect, first.location)
}
