/**
 * The configuration that a node runs by: what its file said when it was taken up last, and what operators have said to it since, which
 * lasts until the next reload or start. Both go one way: lines, settings, plan.
 */
import { writeFileSync } from "@meridian/system/files"
import { join } from "node:path"
import type { Amendment, Loaded, LoadInput, SettingLine, Settings } from "@meridian/config"
import {
  amend,
  amendmentProblems,
  readAmendment,
  loadAmended,
  loadSettings,
  describeSettings,
  renderSettings
} from "@meridian/config"
import { type Diagnostic, formatDiagnostic, isError, NO_FILE } from "@meridian/config/diagnostic"
import { reasonOf } from "@meridian/system/errno-words"
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { ReloadReport } from "@meridian/ipc"
import * as Effect from "effect/Effect"
import type { Acted, RecordAct } from "./acts.ts"
import { type Change, changesBetween, formatChange, runningLines } from "./reload.ts"
import { unpeerMeant } from "./unpeer-meant.ts"

interface RunningConfigurationParts {
  readonly input: LoadInput
  /** Whether the file holds nothing now: an editor truncates before it writes. */
  readonly isEmpty: () => boolean
}

/** The node that runs, as far as its configuration is concerned. */
export interface Configured {
  /** Works by these settings; returns what went wrong. */
  readonly apply: (settings: Settings) => Effect.Effect<readonly string[]>
  /** Has the event log say what an operator did. */
  readonly record: RecordAct
}

/** Whoever only looks is told by the answer. */
const logUnless = (check: boolean, message: string) => (check ? Effect.void : Effect.logError(message))

const unchanged = "nothing was changed"

export class RunningConfiguration {
  /** What the node was started with. */
  readonly started: Settings
  readonly #input: LoadInput
  readonly #isEmpty: () => boolean
  /** The file as it was taken up last, with what was said since folded in. */
  #loaded: Loaded
  #said: readonly Amendment[] = []

  constructor(loaded: Loaded, { input, isEmpty }: RunningConfigurationParts) {
    this.started = loaded.settings
    this.#loaded = loaded
    this.#input = input
    this.#isEmpty = isEmpty
  }

  /** What was taken up last. */
  get applied(): Settings {
    return this.#loaded.settings
  }

  /** The lines that the node runs by. */
  get lines(): readonly SettingLine[] {
    return runningLines(this.started, this.applied)
  }

  /** Whether lines were said that no file has. */
  get hasSaid(): boolean {
    return this.#said.length > 0
  }

