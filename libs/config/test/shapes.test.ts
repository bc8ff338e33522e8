/**
 * Seventy-two files in the shapes of real ones (fixtures/ntp-conf-shapes.txt): none is refused, and nothing differs in silence.
 * Behind `---` each has what it comes to, the lines that get a remark here, and those that the ntpds leave out with a syntax
 * error, as they logged them (a run of errors is logged once).
 */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { accessFlagWords } from "@meridian/protocol/access/access-flags"
import { AccessList, compileAccess } from "@meridian/protocol/access/access-list"
import { accessRules } from "../src/access-rules.ts"
import { parseAddress } from "@meridian/config/address"
import { isError } from "@meridian/config/diagnostic"
import { loadSettings } from "../src/load.ts"
import { describeSettings } from "../src/rendering.ts"

interface Shape {
  readonly name: string
  readonly lines: readonly string[]
  /** What it comes to. */
  readonly told: string
  readonly named: readonly number[]
  /** By each daemon that complains. */
  readonly leftOut: readonly (readonly number[])[]
}

const numbers = (text: string): readonly number[] => text.split(" ").map(Number)

const SHAPES: readonly Shape[] = readFileSync(new URL("fixtures/ntp-conf-shapes.txt", import.meta.url), "utf8")
  .split(/^=== /m)
  .slice(1)
  .map((part) => {
    const [name = "", ...rest] = part.trimEnd().split("\n")
    const remarks = rest.filter((line) => line.startsWith("--- ")).map((line) => line.slice(4))
    return {
      name,
      lines: rest.filter((line) => !line.startsWith("--- ")),
      told: remarks[0]!,
      named: remarks.flatMap((line) => (line.startsWith("named: ") ? numbers(line.slice(7)) : [])),
      leftOut: remarks.flatMap((line) => (line.includes(" leaves out: ") ? [numbers(line.split(": ")[1]!)] : []))
    }
  })

/** One is written as Windows does, in Latin-1. */
const bytesOf = ({ name, lines }: Shape): Uint8Array =>
  name.startsWith("Windows line ends")
    ? Uint8Array.from(lines.join("\r\n"), (character) => character.charCodeAt(0))
    : new TextEncoder().encode(lines.join("\n"))

const load = (shape: Shape) =>
  loadSettings({
    file: "f",
    readFile: (_, from) =>
      from === undefined ? { ok: true, bytes: bytesOf(shape) } : { ok: false, reason: "no such file", missing: true },
    overrides: {},
    machine: { cores: 1, interfaces: [{ name: "lo", address: parseAddress("127.0.0.1")! }], ntpPort: true }
  })

/** The flags of somebody far away, from a port above 1023. */
const strangersIn = ({ settings }: ReturnType<typeof load>): string => {
  const rules = accessRules(settings.access, { addressesOf: () => [], sources: [] })
  const list = new AccessList(rules.map(compileAccess))
  return accessFlagWords(list.ipv4((203 << 24) | (113 << 8) | 5, 40_000)).join(" ") || "everything"
}

/** Lines that add to the setting of another line: of a clock, of a pair of files, of a record, of the addresses. */
const ADDS = /^(fudge|statistics|interface|nts key|crypto)\b/

describe("seventy-two files in the shapes of real ones", () => {
  it("are so many, each with a name of its own", () => {
    expect(SHAPES).toHaveLength(72)
    expect(new Set(SHAPES.map(({ name }) => name)).size).toBe(72)
  })

  it.each(SHAPES)("$name: is read, and comes to what it says", (shape) => {
    const loaded = load(shape)
    expect(loaded.diagnostics.filter(isError)).toEqual([])
    const { sources, access } = loaded.settings
    expect(`${sources.length} sources, dialect ${access.dialect.value}, strangers: ${strangersIn(loaded)}`).toBe(
      shape.told
    )
    expect(loaded.settings.port.value).toBe(123)
  })

  it.each(SHAPES)("$name: has an effect with every line, or a remark at it", (shape) => {
    const { settings, diagnostics } = load(shape)
    const said = new Set(diagnostics.map(({ line }) => line))
    expect([...said]).toEqual(shape.named)
    const acting = new Set(describeSettings(settings).map(({ origin }) => (origin.kind === "file" ? origin.line : 0)))
    const silent = shape.lines.flatMap((line, index) => {
      const text = line.trim()
      const isSpoken = text === "" || text.startsWith("#") || acting.has(index + 1) || said.has(index + 1)
      return isSpoken || ADDS.test(text) ? [] : [text]
    })
    expect(silent).toEqual([])
  })

  it("say something of every line that both ntpds leave out", () => {
    const unsaid = SHAPES.flatMap(({ name, leftOut, named, lines }) => {
      const [classic = [], ntpsec = []] = leftOut
      return classic
        .filter((line) => ntpsec.includes(line) && !named.includes(line))
        .map((line) => `${name}: ${lines[line - 1]}`)
    })
    // A word of NTPsec after the release that was asked.
    expect(unsaid).toEqual(["A busy pool server with NTPsec's limits: extra port 1123"])
  })
})
