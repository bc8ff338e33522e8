/** Lines said to a running node, folded into those of its file: one after the other, each as ntpd takes it. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { accessRules } from "../src/access-rules.ts"
import { readAmendment } from "../src/amendment.ts"
import { loadAmended } from "../src/load.ts"
import { parseText } from "../src/parse.ts"
import { describeOrigin, describeSettings, renderSettings } from "../src/rendering.ts"

const machine = { cores: 2, interfaces: [] }
const settle = (file: string, ...said: readonly string[]) =>
  loadAmended({
    file: "ntp.conf",
    overrides: {},
    machine,
    read: parseText("ntp.conf", file),
    said: said.map((text) => readAmendment(text, "ntpq under key 5"))
  })
const sources = (file: string, ...said: readonly string[]): readonly string[] =>
  settle(file, ...said).settings.sources.map(({ value }) => value.host)
const rulesOf = ({ settings }: ReturnType<typeof settle>) =>
  accessRules(settings.access, { addressesOf: () => [], sources: [] })[0] ?? []

describe("lines said to a running node", () => {
  it("add sources, take them back, and bring them again, in the order in which they were said", () => {
    expect(sources("server a\nserver b", "server c")).toEqual(["a", "b", "c"])
    expect(sources("server a\nserver b", "unpeer a")).toEqual(["b"])
    expect(sources("server a\nserver b", "unconfig a", "server a")).toEqual(["b", "a"])
    expect(sources("server a\nunpeer a", "server a")).toEqual(["a"])
    // Within one request `unpeer` comes last, as within a file.
    expect(sources("server b", "unpeer a\nserver a")).toEqual(["b"])
  })

  it("take back reference clocks and this machine's own clock, by their addresses", () => {
    const { settings } = settle(
      "server a\nrefclock shm unit 1\nserver 127.127.1.0",
      "unpeer 127.127.28.1",
      "unpeer 127.127.1.0"
    )
    expect(settings.referenceClocks).toEqual([])
    expect(settings.localReference.origin.kind).toBe("default")
  })

  it("replace what stands once, add to what adds up, and are shown with who said them", () => {
    const { settings } = settle(
      "server a\npassivepeers 4\ntos minclock 5 maxclock 9",
      "passivepeers 2",
      "tos minclock 2"
    )
    const shown = describeSettings(settings).map(({ directive, value, origin }) =>
      [directive, value, describeOrigin(origin)].join(" ")
    )
    expect(shown).toContain("passivepeers 2 ntpq under key 5")
    expect(shown).toContain("tos minclock 2 ntpq under key 5")
    expect(shown).toContain("tos maxclock 9 ntp.conf:3:1")
  })

  it("of restrict add a rule to those that hold, also where no file has any", () => {
    const [before, after] = [settle(""), settle("", "restrict 192.0.2.0/24 ignore", "discard average 4")]
    expect(rulesOf(after).slice(0, rulesOf(before).length)).toEqual(rulesOf(before))
    expect(rulesOf(after)).toHaveLength(rulesOf(before).length + 1)
    expect(after.settings.access.dialect.value).toBe("ntpsec")
    // What is saved means the same when it is read as a file.
    expect(rulesOf(settle(renderSettings(after.settings))).filter(({ flags }) => flags !== 0)).toEqual(
      rulesOf(after).filter(({ flags }) => flags !== 0)
    )
  })

  it.each([
    ["logfile /tmp/x", /logfile remote configuration ignored/],
    ["filegen peerstats file x", /filegen file remote configuration ignored/],
    ["disable stats", /enable\/disable stats remote configuration ignored/],
    ["includefile /etc/ntp.conf", /'\/etc\/ntp.conf' cannot be read: a running node is told lines/],
    ["sourcedir /etc/sources", /remote '\/etc\/sources' ignored/],
    ["workers 3", /'workers' is settled when the node starts/],
    ["srever a", /found 'srever', expected a directive/]
  ])("%s is refused, with the column", (line, why) => {
    const [problem] = readAmendment(line, "ntpq").diagnostics
    expect(problem).toMatchObject({ severity: "error", line: 0, file: "ntpq" })
    expect(problem?.message).toMatch(why)
  })

  it("whatever they are, are read without an exception, and what can be used is one configuration again", () => {
    const words = fc.constantFrom(
      ..."server unpeer unconfig restrict unrestrict limit discard tos tinker enable disable keys includefile sourcedir".split(
        " "
      ),
      ...'192.0.2.1 2001:db8::1 127.127.28.0 default mask key 7 minpoll 99 nts average clock shm unit # ( " \u0000'.split(
        " "
      )
    )
    const lines = fc.array(
      fc.array(words, { maxLength: 6 }).map((each) => each.join(" ")),
      { maxLength: 4 }
    )
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      lines.map((each) => each.join("\n"))
    )
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), (said) => {
        for (const each of said) for (const { line } of readAmendment(each, "ntpq").diagnostics) expect(line).toBe(0)
        const { usable, settings } = settle("server a\nrestrict default limited", ...said)
        expect(!usable || settle(renderSettings(settings)).usable).toBe(true)
      }),
      { numRuns: 150 }
    )
  })
})
