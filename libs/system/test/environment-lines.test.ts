/** Lines of ntp.conf in the environment, as containers give them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { loadSettings } from "@meridian/config"
import { withEnvironmentLines } from "@meridian/system/configuration-files"
import { expect, it } from "vitest"

const load = (file: string | undefined, environment: NodeJS.ProcessEnv) =>
  loadSettings({ ...withEnvironmentLines(file, environment), overrides: {}, machine: { cores: 1, interfaces: [] } })

it("come after the file, in the order of their names, and say where they stand", () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-environment-"))
  const file = join(folder, "ntp.conf")
  writeFileSync(file, "port 1123\nserver a.example\n")
  const { settings, usable } = load(file, {
    MERIDIAN_CONFIG_2: "server c.example\nport 1124",
    MERIDIAN_CONFIG_1: "server b.example",
    MERIDIAN_CLUSTER_KEY: "none of these",
    PATH: "/bin"
  })
  rmSync(folder, { recursive: true })
  expect(usable).toBe(true)
  expect(settings.sources.map(({ value }) => value.host)).toEqual(["a.example", "b.example", "c.example"])
  expect(settings.port).toMatchObject({ value: 1124, origin: { kind: "file", file: "MERIDIAN_CONFIG_2", line: 2 } })
})

it("are a configuration of their own without a file", () => {
  expect(load(undefined, { MERIDIAN_CONFIG_SOURCES: "server b.example" }).settings.sources).toHaveLength(1)
  expect(load(undefined, {}).settings.sources).toEqual([])
})

it("with an error are refused by variable and line", () => {
  const { usable, diagnostics } = load(undefined, { MERIDIAN_CONFIG_X: "port 123\nport many" })
  expect(usable).toBe(false)
  expect(diagnostics.find(({ severity }) => severity === "error")).toMatchObject({ file: "MERIDIAN_CONFIG_X", line: 2 })
})

it("cannot be reached by a file's own includes", () => {
  const { readFile } = withEnvironmentLines(undefined, { MERIDIAN_CONFIG_X: "server a.example" })
  expect(readFile("MERIDIAN_CONFIG_X", "/etc/ntp.conf")).toMatchObject({ ok: false })
})
