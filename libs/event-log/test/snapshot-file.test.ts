import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { snapshotFiles } from "../src/snapshot-file.ts"

describe("snapshots as files", () => {
  it("outlive the process, and are not trusted when damaged", async () => {
    const directory = mkdtempSync(join(tmpdir(), "meridian-snapshot-"))
    try {
      const store = snapshotFiles(join(directory, "state"))
      expect(await store.load("fold")).toBeUndefined()
      await store.save("fold", { seq: 7, format: 1, state: "line\nline" })
      expect(await snapshotFiles(join(directory, "state")).load("fold")).toEqual({
        seq: 7,
        format: 1,
        state: "line\nline"
      })
      writeFileSync(join(directory, "state/fold.snapshot"), '{"seq":7,"format":1,"sum":"00"}\nline')
      expect(await store.load("fold")).toBeUndefined()
      writeFileSync(join(directory, "state/fold.snapshot"), "\0\0\0")
      expect(await store.load("fold")).toBeUndefined()
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
