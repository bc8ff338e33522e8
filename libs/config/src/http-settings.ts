/** Where the HTTP door is, from its line. */
import { errorAt, type Diagnostic } from "./diagnostic.ts"
import { controlDirective, DEFAULT_HTTP_PLACE, type HttpPlace, httpPlace } from "./http-directive.ts"
import type { SettingLine } from "./setting-line.ts"
import { fromDefault, fromFile, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"

export interface HttpSettings {
  /** Undefined: off. */
  readonly place: Sourced<HttpPlace | undefined>
  readonly tokenFile: Sourced<string | undefined>
}

export const httpSettings = (
  statements: readonly Statement[]
): { readonly value: HttpSettings; readonly diagnostics: readonly Diagnostic[] } => {
  const last = statementsOf(statements, controlDirective).at(-1)
  if (last === undefined)
    return { value: { place: fromDefault(DEFAULT_HTTP_PLACE), tokenFile: fromDefault(undefined) }, diagnostics: [] }
  const { place, token } = last.values
  const problem = `${httpPlace.write(place)} can be reached from other hosts; add 'token FILE', or serve on 127.0.0.1`
  return {
    value: { place: fromFile(place, last.location), tokenFile: fromFile(token, last.location) },
    diagnostics:
      place !== undefined && !place.isLoopback && token === undefined
        ? [errorAt(last.places.get("place") ?? last.location, problem)]
        : []
  }
}

export const describeHttp = (
  { place, tokenFile }: HttpSettings,
  quoteWord: (text: string) => string
): readonly SettingLine[] => {
  const token = tokenFile.value === undefined ? "" : ` token ${quoteWord(tokenFile.value)}`
  return place.origin.kind === "default"
    ? []
    : [{ directive: "control", value: `http ${httpPlace.write(place.value)}${token}`, origin: place.origin }]
}
