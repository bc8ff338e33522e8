/** Figures of several processes as one, by what their shape says: counts add, what is `greatest` does not. */
import type { Shape, ShapeNode } from "./shape.ts"

/** The figures of two processes together, or of one and those that went before it. */
export const sumOf = <A>(shape: Shape<A>, a: A, b: A): A => sum(shape.node, a, b) as A

/** What a process has counted that has not begun. Optional figures are absent. */
export const zeroOf = <A>(shape: Shape<A>): A => zero(shape.node) as A

type Figures = Readonly<Record<string, unknown>>

const sum = (node: ShapeNode, a: unknown, b: unknown): unknown => {
  switch (node.kind) {
    case "number":
      return node.greatest === true ? Math.max(a as number, b as number) : (a as number) + (b as number)
    case "bins":
      return (a as readonly number[]).map((count, at) => count + ((b as readonly number[])[at] ?? 0))
    case "counts":
      return sumOfCounts(a as Readonly<Record<string, number>>, b as Readonly<Record<string, number>>)
    case "record":
      return Object.fromEntries(
        Object.entries(node.fields).flatMap(([name, field]) => {
          const [x, y] = [(a as Figures)[name], (b as Figures)[name]]
          if (x === undefined && y === undefined) return []
          return [[name, x === undefined ? y : y === undefined ? x : sum(field.node, x, y)]]
        })
      )
    case "flag":
    case "text":
    case "words":
    case "bytes":
    case "list":
    case "nullable":
    case "tagged":
    case "rule":
      throw new TypeError(`figures of the kind ${node.kind} have no sum`)
  }
}

/** Name by name; one that only one side has keeps its count. */
const sumOfCounts = (
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>
): Readonly<Record<string, number>> => {
  const sums: Record<string, number> = { ...a }
  for (const [name, count] of Object.entries(b)) sums[name] = (sums[name] ?? 0) + count
  return sums
}

const zero = (node: ShapeNode): unknown => {
  switch (node.kind) {
    case "number":
      return 0
    case "bins":
      return Array.from({ length: node.length }, () => 0)
    case "counts":
      return {}
    case "record":
      return Object.fromEntries(
        Object.entries(node.fields).flatMap(([name, field]) => (field.optional ? [] : [[name, zero(field.node)]]))
      )
    case "flag":
    case "text":
    case "words":
    case "bytes":
    case "list":
    case "nullable":
    case "tagged":
    case "rule":
      throw new TypeError(`figures of the kind ${node.kind} have no zero`)
  }
}
