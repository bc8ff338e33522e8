/**
 * A configuration file, with the files it includes, to statements and diagnostics. A bad line does not stop the reading:
 * every line is looked at and every error is reported. Files are read by the caller's function, so this stays pure.
 */
import { sourceLineOfChrony, withoutOtherComments } from "./chrony-options.ts"
import { errorAt, isError, quoted, warningAt, type Diagnostic, type Location } from "./diagnostic.ts"
import { includeDirective, sourcedirDirective } from "./directives.ts"
import type { UnreadLine } from "./dialect.ts"
import { findKnownWord } from "./known-words.ts"
import { lex } from "./lexer.ts"
import { readStatement, statementsOf, type Statement } from "./statement.ts"

/** Include files may be nested to this depth (ntp.conf(5)); the first file is at depth 0. */
const MAX_INCLUDE_DEPTH = 5

/** Files and bytes one configuration may have in all, so that includes of includes cannot grow without bound. */
const MAX_FILES = 200
const MAX_TOTAL_BYTES = 32 * 1_048_576

/** What lies at a path: a file's bytes, or the names of a directory's entries. */
type ReadResult =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: true; readonly entries: readonly string[] }
  /** Why it could not be read, for a person: "no such file", "permission denied"; `missing`: nothing is there. */
  | { readonly ok: false; readonly reason: string; readonly missing?: boolean }

/**
 * Reads a file or lists a directory. `path` is already resolved against the including file `from` (undefined for the
 * first file). Must not throw.
 */
export type ReadFile = (path: string, from: string | undefined) => ReadResult

export interface Configuration {
  /** In the order of the text, included files in place of their line. */
  readonly statements: readonly Statement[]
  /** In the order of the text. */
  readonly diagnostics: readonly Diagnostic[]
  /** Lines whose first word is known and not acted on. */
  readonly unread: readonly UnreadLine[]
  /** Every file read, the first one first. */
  readonly files: readonly string[]
  /** Included files that are not there. */
  readonly missing: readonly string[]
  /** Directives of which a line has an error. */
  readonly failed: ReadonlySet<string>
  /** Where a line stands in the text as a whole, included files in place of their line; -1 for what is no line. */
  readonly positionOf: (location: { readonly file: string; readonly line: number }) => number
}

/** Reads `path` and all that it includes. Never throws; what cannot be read is a diagnostic. */
export const parseConfiguration = (path: string, readFile: ReadFile): Configuration => {
  const reader = new ConfigurationReader(readFile)
  reader.read(path, undefined, [])
  return reader.result(path)
}

/** Reads a text that is not in a file, under the name `file`; its includes go through `readFile` if given. */
export const parseText = (file: string, text: string, readFile: ReadFile = refuseIncludes): Configuration =>
  parseConfiguration(file, (path, from) =>
    from === undefined ? { ok: true, bytes: new TextEncoder().encode(text) } : readFile(path, from)
  )

const refuseIncludes: ReadFile = () => ({ ok: false, reason: "no files can be included here" })

/** `path` as seen from the file `from`: relative to its directory, with `.` and `..` taken out as far as text allows. */
export const resolveInclude = (path: string, from: string): string => {
  const joined = path.startsWith("/") ? path : from.slice(0, from.lastIndexOf("/") + 1) + path
  const parts: string[] = []
  for (const part of joined.split("/")) {
    if (part === "" || part === ".") continue
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop()
    else if (part !== ".." || !joined.startsWith("/")) parts.push(part)
  }
  return (joined.startsWith("/") ? "/" : "") + parts.join("/")
}

/** What a *.sources file may hold. */
const SOURCE_WORDS: ReadonlySet<string> = new Set(["server", "pool", "peer"])

class ConfigurationReader {
  readonly #readFile: ReadFile
  readonly #statements: Statement[] = []
  readonly #diagnostics: Diagnostic[] = []
  readonly #unread: UnreadLine[] = []
  readonly #files: string[] = []
  readonly #missing: string[] = []
  readonly #failed = new Set<string>()
  /** By file and line. */
  readonly #positions = new Map<string, number>()
  #bytes = 0
  /** The first line of which nobody knows the word, and whether any line was understood. */
  #stranger: Location | undefined
  #understood = false

  constructor(readFile: ReadFile) {
    this.#readFile = readFile
  }

