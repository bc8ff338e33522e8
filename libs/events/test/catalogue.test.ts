import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { readdirSync, readFileSync } from "node:fs"
import { basename } from "node:path"
import { describe, expect, it } from "vitest"
import { type AnyEvent, decodeEvent, definitions, encodeEvent, familyOf, openCatalogue } from "../src/catalogue.ts"
import { defineEvent, fromIso, isInstant, MAX_EVENT_BYTES, schemaVersion } from "../src/event.ts"
import { describeSchema, GOLDEN, type Golden, goldenFile } from "./golden.ts"

const golden = (file: string): Golden => JSON.parse(readFileSync(file, "utf8")) as Golden

describe("golden files", () => {
  it("are there for every version of every type, and for nothing else", () => {
    const expected = definitions.flatMap((it) =>
      Array.from({ length: schemaVersion(it) }, (_, index) => basename(goldenFile(it.type, index + 1)))
    )
    expect(readdirSync(GOLDEN).toSorted()).toEqual(expected.toSorted())
    expect(expected.length).toBeGreaterThan(20)
  })

  for (const definition of definitions)
    for (let version = 1; version <= schemaVersion(definition); version++)
      it(`${definition.type} of version ${version} is read, and its schema has not changed without a new version`, () => {
        const { schema, written, readAs } = golden(goldenFile(definition.type, version))
        const newest = version === schemaVersion(definition)
        expect(newest ? describeSchema(definition) : schema).toEqual(schema)
        const event = decodeEvent(JSON.stringify(written))
        expect(event).toMatchObject({ type: definition.type, schema: schemaVersion(definition) })
        expect((event as AnyEvent).data).toEqual(newest ? (written as AnyEvent).data : readAs)
        expect(decodeEvent(encodeEvent(event as AnyEvent))).toEqual(event)
      })
})

describe("upcasters", () => {
  const renamed = defineEvent("Renamed", Schema.Struct({ name: Schema.String, size: Schema.Int }), [
    (data) => ({ name: (data as { title: string }).title.trim() }),
    (data) => ({ ...(data as { name: string }), size: 0 })
  ])
  const { judge } = openCatalogue([{ definitions: [renamed], place: { fixed: "policy" } }])
  const written = (schema: number, data: unknown) => ({
    type: "Renamed",
    schema,
    id: "x",
    time: "2026-11-21T12:00:00.000Z",
    node: "node-a",
    cause: "x",
    subject: "policy",
    version: 1,
    data
  })

  it("bring every older version to the newest, step by step", () => {
    expect(judge(written(1, { title: " a " }))).toMatchObject({ schema: 3, data: { name: "a", size: 0 } })
    expect(judge(written(2, { name: "a" }))).toMatchObject({ schema: 3, data: { name: "a", size: 0 } })
    expect(judge(written(3, { name: "a", size: 4 }))).toMatchObject({ schema: 3, data: { name: "a", size: 4 } })
  })

  it("refuse what they cannot bring up, and versions not yet known", () => {
    expect(judge(written(1, { name: 7 }))).toMatchObject({ reason: "malformed" })
    expect(judge(written(2, { name: 7 }))).toMatchObject({ reason: "malformed" })
    expect(judge(written(4, {}))).toMatchObject({ reason: "unknown-version" })
  })
})

