import { afterEach, describe, expect, it, vi } from "vitest"
import { renderHelp } from "@meridian/config/flags"
import { overview, topics } from "../src/help.ts"

describe("help", () => {
  afterEach(() => void vi.restoreAllMocks())

  it("names every command, in the 80 columns of a terminal", () => {
    let text = ""
    vi.spyOn(process.stdout, "write").mockImplementation((part) => ((text += String(part)), true))
    expect(overview([])).toBe(0)
    expect(text.split("\n").filter(({ length }) => length > 80)).toEqual([])
    for (const word of Object.keys(topics).map((topic) => topic.split(" ")[0]))
      expect(text).toContain(`\n  meridian ${word} `)
  })

  it.each(Object.entries(topics))("of %s fits there, too", (_topic, line) => {
    const long = renderHelp(line)
      .split("\n")
      .filter(({ length }) => length > 80)
    expect(long).toEqual([])
  })
})
