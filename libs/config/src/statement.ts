/** One line's tokens, read by the row of its first word: typed values, or located diagnostics. */
import { parseAddress, parsePrefix } from "./address.ts"
import { errorAt, warningAt, type Diagnostic, type Location } from "./diagnostic.ts"
import { syntaxOf, type Directive, type Operand, type Option } from "./directive.ts"
import { directiveWords, findDirective } from "./directives.ts"
import { findKnownWord, KNOWN_WORDS } from "./known-words.ts"
import { describeToken, type Token, type TokenLine } from "./lexer.ts"
import { didYouMean, nearestWord } from "./nearest.ts"
import { refused, type Parsed, type ValueType } from "./value-types.ts"

type OperandValue<O> =
  O extends Operand<infer T, infer Count>
    ? Count extends "one"
      ? T
      : Count extends "optional"
        ? T | undefined
        : readonly T[]
    : never

type OptionValue<P> = P extends ValueType<infer T> ? T | undefined : true | undefined

/** The values of a row's operands and options by name; an option or optional operand that was not given is undefined. */
type ValuesOf<D extends Directive> = {
  readonly [K in keyof D["operands"]]: OperandValue<D["operands"][K]>
} & {
  readonly [K in keyof D["options"]]: OptionValue<D["options"][K]>
}

export interface Statement<D extends Directive = Directive> {
  readonly directive: D
  readonly values: ValuesOf<D>
  /** The keyword's place. */
  readonly location: Location
  /** The place of each value that was given, by the name of its operand or option; of several by `names.0` and so on too. */
  readonly places: ReadonlyMap<string, Location>
  /** The place of the word that names each option that was given; of an operand that of its value. */
  readonly words: ReadonlyMap<string, Location>
}

/** The statements of one row, in file order, with their values' types. */
export const statementsOf = <D extends Directive>(statements: readonly Statement[], directive: D): Statement<D>[] =>
  statements.filter((statement): statement is Statement<D> => (statement.directive as Directive) === directive)

interface ReadLine {
  /** Absent where the line has an error, or has no effect. */
  readonly statement?: Statement
  readonly diagnostics: readonly Diagnostic[]
  /** The line begins with a word that no daemon has. */
  readonly unknown?: true
  /** The directive that was meant by a line with an error, as far as can be told. */
  readonly failed?: string | undefined
}

/** Reads one line. Never throws; a line with an error gives no statement. */
export const readStatement = (line: TokenLine): ReadLine => {
  const keyword = line.tokens[0]
  if (keyword === undefined) return { diagnostics: [] }
  const directive = keyword.kind === "word" ? findDirective(keyword.text) : undefined
  if (directive !== undefined) {
    const read = new LineReader(line, keyword, directive).read()
    return read.statement === undefined ? { ...read, failed: directive.name } : read
  }
  const known = keyword.kind === "word" ? findKnownWord(keyword.text) : undefined
  return known === undefined
    ? { ...strangeLine(keyword, line.tokens.slice(1)), unknown: true }
    : { diagnostics: [warningAt(keyword, withoutEffect(known.name, known.because))] }
}

const FIRST_WORDS: readonly string[] = [...directiveWords(), ...KNOWN_WORDS.map((word) => word.name)]

/**
 * A first word that nobody knows. ntpd logs such a line and goes on without it. So does this where nothing can have been
 * meant by it, as with a sentence that lost its `#`; what looks like a directive mistyped, or names an address, is an error.
 */
const strangeLine = (keyword: Token, others: readonly Token[]): ReadLine => {
  if (keyword.kind !== "word") {
    const problem = `found ${describeToken(keyword)}, expected a directive's name at the start of the line`
    return { diagnostics: [errorAt(keyword, problem)] }
  }
  const near = nearestWord(keyword.text, FIRST_WORDS)
  const isMeant = near !== undefined || [keyword, ...others].some(({ text }) => parsePrefix(text) ?? parseAddress(text))
  const problem = isMeant
    ? errorAt(keyword, `found ${describeToken(keyword)}, expected a directive${didYouMean(near)}`)
    : warningAt(
        keyword,
        `found ${describeToken(keyword)}, which begins no directive: this line is left out, as by ntpd; put # before it`
      )
  return { diagnostics: [problem], failed: near }
}

const withoutEffect = (word: string, because?: string): string =>
  because === undefined
    ? `'${word}' is known but not acted on yet; this line has no effect`
    : `'${word}' has no effect: ${because}`

const parseToken = (token: Token, type: ValueType<unknown>): Parsed<unknown> => {
  if (token.kind !== "group") return type.parse(token.text)
  return type.takesGroups === undefined ? refused : type.parse(`(${token.text})`)
}

/** Near to none of the words of a choice. */
const isStrange = (token: Token, { words }: ValueType<unknown>): boolean =>
  words !== undefined && nearestWord(token.text, words) === undefined

class LineReader {
  readonly #line: TokenLine
  readonly #keyword: Token
  readonly #directive: Directive
  readonly #diagnostics: Diagnostic[] = []
  readonly #values: Record<string, unknown> = {}
  readonly #places = new Map<string, Location>()
  readonly #words = new Map<string, Location>()
  #next = 1

  constructor(line: TokenLine, keyword: Token, directive: Directive) {
    this.#line = line
    this.#keyword = keyword
    this.#directive = directive
  }