describe("events from text", () => {
  const sample = golden(goldenFile("SystemPeerChosen", 1)).written as AnyEvent
  const reason = (value: unknown) => {
    const event = decodeEvent(typeof value === "string" ? value : JSON.stringify(value))
    return "_tag" in event ? event.reason : "accepted"
  }

  it("refuses each field of the envelope that is missing or malformed", () => {
    const broken: Readonly<Record<string, ReadonlyArray<unknown>>> = {
      type: [undefined, 1, "", "x y", "lowercase"],
      schema: [undefined, 0, 1.5, "1"],
      id: [undefined, "", "a b", "x".repeat(129)],
      time: [undefined, 5, "2026-11-21", "2026-02-30T00:00:00.000Z", "2026-11-21T12:00:00Z"],
      node: [undefined, "", "Node", "-a", "x".repeat(64)],
      cause: [undefined, "", "\n"],
      author: [null, 1, "", "a\nb", "ä", "x".repeat(129)],
      subject: [undefined, "", "keys.else", "clock.", "clock.a.b", "members.>"],
      version: [undefined, 0, -1, 2 ** 53]
    }
    for (const [field, values] of Object.entries(broken))
      for (const value of values)
        expect([field, value, reason({ ...sample, [field]: value })]).toEqual([field, value, "malformed"])
  })

  it("keeps who asked for an event, where somebody did", () => {
    expect(reason({ ...sample, author: "http alice" })).toBe("accepted")
    expect(decodeEvent(JSON.stringify({ ...sample, author: "http alice" }))).toMatchObject({ author: "http alice" })
  })

  it("says why it refuses", () => {
    expect(reason("{")).toBe("malformed")
    expect(reason("[]")).toBe("malformed")
    expect(reason("null")).toBe("malformed")
    expect(reason({ ...sample, type: "NoSuchThing" })).toBe("unknown-type")
    expect(reason({ ...sample, schema: 2 })).toBe("unknown-version")
    expect(reason({ ...sample, subject: "keys.nts" })).toBe("wrong-subject")
    expect(reason({ ...sample, data: { ...sample.data, peer: 7 } })).toBe("malformed")
    expect(reason({ ...sample, data: { ...sample.data, reason: "é".repeat(MAX_EVENT_BYTES / 2) } })).toBe("oversized")
  })

  it("never repeats an event's data in what it says", () => {
    const published = golden(goldenFile("NtsGenerationPublished", 1)).written as AnyEvent
    const event = decodeEvent(JSON.stringify({ ...published, data: { ...published.data, sealed: "SECRET-SECRET" } }))
    expect(JSON.stringify(event)).not.toContain("SECRET")
  })

  it("does not throw, and lets nothing through that is not whole, whatever it is given", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect("_tag" in decodeEvent(text)).toBe(true)
      })
    )
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect("_tag" in decodeEvent(JSON.stringify(value))).toBe(true)
      })
    )
    const text = JSON.stringify(sample)
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, character) => {
        const event = decodeEvent(text.slice(0, at) + character + text.slice(at + 1))
        expect("_tag" in event ? event : decodeEvent(encodeEvent(event))).toEqual(event)
      }),
      { numRuns: 500 }
    )
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(sample)), fc.jsonValue(), (field, value) => {
        const event = decodeEvent(JSON.stringify({ ...sample, [field]: value }))
        expect("_tag" in event ? event : decodeEvent(encodeEvent(event))).toEqual(event)
      })
    )
  })

  it("knows the family of each subject", () => {
    expect(["keys.nts", "keys.symmetric", "keys.cluster", "policy", "members.a", "clock.a-1"].map(familyOf)).toEqual([
      "keys",
      "keys",
      "keys",
      "policy",
      "members",
      "clock"
    ])
    expect(["", "keys", "keys.x", "policy.x", "members", "members.A", "clock.a.b", "clock.*"].map(familyOf)).toEqual(
      Array(8).fill(undefined)
    )
  })

  it("takes for moments exactly the texts that Date writes", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date("0000-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true }),
        (date) => {
          expect(isInstant(date.toISOString())).toBe(true)
          expect(fromIso(date.toISOString())).toBe(date.getTime())
        }
      )
    )
    const pad = (value: number, width: number) => String(value).padStart(width, "0")
    fc.assert(
      fc.property(fc.nat(9999), fc.nat(13), fc.nat(32), fc.nat(25), fc.nat(61), fc.nat(61), (y, mo, d, h, mi, s) => {
        const text = `${pad(y, 4)}-${pad(mo, 2)}-${pad(d, 2)}T${pad(h, 2)}:${pad(mi, 2)}:${pad(s, 2)}.000Z`
        const milliseconds = Date.parse(text)
        const real = Number.isFinite(milliseconds) && new Date(milliseconds).toISOString() === text
        expect([text, isInstant(text)]).toEqual([text, real])
      }),
      { numRuns: 2_000 }
    )
  })
})
