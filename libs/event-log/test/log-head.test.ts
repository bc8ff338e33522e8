/** The file that tells where a log ended, and what may lie in its place: nothing of it is waited for, or read without end. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { LogHead } from "../src/log-head.ts"
import { snapshotFiles } from "../src/snapshot-file.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-head-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const OBSTACLES: ReadonlyArray<readonly [string, (path: string) => void]> = [
  ["a pipe", (path) => void execFileSync("mkfifo", [path])],
  ["a directory", (path) => mkdirSync(path)],
  ["/dev/zero", (path) => symlinkSync("/dev/zero", path)],
  ["a link to itself", (path) => symlinkSync(path, path)],
  ["3 GiB of nothing", (path) => (writeFileSync(path, ""), truncateSync(path, 3 * 2 ** 30))]
]

describe("a log's head", () => {
  it("tells what is missing at the log's end", () => {
    const head = new LogHead(join(folder, "log"))
    expect(head.missing(0)).toBeUndefined()
    head.note(16)
    expect(readFileSync(join(folder, "log-head"), "ascii")).toBe("16\n")
    expect(head.missing(16)).toBeUndefined()
    expect(head.missing(11)).toContain("its last 5 commits are lost")
  })

  it.each(OBSTACLES)("with %s in its place says nothing, and is not waited for", (_, lay) => {
    lay(join(folder, "log-head"))
    const head = new LogHead(join(folder, "log"))
    expect(head.missing(0)).toBeUndefined()
    head.note(16)
  })
})

describe("a snapshot", () => {
  it.each(OBSTACLES)(
    "with %s in its place is not used, and the next one is saved where it can be",
    async (what, lay) => {
      const said: Array<string> = []
      const store = snapshotFiles(folder, (message) => said.push(message))
      const path = join(folder, "fold.snapshot")
      lay(path)
      expect(await store.load("fold")).toBeUndefined()
      expect(said.join()).toMatch(/snapshot .* cannot be read/)
      if (what === "a directory") return
      lay(`${path}.new`)
      const snapshot = { seq: 7, format: 1, state: "state" }
      await store.save("fold", snapshot)
      expect(await store.load("fold")).toEqual(snapshot)
    }
  )
})