  read(): ReadLine {
    // The first structural error ends the line: what follows it cannot be told apart any more.
    const isWhole = this.#readOperands() && this.#readOptions() && this.#hasOption()
    if (!isWhole || this.#diagnostics.some(({ severity }) => severity === "error"))
      return { diagnostics: this.#diagnostics }
    if (this.#directive.actedOn === false) {
      this.#diagnostics.push(warningAt(this.#keyword, withoutEffect(this.#keyword.text, this.#directive.pointless)))
    }
    const statement: Statement = {
      directive: this.#directive,
      values: this.#values,
      location: this.#keyword,
      places: this.#places,
      words: this.#words
    }
    return { statement, diagnostics: this.#diagnostics }
  }

  #readOperands(): boolean {
    return Object.entries(this.#directive.operands).every(([name, { type, count }]) => {
      if (count === "one") return this.#readOne(name, type)
      if (count === "optional") return this.#readOptional(name, type)
      return this.#readRest(name, type, count === "any")
    })
  }

  #readOne(name: string, type: ValueType<unknown>): boolean {
    const token = this.#take()
    if (token === undefined) return this.#missing(`${name} of '${this.#directive.name}'`, type)
    this.#keep(name, token, this.#valueOf(token, type))
    return true
  }

  #readOptional(name: string, type: ValueType<unknown>): boolean {
    const token = this.#line.tokens[this.#next]
    if (token === undefined) return true
    // The name of an option is that, though it may look like a host's: `deny all kod`.
    if (token.kind === "word" && Object.hasOwn(this.#directive.options, token.text)) return true
    const parsed = parseToken(token, type)
    if (parsed.ok) {
      this.#next += 1
      this.#keep(name, token, parsed.value)
    }
    return true
  }

  #readRest(name: string, type: ValueType<unknown>, mayBeNone: boolean): boolean {
    const values: unknown[] = []
    const first = this.#line.tokens[this.#next]
    if (first === undefined && mayBeNone) {
      this.#values[name] = values
      return true
    }
    if (first === undefined) return this.#missing(`${name} of '${this.#directive.name}'`, type)
    for (let token = this.#take(); token !== undefined; token = this.#take()) {
      if (this.#directive.mayBeLeftOut && isStrange(token, type)) {
        this.#diagnostics.push(this.#leftOut(token))
        return false
      }
      this.#places.set(`${name}.${values.length}`, token)
      values.push(this.#valueOf(token, type))
    }
    this.#keep(name, first, values)
    return true
  }

  #readOptions(): boolean {
    const { options } = this.#directive
    for (let token = this.#take(); token !== undefined; token = this.#take()) {
      const option: Option | undefined =
        token.kind === "word" && Object.hasOwn(options, token.text) ? options[token.text] : undefined
      const dropped = this.#directive.droppedOptions
      const pointless = token.kind === "word" && Object.hasOwn(dropped, token.text) ? dropped[token.text] : undefined
      if (pointless !== undefined) {
        this.#diagnostics.push(warningAt(token, withoutEffect(token.text, pointless)))
        continue
      }
      if (option === undefined) return this.#unknownOption(token)
      if (this.#places.has(token.text)) {
        this.#diagnostics.push(warningAt(token, `'${token.text}' is given twice on this line; the last one counts`))
      }
      if (option === "switch") {
        this.#keep(token.text, token, true)
        continue
      }
      const argument = this.#take()
      if (argument === undefined) return this.#missing(`the value of '${token.text}'`, option)
      this.#keep(token.text, argument, this.#valueOf(argument, option), token)
    }
    return true
  }

  #hasOption(): boolean {
    if (!this.#directive.needsOption || this.#words.size > Object.keys(this.#directive.operands).length) return true
    const names = Object.keys(this.#directive.options).join(", ")
    this.#diagnostics.push(
      errorAt(this.#line.end, `found the end of the line, expected an option of '${this.#directive.name}': ${names}`)
    )
    return false
  }

  #unknownOption(token: Token): boolean {
    const names = Object.keys(this.#directive.options)
    const expected =
      names.length === 0 ? "the end of the line" : `the end of the line or an option of '${this.#directive.name}'`
    const near = nearestWord(token.text, names)
    const { mayBeLeftOut, saidOtherwise = {} } = this.#directive
    const hint = Object.hasOwn(saidOtherwise, token.text) ? `; ${saidOtherwise[token.text]}` : didYouMean(near)
    this.#diagnostics.push(
      mayBeLeftOut && near === undefined
        ? this.#leftOut(token)
        : errorAt(token, `found ${describeToken(token)}, expected ${expected}${hint}`)
    )
    return false
  }

  #leftOut(token: Token): Diagnostic {
    const { name } = this.#directive
    return warningAt(token, `found ${describeToken(token)}, no word of '${name}': this line is left out, as by ntpd`)
  }

  #missing(what: string, type: ValueType<unknown>): boolean {
    const syntax = syntaxOf(this.#directive).join(" ")
    const usage = syntax.length > 60 ? "" : `; write: ${syntax}`
    this.#diagnostics.push(
      errorAt(this.#line.end, `found the end of the line, expected ${what}: ${type.expected}${usage}`)
    )
    return false
  }

  /** The token's value; reports and gives undefined where it is none, and the rest of the line is still checked. */
  #valueOf(token: Token, type: ValueType<unknown>): unknown {
    const parsed = parseToken(token, type)
    if (parsed.ok) return parsed.value
    const near =
      parsed.advice === undefined ? didYouMean(nearestWord(token.text, type.words ?? [])) : `; ${parsed.advice}`
    this.#diagnostics.push(errorAt(token, `found ${describeToken(token)}, expected ${type.expected}${near}`))
    return undefined
  }

  #take(): Token | undefined {
    const token = this.#line.tokens[this.#next]
    if (token !== undefined) this.#next += 1
    return token
  }

  #keep(name: string, place: Location, value: unknown, word: Location = place): void {
    this.#values[name] = value
    this.#places.set(name, place)
    this.#words.set(name, word)
  }
}
