import { describe, expect, it } from "vitest"
import { DIRECTIVES, findDirective } from "../src/directives.ts"
import { findKnownWord, KNOWN_WORDS } from "../src/known-words.ts"
import { editDistance, nearestWord } from "@meridian/config/nearest"
import { directivesWithOption, nearestDirective, renderReferenceText } from "@meridian/config/reference"

describe("the table", () => {
  it("has each word once, and none that is also called without effect", () => {
    const words = [
      ...DIRECTIVES.flatMap(({ name, aliases }) => [name, ...aliases]),
      ...KNOWN_WORDS.map(({ name }) => name)
    ]
    expect(new Set(words).size).toBe(words.length)
    for (const { name } of DIRECTIVES) {
      expect(findDirective(name)?.name).toBe(name)
      expect(findKnownWord(name)).toBeUndefined()
    }
  })

  it("names operands and options apart, explains in one sentence and says where it is documented", () => {
    for (const { operands, options, meaning, documented } of DIRECTIVES) {
      const names = [...Object.keys(operands), ...Object.keys(options)]
      expect(new Set(names).size).toBe(names.length)
      expect(meaning).toMatch(/^[A-Z].*[^.]\.$/)
      expect(documented).not.toBe("")
    }
  })
})

describe("the reference", () => {
  it("shows every directive and every word without effect", () => {
    const text = renderReferenceText()!
    for (const { name, flags } of DIRECTIVES) {
      expect(text).toMatch(new RegExp(`^${name} `, "m"))
      for (const flag of flags) expect(text).toMatch(new RegExp(`^ +Flag: .*--${flag}\\b`, "m"))
    }
    for (const { name } of KNOWN_WORDS) expect(text).toMatch(new RegExp(`\\s${name}\\s`))
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  it("knows of which directives a word is an option", () => {
    expect(directivesWithOption("iburst")).toEqual(["server", "pool", "peer", "broadcast", "manycastclient"])
    expect(directivesWithOption("server")).toEqual([])
    expect(directivesWithOption("toString")).toEqual([])
  })

  it("says what a reload takes up, as the supervisor does", () => {
    const named = (kind: string) => DIRECTIVES.filter(({ reload }) => reload === kind).map(({ name }) => name)
    expect(named("live")).toEqual(
      expect.arrayContaining(["server", "pool", "peer", "restrict", "keys", "nts", "logfile"])
    )
    expect(named("clock")).toEqual(expect.arrayContaining(["tos", "tinker", "refclock", "leapfile", "driftfile"]))
    const read = DIRECTIVES.filter(({ reload }) => reload === "contents").map(({ name }) => name)
    expect(read).toEqual(["crypto", "keysdir"])
    const claims = renderReferenceText()!.match(/^ +Takes effect: .*$/gm) ?? []
    expect(new Set(claims.map((claim) => claim.trim()))).toEqual(
      new Set([
        "Takes effect: at the next start",
        "Takes effect: at a reload (SIGHUP)",
        "Takes effect: at a reload (SIGHUP), with a new clock process, which asks",
        "Takes effect: at the next start; the contents of its files at a reload"
      ])
    )
  })

  it("shows one directive alone", () => {
    expect(renderReferenceText("workers")).toMatch(/^workers N\n[^]*Documented in: Meridian\n$/)
    expect(renderReferenceText("workers")).not.toContain("server")
    expect([renderReferenceText("worker"), nearestDirective("worker")]).toEqual([undefined, "workers"])
  })

  it("shows a directive whole", () => {
    expect(renderReferenceText()!).toContain(
      [
        "workers N",
        "    Worker processes that answer requests, each on sockets of its own.",
        "    Default: the number of processor cores",
        "    Flag: --workers",
        "    Several lines: the last one counts",
        "    Takes effect: at the next start",
        "    Documented in: Meridian",
        ""
      ].join("\n")
    )
  })
})

describe("spelling help", () => {
  it.each([
    ["", "", 0],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["prot", "port", 1],
    ["ab", "ba", 1],
    ["ca", "abc", 3]
  ])("%j to %j is %i edits", (a, b, edits) => {
    expect(editDistance(a, b)).toBe(edits)
    expect(editDistance(b, a)).toBe(edits)
  })

  it.each([
    ["lsten", "listen"],
    ["LISTEN", "listen"],
    ["listne", "listen"],
    ["workres", "workers"],
    ["xyz", undefined],
    ["p", undefined],
    ["listen".repeat(10), undefined]
  ])("%s is near %s", (word, near) => {
    expect(nearestWord(word, ["port", "listen", "workers"])).toBe(near)
  })
})