  /** Reads the file again, without taking it up; undefined where it cannot be used. */
  readAgain(): Settings | undefined {
    const loaded = loadSettings(this.#input)
    return this.#isEmpty() || !loaded.usable ? undefined : loaded.settings
  }

  /** Reads the configuration again and has the node work by it; a bad one changes nothing. What was said to the node ends. */
  readonly reload = (node: Configured, by: string, check: boolean): Effect.Effect<ReloadReport> =>
    Effect.gen({ self: this }, function* () {
      const loaded = loadSettings(this.#input)
      const diagnostics = loaded.diagnostics.map((diagnostic) => formatDiagnostic(diagnostic))
      const none = { usable: false, applied: false, diagnostics, changes: [], waiting: [], problems: [] }
      if (this.#isEmpty()) {
        const why = "the configuration file is empty now; the node runs on by what it had"
        yield* logUnless(check, why)
        return { ...none, diagnostics: [why] } satisfies ReloadReport
      }
      const lost = loaded.missing.find((file) => this.#loaded.files.includes(file))
      if (lost !== undefined) {
        const why = `${lost} was included and is gone; the node runs on by what it had`
        yield* logUnless(check, why)
        return { ...none, diagnostics: [...diagnostics, why] } satisfies ReloadReport
      }
      if (!loaded.usable) {
        const errors = loaded.diagnostics.filter(isError)
        for (const { file, line, message } of errors) yield* logUnless(check, `${file}:${line}: ${message}`)
        yield* logUnless(check, "the new configuration cannot be used; the node runs on by what it had")
        return none satisfies ReloadReport
      }
      const changes = changesBetween(this.lines, describeSettings(loaded.settings))
      const now = changes.filter(({ effect }) => effect !== "restart").map(formatChange)
      const waiting = changes.filter(({ effect }) => effect === "restart").map(formatChange)
      const report = { ...none, usable: true, changes: now, waiting }
      if (check) return report satisfies ReloadReport
      const problems = yield* node.apply(loaded.settings)
      this.#loaded = loaded
      this.#said = []
      node.record("reload", by, now)
      const counted = `${now.length} line${now.length === 1 ? "" : "s"} taken up, ${waiting.length} at the next start, ${problems.length} problem${problems.length === 1 ? "" : "s"}`
      yield* Effect.logInfo(
        `reloaded by ${by}: ${changes.length + problems.length === 0 ? "nothing has changed" : counted}`
      )
      for (const change of now) yield* Effect.logInfo(`reload: ${change}`)
      for (const change of [...waiting, ...problems]) yield* Effect.logWarning(`reload: ${change}`)
      return { ...report, applied: true, problems } satisfies ReloadReport
    })

  /**
   * Takes up lines that `by` says, or none of them. Answers as ntpd does: "Config Succeeded", then what has no effect; or what is wrong,
   * a line each.
   * @param sources those that are asked, for `unpeer` by association or address
   */
  readonly configure = (
    node: Configured,
    text: string,
    by: string,
    sources: readonly SourceReport[]
  ): Effect.Effect<Acted> =>
    Effect.gen({ self: this }, function* () {
      const read = readAmendment(text, by)
      const before = this.#said.reduce(
        (lines, { statements }) => amend(lines, statements),
        this.#loaded.read.statements
      )
      const meant = unpeerMeant(read.statements, before, sources)
      const amendment = { ...read, statements: meant.statements }
      const own = [...read.diagnostics, ...meant.diagnostics, ...amendmentProblems(before, meant.statements)]
      if (own.some(isError)) return refused(own.filter(isError))
      const said = [...this.#said, amendment]
      const loaded = loadAmended({ ...this.#input, read: this.#loaded.read, said })
      const fresh = [...own, ...newIn(loaded.diagnostics, this.#loaded.diagnostics)]
      if (fresh.some(isError)) return refused(fresh.filter(isError))
      const changes = changesBetween(describeSettings(this.applied), describeSettings(loaded.settings))
      const why = changes.map(whyNot).find((it) => it !== undefined) ?? leavesNoSource(this.applied, loaded.settings)
      if (why !== undefined) return { ok: false, message: `${why}; ${unchanged}` }
      const remarks = fresh.filter(({ line }) => line === NO_FILE).map(placed)
      // Words that mean nothing here are no success.
      if (amendment.statements.length === 0 && remarks.length > 0)
        return { ok: false, message: [...remarks, unchanged].join("\r\n") }
      const acts = changes.length > 0 || rereads(amendment)
      const problems = acts ? yield* node.apply(loaded.settings) : []
      this.#loaded = loaded
      this.#said = said
      if (acts) node.record("configure", by, changes.map(formatChange))
      yield* Effect.logInfo(
        `${by} said: ${changes.length === 0 ? "nothing that changes anything" : changes.map(formatChange).join(", ")}`
      )
      for (const problem of problems) yield* Effect.logWarning(`${by} said: ${problem}`)
      return { ok: problems.length === 0, message: [...problems, "Config Succeeded", ...remarks].join("\r\n") }
    })

  /** Reads the files of `sourcedir` again, and nothing else of the configuration; what was said to the node stays. */
  readonly reloadSources = (node: Configured, by: string): Effect.Effect<Acted> =>
    Effect.gen({ self: this }, function* () {
      const now = loadSettings(this.#input)
      const problem = now.diagnostics.find((it) => isError(it) && isSourcesFile(it.file))
      if (problem !== undefined) return { ok: false, message: formatDiagnostic(problem) }
      const { read } = this.#loaded
      const statements = [
        ...read.statements.filter(({ location }) => !isSourcesFile(location.file)),
        ...now.read.statements.filter(({ location }) => isSourcesFile(location.file))
      ]
      const loaded = loadAmended({ ...this.#input, read: { ...read, statements }, said: this.#said })
      if (!loaded.usable) return { ok: false, message: "the sources cannot be used beside the rest" }
      const changes = changesBetween(describeSettings(this.applied), describeSettings(loaded.settings))
      const why = leavesNoSource(this.applied, loaded.settings)
      if (why !== undefined) return { ok: false, message: why }
      const problems = changes.length === 0 ? [] : yield* node.apply(loaded.settings)
      this.#loaded = loaded
      if (changes.length > 0) node.record("reload-sources", by, changes.map(formatChange))
      for (const change of changes) yield* Effect.logInfo(`${by}: ${formatChange(change)}`)
      return { ok: problems.length === 0, message: problems[0] ?? `${changes.length} changes made` }
    })

  /** Writes what the node runs by where `saveconfigdir` says, in ntpd's words. Never over a file. */
  readonly save = (name: string): Acted => {
    const directory = this.applied.saveDirectory.value
    if (directory === undefined) return { ok: false, message: "saveconfig prohibited, no saveconfigdir configured" }
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$/.test(name))
      return { ok: false, message: `saveconfig rejects unsafe file name '${name}'` }
    try {
      writeFileSync(join(directory, name), renderSettings(this.applied), { flag: "wx", mode: 0o640 })
      return { ok: true, message: `Configuration saved to '${name}'` }
    } catch (error) {
      return { ok: false, message: `Unable to save configuration to file '${name}': ${reasonOf(error)}` }
    }
  }
}

const isSourcesFile = (file: string): boolean => file.endsWith(".sources")

/** ntpq draws a caret below such a column, which counts from 0. */
const placed = ({ column, message }: Diagnostic): string => `column ${column - 1} ${message}`

const refused = (errors: readonly Diagnostic[]): Acted => ({ ok: false, message: errors.map(placed).join("\r\n") })

const newIn = (now: readonly Diagnostic[], before: readonly Diagnostic[]): readonly Diagnostic[] => {
  const nameOf = ({ file, line, column, message }: Diagnostic): string => `${file}:${line}:${column} ${message}`
  const known = new Set(before.map(nameOf))
  return now.filter((diagnostic) => !known.has(nameOf(diagnostic)))
}

/** Files that a line names are read again, changed or not: that is how keys are taken up. */
const rereads = ({ statements }: Amendment): boolean => statements.some(({ directive }) => directive.name === "keys")

const whyNot = ({ after, before, effect }: Change): string | undefined =>
  effect === "restart"
    ? `'${after ?? before}' is settled when the node starts: write it into the configuration file, then restart`
    : undefined

const asksNobody = ({ sources, referenceClocks, localReference }: Settings): boolean =>
  sources.length + referenceClocks.length === 0 && localReference.origin.kind === "default"

const leavesNoSource = (before: Settings, after: Settings): string | undefined =>
  asksNobody(after) && !asksNobody(before)
    ? "no source would be left, and the node would serve its own clock: name another first, or say server 127.127.1.0"
    : undefined
