/** What root hands over with the state directory: what lies in it, and not what links in it lead to. */
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { resolveIdentity } from "@meridian/system/identity"

const program = resolve(import.meta.dirname, "privileged-process.ts")

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "meridian-links-"))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const handOver = (state: string): number => {
  const launch = ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time", process.execPath, program]
  execFileSync("setpriv", [...launch, "10", "not-asked", state, "nobody"], { stdio: ["ignore", "ignore", "inherit"] })
  return resolveIdentity("nobody").uid
}
const isRoot = process.getuid?.() === 0

it.runIf(isRoot)("what a first run as root left, its log and its keys, goes along", () => {
  const state = join(folder, "state")
  for (const name of ["log", "shelf"]) {
    mkdirSync(join(state, name), { recursive: true, mode: 0o700 })
    writeFileSync(join(state, name, "x.sqlite"), "")
  }
  const uid = handOver(state)
  for (const name of ["log", "log/x.sqlite", "shelf", "shelf/x.sqlite"])
    expect([name, lstatSync(join(state, name)).uid]).toEqual([name, uid])
})

it.runIf(isRoot)("a folder that its user may have exchanged for a link is not gone into", () => {
  const state = join(folder, "state")
  mkdirSync(join(folder, "etc"), { mode: 0o755 })
  writeFileSync(join(folder, "etc", "passwd"), "")
  mkdirSync(state)
  symlinkSync(join(folder, "etc"), join(state, "log"))
  mkdirSync(join(state, "shelf"))
  chmodSync(join(state, "shelf"), 0o777)
  writeFileSync(join(state, "shelf", "x"), "")
  handOver(state)
  expect([statSync(join(folder, "etc/passwd")).uid, statSync(join(state, "shelf/x")).uid]).toEqual([0, 0])
})

it.runIf(isRoot)("a file of root's that a link in the state directory leads to stays root's", () => {
  const state = join(folder, "state")
  const [precious, linked] = [join(folder, "precious"), join(folder, "linked")]
  mkdirSync(state)
  for (const path of [precious, linked, join(state, "own")]) writeFileSync(path, "")
  symlinkSync(precious, join(state, "link"))
  symlinkSync("nowhere", join(state, "dangling"))
  linkSync(linked, join(state, "second name"))
  const uid = handOver(state)
  expect([statSync(precious).uid, statSync(linked).uid]).toEqual([0, 0])
  for (const name of ["own", "link", "dangling"]) expect(lstatSync(join(state, name)).uid).toBe(uid)
  expect(statSync(state).uid).toBe(uid)
})
