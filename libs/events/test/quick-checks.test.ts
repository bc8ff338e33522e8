/** The quick checks say true of nothing that the schemas refuse, and of everything that a log is full of. */
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type AnyEvent, definitions, judgeEvent, judgeEventBySchema } from "../src/catalogue.ts"
import { isNodeName } from "../src/event.ts"
import { isQuickId, quickChecks } from "../src/quick-checks.ts"
import { GOLDEN, type Golden } from "./golden.ts"

const written = readdirSync(GOLDEN).map(
  (file) => (JSON.parse(readFileSync(join(GOLDEN, file), "utf8")) as Golden).written as AnyEvent
)

/** Values near the bounds that the schemas draw, and of every kind. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    "",
    "x",
    "é".repeat(128),
    "x".repeat(129),
    "x".repeat(256),
    "x".repeat(257),
    "😀".repeat(64),
    "😀".repeat(65),
    -1,
    0,
    -0,
    1,
    16,
    17,
    255,
    256,
    65_535,
    65_536,
    0.5,
    2 ** 53 - 1,
    2 ** 53,
    1e308,
    NaN,
    Infinity,
    [],
    {},
    [[]],
    "none",
    "insert",
    "2026-02-29T00:00:00.000Z",
    "2028-02-29T00:00:00.000Z",
    undefined
  ),
  fc.anything(),
  fc.jsonValue()
)

type Path = ReadonlyArray<string | number>

/** Every place in a value. */
const pathsOf = (value: unknown, at: Path = []): ReadonlyArray<Path> =>
  typeof value === "object" && value !== null
    ? [at, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...at, key]))]
    : [at]

const withAt = (value: unknown, [head, ...rest]: Path, put: unknown): unknown => {
  if (head === undefined) return put
  const copy: Record<string, unknown> | Array<unknown> = Array.isArray(value) ? [...value] : { ...(value as object) }
  ;(copy as Record<string, unknown>)[head] = withAt((value as Record<string, unknown>)[head], rest, put)
  return copy
}

const without = (value: unknown, path: Path): unknown => {
  const copy = structuredClone(value) as Record<string, unknown>
  let inner = copy
  for (const key of path.slice(0, -1)) inner = inner[key] as Record<string, unknown>
  delete inner[path.at(-1) as string]
  return copy
}

const verdict = (judged: ReturnType<typeof judgeEvent>): unknown =>
  "_tag" in judged ? [judged.reason, judged.detail] : judged

describe("the quick checks", () => {
  it("are of events that exist, and accept the golden ones", () => {
    const schemas = new Map(definitions.map(({ type, schema }) => [type, Schema.is(schema)]))
    const types = Object.keys(quickChecks)
    expect(types.length).toBeGreaterThan(5)
    for (const type of types) {
      const sample = written.find((event) => event.type === type)
      expect([type, quickChecks[type]?.(sample?.data as object), schemas.get(type)?.(sample?.data)]).toEqual([
        type,
        true,
        true
      ])
    }
  })

  for (const type of Object.keys(quickChecks))
    it(`of ${type} accept nothing that its schema refuses`, () => {
      const is = Schema.is((definitions.find((it) => it.type === type) as (typeof definitions)[number]).schema)
      const { data } = written.find((event) => event.type === type) as AnyEvent
      let accepted = 0
      fc.assert(
        fc.property(fc.constantFrom(...pathsOf(data)), odd, fc.boolean(), (path, value, removed) => {
          const mutated = removed && path.length > 0 ? without(data, path) : withAt(data, path, value)
          const isObject = typeof mutated === "object" && mutated !== null && !Array.isArray(mutated)
          const quick = isObject && quickChecks[type]?.(mutated) === true
          if (quick) accepted += 1
          expect(!quick || is(mutated)).toBe(true)
        }),
        { numRuns: 1_000 }
      )
      expect(accepted).toBeGreaterThan(0)
    })

  it("change no verdict on any golden event, whatever is put where in it", () => {
    for (const event of written) expect(verdict(judgeEvent(event))).toEqual(verdict(judgeEventBySchema(event)))
    fc.assert(
      fc.property(
        fc.constantFrom(...written).chain((event) => fc.tuple(fc.constant(event), fc.constantFrom(...pathsOf(event)))),
        odd,
        ([event, path], value) => {
          const mutated = withAt(event, path, value)
          expect(verdict(judgeEvent(mutated))).toEqual(verdict(judgeEventBySchema(mutated)))
        }
      ),
      { numRuns: 3_000 }
    )
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(verdict(judgeEvent(value))).toEqual(verdict(judgeEventBySchema(value)))
      })
    )
  })

  it("know ids and node names as their patterns do", () => {
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom(...Array.from("azAZ09_.:-é \n")), maxLength: 130 }),
      fc.string({ unit: fc.constantFrom(...Array.from("az09-")), minLength: 60, maxLength: 66 }),
      fc.string()
    )
    fc.assert(
      fc.property(text, (it) => {
        expect(isQuickId(it)).toBe(/^[0-9A-Za-z_.:-]{1,128}$/.test(it))
        expect(isNodeName(it)).toBe(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(it))
        expect(isNodeName(`clock.${it}`, 6)).toBe(isNodeName(it))
      }),
      { numRuns: 2_000 }
    )
  })
})
