/** What `meridian config check` prints about a file with remarks: each in lines of its own, then what it comes to. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-check-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const program = join(import.meta.dirname, "../bin/meridian.mjs")

it.each([
  ["a warning", "nts mintls TLS1.2\n", 0, /\^~{5}\nport {2}/],
  ["an error", "nts port 0\n", 2, /\^\nmeridian: .*cannot be used\n$/]
])("ends the line with the caret of %s", (_what, text, code, printed) => {
  const file = join(folder, "ntp.conf")
  writeFileSync(file, text)
  // Both streams into one, as a terminal shows them.
  const { status, stdout } = spawnSync(
    "sh",
    ["-c", 'exec "$0" "$@" 2>&1', process.execPath, program, "config", "check", file],
    {
      encoding: "utf8"
    }
  )
  expect(status).toBe(code)
  expect(stdout).toMatch(printed)
})
