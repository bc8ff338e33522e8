import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { loadSettings } from "../src/load.ts"

const load = (name: string) =>
  loadSettings({
    file: name,
    readFile: (path) => ({ ok: true, bytes: readFileSync(new URL(`fixtures/${path}`, import.meta.url)) }),
    overrides: {},
    machine: { cores: 2, interfaces: [] }
  })

describe("an ntp.conf as a distribution ships it", () => {
  it.each([
    ["debian-12-ntpsec.conf", []],
    // Records without a statsdir.
    ["debian-11-ntp.conf", ["statistics"]]
  ])("%s is accepted, with a warning at each line that has no effect yet", (name, words) => {
    const { usable, diagnostics, settings } = load(name)
    expect(usable).toBe(true)
    expect(diagnostics.every(({ severity }) => severity === "warning")).toBe(true)
    expect(diagnostics.map(({ lineText }) => lineText.split(" ")[0])).toEqual(words)
    expect(settings.sources.map(({ value }) => value.kind)).toEqual(["pool", "pool", "pool", "pool"])
    expect(settings.port).toEqual({ value: 11123, origin: { kind: "default" } })
  })
})
