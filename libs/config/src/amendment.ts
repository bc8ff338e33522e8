/**
 * Lines said to a node that runs, as by ntpq's `:config`: read as a file's are and folded into those that it has, one request after
 * the other. What comes of it is one configuration again, which goes the way of every other.
 */
import { allowDirective, denyDirective } from "./access-directives.ts"
import { saveconfigdirDirective } from "./control-directives.ts"
import { type Diagnostic, errorAt, isError, type Location, NO_FILE, quoted, warningAt } from "./diagnostic.ts"
import { logfileDirective, stateDirectoryDirective } from "./directives.ts"
import {
  disableDirective,
  driftfileDirective,
  enableDirective,
  filegenDirective,
  statsdirDirective
} from "./discipline-directives.ts"
import { parseText, type ReadFile } from "./parse.ts"
import { withoutTakenBack } from "./source-settings.ts"
import { type Statement, statementsOf } from "./statement.ts"

/** One request's lines. */
export interface Amendment {
  /** Who said it: the origin of what it sets. */
  readonly by: string
  readonly statements: readonly Statement[]
  /** What is wrong with the lines by themselves; with an error they are not to be used. Their line is {@link NO_FILE}. */
  readonly diagnostics: readonly Diagnostic[]
}

/** Files that a node writes: as both ntpds, it takes their places from its file alone. */
const WRITTEN: ReadonlySet<unknown> = new Set([
  logfileDirective,
  driftfileDirective,
  statsdirDirective,
  stateDirectoryDirective,
  saveconfigdirDirective
])

/** Reads lines that `by` says. Never throws. */
export const readAmendment = (text: string, by: string): Amendment => {
  const asked: string[] = []
  const refuse: ReadFile = (path) => {
    asked.push(path)
    return { ok: false, reason: "a running node is told lines, not files of them" }
  }
  const parsed = parseText(by, text, refuse)
  const statements = parsed.statements.map(said)
  const diagnostics = [...parsed.diagnostics.map(unplaced), ...statements.flatMap(refusals)]
  const [file] = asked
  // A directory of sources may be missing, and then nothing is said of it.
  if (file !== undefined && !diagnostics.some(isError))
    diagnostics.push(
      errorAt(unplaced({ file: by, line: 1, column: 1, length: 1, lineText: text }), `remote ${quoted(file)} ignored`)
    )
  return { by, statements, diagnostics }
}

const unplaced = <L extends Location>(location: L): L => ({ ...location, line: NO_FILE })

const said = (statement: Statement): Statement => {
  const places = (given: ReadonlyMap<string, Location>) =>
    new Map([...given].map(([name, location]) => [name, unplaced(location)]))
  const { location, places: values, words } = statement
  return { ...statement, location: unplaced(location), places: places(values), words: places(words) }
}

/** What is not for a running node, and what ntpd does not take from afar either, in its words. */
const refusals = (statement: Statement): readonly Diagnostic[] => {
  const { directive, location, words } = statement
  if (directive.reload === "restart")
    return [
      errorAt(location, `'${directive.name}' is settled when the node starts: write it into its file, then restart`)
    ]
  if (WRITTEN.has(directive))
    return [
      errorAt(location, `${directive.name} remote configuration ignored: the node's own file says where it writes`)
    ]
  const [generation] = statementsOf([statement], filegenDirective)
  const named = (["file", "type"] as const).find((word) => generation?.values[word] !== undefined)
  if (named !== undefined)
    return [errorAt(words.get(named) ?? location, `filegen ${named} remote configuration ignored`)]
  const [flags] = [
    ...statementsOf([statement], enableDirective),
    ...statementsOf<typeof enableDirective>([statement], disableDirective as unknown as typeof enableDirective)
  ]
  return flags?.values.flags.includes("stats") === true
    ? [errorAt(location, "enable/disable stats remote configuration ignored")]
    : []
}

/**
 * The lines of a node with those of a request: of what may stand once the last counts, `unpeer` takes back what stands so far, the
 * rest adds up. No `unpeer` is left, so that a source may come back.
 */
export const amend = (statements: readonly Statement[], more: readonly Statement[]): readonly Statement[] => {
  const replaced = new Set(more.flatMap(({ directive }) => (directive.repeatable ? [] : [directive])))
  const kept = withoutTakenBack(statements).kept.filter(({ directive }) => !replaced.has(directive))
  return withoutTakenBack([...kept, ...more]).kept
}

/** What a request cannot do to these lines, or does nothing to. */
export const amendmentProblems = (
  statements: readonly Statement[],
  more: readonly Statement[]
): readonly Diagnostic[] => {
  const { kept } = withoutTakenBack(statements)
  const idle = withoutTakenBack([...kept, ...more]).idle.map(({ location }) =>
    warningAt(location, "'unpeer' finds no such source; it has no effect")
  )
  const rules = (of: readonly Statement[]) => [
    ...statementsOf(of, allowDirective),
    ...statementsOf<typeof allowDirective>(of, denyDirective as unknown as typeof allowDirective)
  ]
  const [rule] = rules(more)
  if (rule === undefined || rules(kept).length > 0) return idle
  const problem =
    "with the first line of allow or deny nobody else is served: begin such a list in the configuration file"
  return [...idle, errorAt(rule.location, problem)]
}
