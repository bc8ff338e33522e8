/** What root hands over with the state directory: what lies in it, and not what links in it lead to. */
import { execFileSync } from "node:child_process"
import { linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { resolveIdentity } from "../src/privilege.ts"

const program = resolve(import.meta.dirname, "privileged-process.ts")

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "meridian-links-"))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it.runIf(process.getuid?.() === 0)("a file of root's that a link in the state directory leads to stays root's", () => {
  const state = join(folder, "state")
  const [precious, linked] = [join(folder, "precious"), join(folder, "linked")]
  mkdirSync(state)
  for (const path of [precious, linked, join(state, "own")]) writeFileSync(path, "")
  symlinkSync(precious, join(state, "link"))
  symlinkSync("nowhere", join(state, "dangling"))
  linkSync(linked, join(state, "second name"))
  const launch = ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time", process.execPath, program]
  execFileSync("setpriv", [...launch, "10", "not-asked", state, "nobody"], { stdio: ["ignore", "ignore", "inherit"] })
  const { uid } = resolveIdentity("nobody")
  expect([statSync(precious).uid, statSync(linked).uid]).toEqual([0, 0])
  for (const name of ["own", "link", "dangling"]) expect(lstatSync(join(state, name)).uid).toBe(uid)
  expect(statSync(state).uid).toBe(uid)
})
