/** Converts a file of another daemon, and looks at what the ntp.conf made of it comes to. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { loadSettings, type Settings } from "@meridian/config"
import { afterAll, expect } from "vitest"

export const folder = mkdtempSync(join(tmpdir(), "meridian-convert-"))
afterAll(() => rmSync(folder, { recursive: true }))
export const program = resolve(import.meta.dirname, "../bin/meridian.mjs")

interface Converted {
  readonly lines: readonly string[]
  readonly remarks: readonly { readonly line: number; readonly text: string; readonly why: string }[]
}

/** Converts a text; `<dir>` in it stands for the test's folder. */
export const convert = (
  name: string,
  text: string
): Converted & { readonly settings: Settings; readonly code: number | null } => {
  const file = join(folder, name)
  writeFileSync(file, text.replaceAll("<dir>", folder))
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "config", "convert", "--json", file], {
    encoding: "utf8"
  })
  expect(stderr).toBe("")
  const converted = JSON.parse(stdout) as Converted
  const loaded = loadSettings({
    file: "ntp.conf",
    readFile: (path, from) =>
      from === undefined
        ? { ok: true, bytes: Buffer.from(converted.lines.join("\n")) }
        : { ok: false, reason: `no ${path}`, missing: true },
    overrides: {},
    machine: { cores: 2, interfaces: [] }
  })
  expect(loaded.diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
  expect(loaded.usable).toBe(true)
  return { ...converted, settings: loaded.settings, code: status }
}

export const sourcesOf = ({ sources }: Settings): readonly string[] =>
  sources.map(({ value: { kind, host, port, nts, iburst, minPoll, maxPoll, key } }) =>
    [
      kind,
      port === undefined ? host : `${host}:${port}`,
      nts && "nts",
      iburst && "iburst",
      key && `key ${key}`,
      minPoll,
      maxPoll
    ]
      .filter((word) => word !== undefined && word !== false)
      .join(" ")
  )

export interface Shape {
  readonly name: string
  readonly text: string
  readonly sources: readonly string[]
  /** Lines that must be in the result. */
  readonly has: readonly string[]
  /** What is said to be lost, in order. */
  readonly lost: readonly (string | RegExp)[]
  readonly open: boolean
}

export const check = (shape: Shape, name: string): void => {
  const { settings, lines, remarks, code } = convert(name, shape.text)
  expect(sourcesOf(settings)).toEqual(shape.sources)
  for (const line of shape.has) expect(lines).toContain(line.replaceAll("<dir>", folder))
  const said = remarks.map(({ text }) => text.trim())
  expect(said).toHaveLength(shape.lost.length)
  shape.lost.forEach((lost, at) => expect(said[at]).toMatch(lost))
  expect(lines.includes("deny all")).toBe(!shape.open)
  expect(code).toBe(remarks.length === 0 ? 0 : 3)
}

mkdirSync(join(folder, "conf.d"))
writeFileSync(join(folder, "conf.d/10-local.conf"), "server ntp.local iburst\nallow 10.1.0.0/16\n")
writeFileSync(join(folder, "conf.d/README"), "not a configuration\n")
writeFileSync(join(folder, "extra.conf"), "server extra.example\n")
