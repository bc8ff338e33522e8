/**
 * What a message between processes looks like, declared once: the TypeScript type follows from it ({@link TypeOf}), and so do
 * the check that every process makes ({@link read}) and the sums over processes (sums.ts). The check is plain code, because workers do
 * not load Effect, which would double their memory; tests judge it by the Effect Schema of the same shape.
 */

/** A shape of A. What it consists of is for {@link problemOf} and sums.ts to know. */
export interface Shape<out A> {
  readonly node: ShapeNode
  /** Never there: carries the type. */
  readonly type?: A
}

export type TypeOf<S> = S extends Shape<infer A> ? A : never

export type ShapeNode =
  | { readonly kind: "flag" }
  | {
      readonly kind: "number"
      readonly whole: boolean
      readonly least: number
      readonly most: number
      /** Of several processes the greatest stands, not the sum (sums.ts). */
      readonly greatest?: true
    }
  | { readonly kind: "text"; readonly least: number; readonly most: number; readonly secret: boolean }
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "bytes"; readonly least: number; readonly most: number }
  | { readonly kind: "list"; readonly of: ShapeNode; readonly most: number }
  | { readonly kind: "bins"; readonly length: number }
  | { readonly kind: "counts" }
  | { readonly kind: "nullable"; readonly of: ShapeNode }
  | { readonly kind: "tagged"; readonly tag: string; readonly by: Readonly<Record<string, RecordNode>> }
  | RecordNode
  | { readonly kind: "rule"; readonly of: ShapeNode; readonly says: string; readonly holds: (value: never) => boolean }

interface RecordNode {
  readonly kind: "record"
  readonly fields: Readonly<Record<string, Field>>
}

interface Field {
  readonly node: ShapeNode
  readonly optional: boolean
}

/** A message that is not what it should be: names the place, what was expected and what was found, and no secret. */
export class InvalidMessage extends Error {
  readonly _tag = "InvalidMessage"
}

export const flag: Shape<boolean> = { node: { kind: "flag" } }

/** A whole number from `least` to `most`. */
export const whole = (least: number, most: number): Shape<number> => ({
  node: { kind: "number", whole: true, least, most }
})

/** A number that is neither infinite nor NaN. */
export const finite = (least = -Number.MAX_VALUE, most = Number.MAX_VALUE): Shape<number> => ({
  node: { kind: "number", whole: false, least, most }
})

/** A total that only grows; those of several processes add up. */
export const count: Shape<number> = whole(0, Number.MAX_SAFE_INTEGER)

/** Of several processes the greatest stands: what belongs to something that they share, or a record. */
export const greatest = (of: Shape<number>): Shape<number> => ({
  node: { ...(of.node as Extract<ShapeNode, { kind: "number" }>), greatest: true }
})

/** A text of `least` to `most` UTF-16 units. */
export const text = (least = 1, most = 4_096): Shape<string> => ({ node: { kind: "text", least, most, secret: false } })

/** A text that no error quotes. */
export const secretText = (least = 1, most = 4_096): Shape<string> => ({
  node: { kind: "text", least, most, secret: true }
})

export const words = <const W extends readonly string[]>(...all: W): Shape<W[number]> => ({
  node: { kind: "words", words: all }
})

/** A Uint8Array; no error quotes it. */
export const bytes = (least: number, most: number): Shape<Uint8Array> => ({ node: { kind: "bytes", least, most } })

export const list = <A>(of: Shape<A>, most: number): Shape<readonly A[]> => ({
  node: { kind: "list", of: of.node, most }
})

/** A histogram: so many counts, none negative. */
export const bins = (length: number): Shape<readonly number[]> => ({ node: { kind: "bins", length } })

/** Counts by name, none negative. */
export const counts: Shape<Readonly<Record<string, number>>> = { node: { kind: "counts" } }

export const nullable = <A>(of: Shape<A>): Shape<A | null> => ({ node: { kind: "nullable", of: of.node } })

/** A field that may be absent. */
interface Optional<out A> {
  readonly optional: Shape<A>
}
export const optional = <A>(of: Shape<A>): Optional<A> => ({ optional: of })

type Fields = Readonly<Record<string, Shape<unknown> | Optional<unknown>>>
type Simplify<T> = { readonly [K in keyof T]: T[K] }
type RecordOf<F extends Fields> = Simplify<
  { readonly [K in keyof F as F[K] extends Shape<unknown> ? K : never]: TypeOf<F[K]> } & {
    readonly [K in keyof F as F[K] extends Optional<unknown> ? K : never]?: F[K] extends Optional<infer A> ? A : never
  }
>

/** An object with these fields; others are let be, and left away by nobody. */
export const record = <const F extends Fields>(fields: F): Shape<RecordOf<F>> => ({
  node: {
    kind: "record",
    fields: Object.fromEntries(
      Object.entries(fields).map(([name, field]): [string, Field] => [
        name,
        "optional" in field
          ? { node: field.optional.node, optional: true }
          : { node: (field as Shape<unknown>).node, optional: false }
      ])
    )
  }
})

