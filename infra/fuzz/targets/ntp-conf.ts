/** ntp.conf in any bytes: settings or located errors, and what is written again comes to the same settings. */
import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { loadSettings } from "../../../libs/config/src/load.ts"
import { renderSettings } from "../../../libs/config/src/rendering.ts"

export const seeds = (root: string): readonly Uint8Array[] =>
  ["libs/config/test/fixtures", "infra/packaging/starters"].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => readFileSync(join(root, folder, name)))
  )

const load = (bytes: Uint8Array) =>
  loadSettings({
    file: "f",
    readFile: (_, from) => (from === undefined ? { ok: true, bytes } : { ok: false, reason: "no such file" }),
    overrides: {},
    machine: { cores: 2, interfaces: [] }
  })

/** Where a setting came from stands behind it. */
const withoutOrigins = (text: string): string => text.replaceAll(/ +# .*$/gm, "")

export const fuzz = (data: Buffer): void => {
  const loaded = load(data)
  const lines = data.toString("utf8").split("\n").length
  for (const { file, line } of loaded.diagnostics)
    assert.ok(file !== "f" || (line >= 0 && line <= lines), `line ${line} of ${lines}`)
  if (!loaded.usable) return
  const written = renderSettings(loaded.settings)
  const again = load(Buffer.from(written))
  assert.ok(again.usable, written)
  assert.equal(withoutOrigins(renderSettings(again.settings)), withoutOrigins(written))
}
