/** ntpkeygen where the system writes less than it was asked to: the key file is whole or not there. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"

const program = join(import.meta.dirname, "../bin/ntpkeygen.mjs")

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ntpkeygen-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it("leaves nothing behind where a file may not be as long, and says so", () => {
  // One block, of 512 bytes or 1024: the first write(2) takes that much and tells of no error.
  const limited = 'ulimit -f 1; exec "$0" "$1"'
  const { status, stderr } = spawnSync("sh", ["-c", limited, process.execPath, program], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" }
  })
  expect(stderr).toMatch(/^ntpkeygen: cannot write .*: it would be longer than a file may be here\n$/)
  expect(status).toBe(1)
  expect(readdirSync(folder)).toEqual([])
})
