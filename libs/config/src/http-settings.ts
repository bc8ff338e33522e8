/** Where the HTTP listener is, and who may pass it, from its line. */
import { errorAt } from "./diagnostic.ts"
import { controlDirective, DEFAULT_HTTP_PLACE, type HttpPlace, httpPlace } from "./http-directive.ts"
import { quoteWord, type SettingLine } from "./setting-line.ts"
import { fromDefault, fromFile, type Folded, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"

/** Paths, as the line has them. */
interface HttpFiles {
  /** What whoever reads must bring. */
  readonly token?: string | undefined
  /** Who may act, and by which tokens. */
  readonly operators?: string | undefined
  /** The certificate of HTTPS, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** Authorities that clients' certificates must be signed by. */
  readonly clients?: string | undefined
}

const FILES = ["token", "operators", "cert", "key", "clients"] as const satisfies readonly (keyof HttpFiles)[]

export interface HttpSettings {
  /** Undefined: off. */
  readonly place: Sourced<HttpPlace | undefined>
  readonly files: Sourced<HttpFiles>
}

export const httpSettings = (statements: readonly Statement[]): Folded<HttpSettings> => {
  const last = statementsOf(statements, controlDirective).at(-1)
  if (last === undefined)
    return { value: { place: fromDefault(DEFAULT_HTTP_PLACE), files: fromDefault({}) }, diagnostics: [] }
  const { place, token, operators, cert, key, clients } = last.values
  const files = { token, operators, cert, key, clients }
  return {
    value: { place: fromFile(place, last.location), files: fromFile(files, last.location) },
    diagnostics: problems(place, files).map((problem) =>
      errorAt(last.places.get("place") ?? last.location, `${httpPlace.write(place)} ${problem}`)
    )
  }
}

const problems = (place: HttpPlace | undefined, files: HttpFiles): readonly string[] => {
  const { token, operators, cert, key, clients } = files
  if (place === undefined) return []
  const isSealed = cert !== undefined && key !== undefined
  if ((cert === undefined) !== (key === undefined))
    return ["has half of what HTTPS needs; expected both 'cert FILE' and 'key FILE'"]
  if (clients !== undefined && !isSealed)
    return ["cannot ask clients for certificates over plain HTTP; add 'cert FILE key FILE'"]
  if (place.isLoopback) return []
  if (token === undefined && clients === undefined)
    return [
      "can be reached from other hosts; add 'token FILE', or 'clients FILE' with 'cert FILE key FILE', or serve on 127.0.0.1"
    ]
  return operators !== undefined && !isSealed
    ? ["would carry operators' tokens over the network in the clear; add 'cert FILE key FILE', or serve on 127.0.0.1"]
    : []
}

export const describeHttp = ({ place, files }: HttpSettings): readonly SettingLine[] => {
  const words = FILES.flatMap((name) => {
    const file = files.value[name]
    return file === undefined ? [] : [` ${name} ${quoteWord(file)}`]
  })
  return [
    { directive: "control", value: `http ${httpPlace.write(place.value)}${words.join("")}`, origin: place.origin }
  ]
}