/** One of several records, told by the text in the field `tag`. @param by shapes made by {@link record} */
export const tagged = <const Tag extends string, const By extends Readonly<Record<string, Shape<unknown>>>>(
  tag: Tag,
  by: By
): Shape<TaggedOf<Tag, By>> => ({
  node: {
    kind: "tagged",
    tag,
    by: Object.fromEntries(Object.entries(by).map(([word, { node }]) => [word, node as RecordNode]))
  }
})
export type TaggedOf<Tag extends string, By> = {
  [Word in keyof By]: Simplify<{ readonly [T in Tag]: Word } & TypeOf<By[Word]>>
}[keyof By]

/** A further condition: `says` follows "expected". */
export const rule = <A>(of: Shape<A>, says: string, holds: (value: A) => boolean): Shape<A> => ({
  node: { kind: "rule", of: of.node, says, holds: holds as (value: never) => boolean }
})

/**
 * The value as what it is.
 * @param name how the message is called in the error
 * @throws InvalidMessage
 */
export const read = <A>(shape: Shape<A>, name: string, value: unknown): A => {
  const problem = problemOf(shape.node, value, name)
  if (problem !== undefined) throw new InvalidMessage(problem)
  return value as A
}

/** Whether the value is of the shape. */
export const fits = <A>(shape: Shape<A>, value: unknown): value is A => problemOf(shape.node, value, "") === undefined

const expected = (path: string, what: string, found: string): string => `${path}: expected ${what}, found ${found}`

const problemOf = (node: ShapeNode, value: unknown, path: string): string | undefined => {
  switch (node.kind) {
    case "flag":
      return typeof value === "boolean" ? undefined : expected(path, "true or false", shown(value))
    case "number": {
      const isGood =
        typeof value === "number" &&
        (node.whole ? Number.isSafeInteger(value) : Number.isFinite(value)) &&
        value >= node.least &&
        value <= node.most
      return isGood ? undefined : expected(path, numberWords(node), shown(value))
    }
    case "text": {
      if (typeof value === "string" && value.length >= node.least && value.length <= node.most) return undefined
      const what = `a text of ${node.least} to ${node.most} characters`
      return expected(path, what, node.secret ? hidden(value) : shown(value))
    }
    case "words":
      return node.words.includes(value as string) ? undefined : expected(path, node.words.join(", "), shown(value))
    case "bytes": {
      if (value instanceof Uint8Array && value.length >= node.least && value.length <= node.most) return undefined
      const size = node.least === node.most ? String(node.least) : `${node.least} to ${node.most}`
      return expected(path, `${size} bytes`, hidden(value))
    }
    case "counts":
      return isObject(value) && Object.values(value).every((count) => typeof count === "number" && count >= 0)
        ? undefined
        : expected(path, "counts by name", shown(value))
    case "bins":
      return Array.isArray(value) && value.length === node.length && value.every(isCount)
        ? undefined
        : expected(path, `${node.length} counts`, shown(value))
    case "tagged": {
      const word = isObject(value) ? value[node.tag] : undefined
      const of = typeof word === "string" && Object.hasOwn(node.by, word) ? node.by[word] : undefined
      if (of !== undefined) return problemOf(of, value, path)
      return expected(`${path}.${node.tag}`, Object.keys(node.by).join(", "), shown(word))
    }
    case "nullable":
      return value === null ? undefined : problemOf(node.of, value, path)
    case "list":
      return listProblem(node, value, path)
    case "record":
      return recordProblem(node, value, path)
    case "rule": {
      const problem = problemOf(node.of, value, path)
      if (problem !== undefined) return problem
      return node.holds(value as never) ? undefined : expected(path, node.says, "otherwise")
    }
  }
}

const listProblem = (
  { of, most }: Extract<ShapeNode, { kind: "list" }>,
  value: unknown,
  path: string
): string | undefined => {
  if (!Array.isArray(value)) return expected(path, "a list", shown(value))
  if (value.length > most) return expected(path, `at most ${most} entries`, String(value.length))
  for (let at = 0; at < value.length; at += 1) {
    const problem = problemOf(of, value[at], "")
    // The path is put together for what is wrong alone: lists of keys are long.
    if (problem !== undefined) return `${path}[${at}]${problem}`
  }
  return undefined
}

const recordProblem = (
  { fields }: Extract<ShapeNode, { kind: "record" }>,
  value: unknown,
  path: string
): string | undefined => {
  if (!isObject(value)) return expected(path, "an object", shown(value))
  for (const name in fields) {
    const field = fields[name] as Field
    const inner = value[name]
    if (inner === undefined && field.optional) continue
    const problem = problemOf(field.node, inner, `.${name}`)
    if (problem !== undefined) return `${path}${problem}`
  }
  return undefined
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

const numberWords = ({ whole: isWhole, least, most }: Extract<ShapeNode, { kind: "number" }>): string => {
  const what = isWhole ? "a whole number" : "a number"
  if (least > -Number.MAX_VALUE && most < Number.MAX_VALUE) return `${what} from ${least} to ${most}`
  return least === 0 ? `${what} that is not negative` : what
}

/** What was found, short. Bytes and what holds others are not quoted: keys travel in these messages. */
const shown = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  return typeof value === "number" || typeof value === "boolean" ? String(value) : hidden(value)
}

const hidden = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (value === null) return "null"
  if (typeof value === "string") return `a text of ${value.length} characters`
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
  return Array.isArray(value) ? `a list of ${value.length}` : `a value of type ${typeof value}`
}
