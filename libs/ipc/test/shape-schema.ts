/** The Effect Schema of a shape, by which the plain check of shape.ts is judged: it takes and refuses the same. */
import * as Schema from "effect/Schema"
import type { Shape, ShapeNode } from "@meridian/ipc/shape"

/** A schema whose decoded and encoded forms are both A. */
export const schemaOf = <A>(shape: Shape<A>): Schema.Codec<A> => schemaOfNode(shape.node) as unknown as Schema.Codec<A>

const schemaOfNode = (node: ShapeNode): Schema.Codec<unknown> => {
  switch (node.kind) {
    case "flag":
      return Schema.Boolean
    case "number":
      return (node.whole ? Schema.Int : Schema.Finite).check(
        Schema.isBetween({ minimum: node.least, maximum: node.most })
      )
    case "text":
      return Schema.String.check(Schema.isBetweenLength(node.least, node.most))
    case "words":
      return Schema.Literals(node.words)
    case "bytes":
      return Schema.Uint8Array.check(
        Schema.makeFilter((value: Uint8Array) => value.length >= node.least && value.length <= node.most)
      )
    case "list":
      return Schema.Array(schemaOfNode(node.of)).check(Schema.isMaxLength(node.most))
    case "counts":
      return Schema.Record(Schema.String, Schema.Number.check(Schema.makeFilter((count: number) => count >= 0)))
    case "bins": {
      const bin = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
      return Schema.Array(bin).check(Schema.isMinLength(node.length), Schema.isMaxLength(node.length))
    }
    case "tagged":
      return Schema.Union(
        Object.entries(node.by).map(([word, { fields }]) => structOf(fields, { [node.tag]: Schema.Literal(word) }))
      )
    case "nullable":
      return Schema.NullOr(schemaOfNode(node.of))
    case "record":
      return structOf(node.fields, {})
    case "rule":
      return schemaOfNode(node.of).check(Schema.makeFilter((value: unknown) => node.holds(value as never)))
  }
}

const structOf = (
  fields: Extract<ShapeNode, { kind: "record" }>["fields"],
  more: Readonly<Record<string, Schema.Codec<unknown>>>
): Schema.Codec<unknown> => {
  const own = Object.entries(fields).map(([name, field]) => {
    const inner = schemaOfNode(field.node)
    return [name, field.optional ? Schema.optional(inner) : inner]
  })
  return Schema.Struct({ ...Object.fromEntries(own), ...more }) as unknown as Schema.Codec<unknown>
}