  result(path: string): Configuration {
    if (this.#stranger !== undefined && !this.#understood)
      this.#diagnostics.push(
        errorAt(this.#stranger, `no line of ${quoted(path)} is one of ntp.conf; is it another program's file?`)
      )
    const positions = this.#positions
    return {
      statements: this.#statements,
      diagnostics: this.#diagnostics,
      unread: this.#unread,
      files: this.#files,
      missing: this.#missing,
      failed: this.#failed,
      positionOf: ({ file, line }) => positions.get(`${line} ${file}`) ?? -1
    }
  }

  /** `stack` holds the files whose include led here, outermost first; `includedAt` is the last of those lines. */
  read(path: string, includedAt: Location | undefined, stack: readonly string[]): void {
    const where = includedAt ?? { file: path, line: 1, column: 1, length: 1, lineText: "" }
    const problem = this.#problemWith(path, stack)
    if (problem !== undefined) {
      this.#diagnostics.push(errorAt(where, problem))
      return
    }
    const result = this.#readFile(path, includedAt?.file)
    if (!result.ok) {
      // ntpd logs it and goes on; what is there and cannot be read may hold what closes a server.
      if (result.missing === true && includedAt !== undefined) {
        this.#missing.push(path)
        this.#diagnostics.push(warningAt(where, `${quoted(path)} is not there; the rest is used without it`))
      } else this.#diagnostics.push(errorAt(where, `${quoted(path)} cannot be read: ${result.reason}`))
    } else if ("entries" in result) {
      this.#readDirectory(path, result.entries, includedAt, stack)
    } else {
      this.#readBytes(path, result.bytes, where, stack)
    }
  }

  #problemWith(path: string, stack: readonly string[]): string | undefined {
    if (stack.includes(path))
      return `${quoted(path)} includes itself (${[...stack, path].map(quoted).join(" → ")}); take one of the lines out`
    if (stack.length > MAX_INCLUDE_DEPTH)
      return `${quoted(path)} is nested too deep, expected at most ${MAX_INCLUDE_DEPTH} levels of includefile`
    if (this.#files.length >= MAX_FILES)
      return `${quoted(path)} is one file too many, expected at most ${MAX_FILES} in one configuration`
    return undefined
  }

  /** As NTPsec: the entries that end in .conf, in the order of their names. */
  #readDirectory(
    path: string,
    entries: readonly string[],
    includedAt: Location | undefined,
    stack: readonly string[]
  ): void {
    if (includedAt === undefined) {
      const where = { file: path, line: 1, column: 1, length: 1, lineText: "" }
      this.#diagnostics.push(errorAt(where, `${quoted(path)} is a directory, expected a configuration file`))
      return
    }
    const directory = path.endsWith("/") ? path : `${path}/`
    const names = entries.filter((entry) => entry.endsWith(".conf") && !entry.startsWith(".")).toSorted()
    for (const name of names) this.read(directory + name, includedAt, stack)
  }

  /** As chrony: the entries that end in .sources, of which each may be missing, like the directory. */
  #readSources(directory: string, from: Location, stack: readonly string[]): void {
    const result = this.#readFile(directory, from.file)
    if (!result.ok) return
    if (!("entries" in result)) {
      this.#diagnostics.push(errorAt(from, `${quoted(directory)} is a file, expected a directory of *.sources`))
      return
    }
    const names = result.entries.filter((entry) => entry.endsWith(".sources") && !entry.startsWith(".")).toSorted()
    const within = directory.endsWith("/") ? directory : `${directory}/`
    const before = this.#statements.length
    for (const name of names) this.read(within + name, from, stack)
    for (const { directive, location } of this.#statements.splice(before).filter((one) => !this.#keepSource(one)))
      this.#diagnostics.push(
        errorAt(
          location,
          `found '${directive.name}', expected server, pool or peer: a *.sources file holds nothing else`
        )
      )
  }

  #keepSource(statement: Statement): boolean {
    const isSource = SOURCE_WORDS.has(statement.directive.name)
    if (isSource) this.#statements.push(statement)
    return isSource
  }

  #readBytes(path: string, bytes: Uint8Array, where: Location, stack: readonly string[]): void {
    this.#files.push(path)
    this.#bytes += bytes.length
    if (this.#bytes > MAX_TOTAL_BYTES) {
      this.#diagnostics.push(
        errorAt(where, `${quoted(path)} makes the configuration larger than ${MAX_TOTAL_BYTES} bytes in all`)
      )
      return
    }
    // What stands in a *.sources file was written for chrony.
    const isOfChrony = path.endsWith(".sources")
    const { lines, diagnostics } = lex(path, isOfChrony ? withoutOtherComments(bytes) : bytes)
    let next = 0
    const place = (line: number): void => void this.#positions.set(`${line} ${path}`, this.#positions.size)
    for (const line of lines) {
      place(line.end.line)
      // The lexer's errors come in between, so that a reader meets all of them in the order of the text.
      for (; (diagnostics[next]?.line ?? Infinity) < line.end.line; next++) this.#diagnostics.push(diagnostics[next]!)
      const read = isOfChrony ? sourceLineOfChrony(line) : { line, diagnostics: [] }
      const { statement, diagnostics: found, unknown, failed } = readStatement(read.line)
      if (failed !== undefined) this.#failed.add(failed)
      for (const one of [...read.diagnostics, ...found]) this.#diagnostics.push(one)
      if (unknown !== true) this.#understood = true
      else if (!found.some(isError)) this.#stranger ??= line.tokens[0]
      const [keyword] = line.tokens
      if (statement === undefined && keyword?.kind === "word" && findKnownWord(keyword.text) !== undefined)
        this.#unread.push({ ...keyword, word: keyword.text })
      if (statement !== undefined) this.#add(statement, [...stack, path])
    }
    for (; next < diagnostics.length; next++) this.#diagnostics.push(diagnostics[next]!)
  }

  #add(statement: Statement, stack: readonly string[]): void {
    const [sourcedir] = statementsOf([statement], sourcedirDirective)
    if (sourcedir !== undefined) {
      const { location, places, values } = sourcedir
      this.#readSources(resolveInclude(values.directory, location.file), places.get("directory") ?? location, stack)
      return
    }
    const [include] = statementsOf([statement], includeDirective)
    if (include === undefined) {
      this.#statements.push(statement)
      return
    }
    const { file } = include.values
    this.read(resolveInclude(file, include.location.file), include.places.get("file") ?? include.location, stack)
  }
}
