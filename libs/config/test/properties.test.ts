import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatDiagnostic } from "@meridian/config/diagnostic"
import { DIRECTIVES } from "../src/directives.ts"
import { lex } from "../src/lexer.ts"
import { loadSettings, type Loaded } from "../src/load.ts"
import { renderSettings } from "../src/rendering.ts"

const MACHINE = { cores: 2, interfaces: [] }

const load = (bytes: Uint8Array): Loaded =>
  loadSettings({
    file: "f",
    readFile: (_, from) => (from === undefined ? { ok: true, bytes } : { ok: false, reason: "no such file" }),
    overrides: {},
    machine: MACHINE
  })

/** The lines of a text as the lexer counts them; a byte order mark is not part of the first. */
const linesOf = (text: string): string[] =>
  text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""))

/** Words that lead the parser astray more often than random letters. */
const fragment = fc.constantFrom(
  ...DIRECTIVES.flatMap(({ name, options }) => [name, ...Object.keys(options)]),
  "restrict",
  "prot",
  "1",
  "-4",
  "123",
  "99999",
  "127.127.1.0",
  "::1",
  "1.2.3.4/8",
  "*",
  '"',
  '"a b"',
  "(",
  "(1 ... 2)",
  "#",
  " ",
  " ",
  "\t",
  "\n",
  "\n",
  "\r\n",
  "\0",
  "é",
  "日本",
  "\u00A0",
  "\u202E"
)
const anyText = fc.oneof(
  fc
    .array(fc.oneof(fragment, fc.constant(" "), fc.string({ unit: "binary", maxLength: 4 })), { maxLength: 60 })
    .map((all) => all.join("")),
  fc.string({ unit: "binary", maxLength: 300 })
)

