/** Who may do what with a file, told before anything is opened. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { accessProblem, tooOpen } from "@meridian/system/file-access"
import type { Identity } from "@meridian/system/identity"

const folder = mkdtempSync(join(tmpdir(), "meridian-access-"))
const [closed, file] = [join(folder, "closed"), join(folder, "closed/file")]
const somebody: Identity = { name: "somebody:them", uid: 61_001, gid: 61_002 }
beforeAll(() => {
  chmodSync(folder, 0o755)
  mkdirSync(closed)
  writeFileSync(file, "")
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.runIf(process.getuid?.() === 0)("a user", () => {
  it.each([
    [0o755, 0, 0, 0o644, 0, 0, true],
    [0o700, 0, 0, 0o644, 0, 0, false],
    [0o700, somebody.uid, 0, 0o644, 0, 0, true],
    [0o750, 0, somebody.gid, 0o640, 0, somebody.gid, true],
    [0o750, 0, somebody.gid, 0o640, 0, 0, false],
    [0o755, 0, 0, 0o400, 0, 0, false],
    [0o755, 0, 0, 0o400, somebody.uid, 0, true],
    // The owner's own bits count, though everybody else may.
    [0o755, 0, 0, 0o044, somebody.uid, 0, false]
  ])("with a folder of %o %i:%i and a file of %o %i:%i may read: %j", (folderMode, u, g, mode, uid, gid, may) => {
    chmodSync(closed, folderMode)
    chownSync(closed, u, g)
    chmodSync(file, mode)
    chownSync(file, uid, gid)
    const { kind, reason } = accessProblem(file, "read", somebody) ?? { kind: "allowed", reason: "" }
    expect(kind).toBe(may ? "allowed" : "denied")
    expect(reason).toMatch(may ? /^$/ : /^somebody may not .*; mend it by: ch/)
  })

  it("is told that a file is missing, and where", () => {
    expect(accessProblem(join(folder, "no/file"), "read", somebody)).toEqual({
      kind: "missing",
      reason: "it is not there"
    })
    expect(accessProblem(join(file, "below"), "read", somebody)?.reason).toBe(`${file} is no directory`)
  })
})

describe("a secret", () => {
  it.each([
    [0o600, undefined],
    [0o640, undefined],
    [0o644, "everybody can read it (0644); mend it by: chmod g-w,o= /k"],
    [0o660, "others than its owner can change it (0660); mend it by: chmod g-w,o= /k"],
    [0o666, "everybody can read it and others than its owner can change it (0666); mend it by: chmod g-w,o= /k"]
  ])("of mode %o: %s", (mode, said) => expect(tooOpen("/k", mode)).toBe(said))
})