describe("any text at all", () => {
  it("is read without an exception, and every diagnostic lies inside it and prints", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        // Lone surrogates become U+FFFD in UTF-8.
        const lines = linesOf(text.toWellFormed())
        for (const diagnostic of load(new TextEncoder().encode(text)).diagnostics) {
          const line = lines[diagnostic.line - 1]
          expect(line).toBeDefined()
          const length = Array.from(line!).length
          expect(diagnostic.lineText).toBe(line)
          expect(diagnostic.column).toBeGreaterThanOrEqual(1)
          // One behind the end is where something missing would have stood.
          expect(diagnostic.column).toBeLessThanOrEqual(length + 1)
          expect(diagnostic.column - 1 + diagnostic.length).toBeLessThanOrEqual(Math.max(length, diagnostic.column))
          expect(formatDiagnostic(diagnostic).replaceAll("\n", "")).not.toMatch(/\p{Cc}|\p{Cf}/u)
        }
      }),
      { numRuns: 1500 }
    )
  })

  it("of bytes is read without an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const diagnostic of load(bytes).diagnostics) {
          expect(diagnostic.column).toBeLessThanOrEqual(Array.from(diagnostic.lineText).length + 1)
          formatDiagnostic(diagnostic)
        }
      }),
      { numRuns: 1500 }
    )
  })

  it("gives tokens whose places hold their text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        for (const { tokens } of lex("f", new TextEncoder().encode(text)).lines) {
          for (const token of tokens) {
            const there = Array.from(token.lineText)
              .slice(token.column - 1, token.column - 1 + token.length)
              .join("")
            expect(there).toBe(
              token.kind === "word" ? token.text : token.kind === "string" ? `"${token.text}"` : `(${token.text})`
            )
          }
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe("rendered settings", () => {
  const ipv4 = fc.ipV4()
  const ipv6 = fc.ipV6().filter((text) => !/^(::ffff|fe[89ab])|\./i.test(text) && !text.startsWith("0"))
  const writable = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
    .filter((text) => !/["\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text))
  const name = fc.stringMatching(/^[a-z_][a-z0-9_-]{0,20}$/)
  const file = fc.record(
    {
      port: fc.integer({ min: 1, max: 65535 }),
      listen: fc.uniqueArray(fc.oneof(ipv4, ipv6, fc.constant("*")), { maxLength: 5 }),
      workers: fc.integer({ min: 1, max: 256 }),
      user: fc.oneof(
        name,
        fc.tuple(name, name).map((both) => both.join(":"))
      ),
      statedir: writable,
      logfile: writable,
      stratum: fc.integer({ min: 1, max: 15 }),
      keys: writable,
      trusted: fc.uniqueArray(
        fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 0, max: 9 })).map(([first, more]) => ({
          first,
          last: Math.min(65535, first + more)
        })),
        { minLength: 1, maxLength: 4 }
      ),
      cryptonak: fc.constantFrom("on", "off"),
      certificates: fc.array(fc.tuple(writable, writable), { minLength: 1, maxLength: 3 }),
      ntsSwitch: fc.constantFrom("enable", "disable"),
      aeads: fc.uniqueArray(fc.constantFrom(15, 16, 17, 30), { minLength: 1 }),
      ntsPort: fc.integer({ min: 1000, max: 1999 }),
      ntsProcesses: fc.integer({ min: 1, max: 64 }),
      curves: fc.constantFrom("X25519:P-256", "P-384"),
      extraPorts: fc.uniqueArray(fc.integer({ min: 2000, max: 2999 }), { maxLength: 5 })
    },
    { requiredKeys: [] }
  )

  /** The values without their origins, at any depth. */
  const values = (settings: unknown): unknown => {
    if (Array.isArray(settings)) return settings.map(values)
    if (settings === null || typeof settings !== "object") return settings
    if ("origin" in settings && "value" in settings) return settings.value
    return Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, values(value)]))
  }

  it("give the same settings when they are read", () => {
    fc.assert(
      fc.property(file, (chosen) => {
        const { port, listen, workers, user, statedir, logfile, stratum } = chosen
        const { keys, trusted, cryptonak, certificates, ntsSwitch, aeads, ntsPort, ntsProcesses, curves, extraPorts } =
          chosen
        const text = [
          ...(port === undefined ? [] : [`port ${port}`]),
          ...(listen ?? []).map((one) => `listen ${one}`),
          ...(workers === undefined ? [] : [`workers ${workers}`]),
          ...(user === undefined ? [] : [`user ${user}`]),
          ...(statedir === undefined ? [] : [`statedir "${statedir}"`]),
          ...(logfile === undefined ? [] : [`logfile "${logfile}"`]),
          ...(stratum === undefined ? [] : [`fudge 127.127.1.0 stratum ${stratum}`, "server 127.127.1.0"]),
          ...(keys === undefined ? [] : [`keys "${keys}"`]),
          ...(keys === undefined || trusted === undefined
            ? []
            : [`trustedkey ${trusted.map(({ first, last }) => `(${first} ... ${last})`).join(" ")}`]),
          ...(cryptonak === undefined ? [] : [`cryptonak ${cryptonak}`]),
          ...(certificates ?? []).map(([cert, key]) => `nts cert "${cert}" key "${key}"`),
          ...(ntsSwitch === undefined ? [] : [`nts ${ntsSwitch}`]),
          ...(aeads ?? []).map((id) => `nts aead ${id}`),
          ...(ntsPort === undefined ? [] : [`nts port ${ntsPort}`]),
          ...(ntsProcesses === undefined ? [] : [`nts processes ${ntsProcesses}`]),
          ...(curves === undefined ? [] : [`nts tlsecdhcurves ${curves}`]),
          ...(extraPorts ?? []).filter((one) => one !== port).map((one) => `extra port ${one}`)
        ].join("\n")
        const first = load(new TextEncoder().encode(text))
        expect(first.diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
        const second = load(new TextEncoder().encode(renderSettings(first.settings)))
        // What is allowed and remarked on, such as an NTS server without the AEAD that all clients have, is so again.
        const remarks = new Set(first.diagnostics.map(({ message }) => message))
        expect(second.diagnostics.filter(({ message }) => !remarks.has(message))).toEqual([])
        expect(values(second.settings)).toEqual(values(first.settings))
        expect(second.settings.stateDirectory.value).toBe(statedir)
        expect(second.settings.port.value).toBe(port ?? 11123)
        expect(second.settings.nts.enabled.value).toBe(
          ntsSwitch === undefined ? certificates !== undefined : ntsSwitch === "enable"
        )
        expect(second.settings.nts.aeads.map(({ value }) => value)).toEqual(aeads ?? [15, 30, 16, 17])
      }),
      { numRuns: 300 }
    )
  })
})
