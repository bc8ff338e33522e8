/** Files that cannot be converted. */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { folder, program } from "./config-convert-stage.ts"

describe("a file that cannot be converted", () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [program, "config", "convert", ...args], { encoding: "utf8" })

  it("is said to be so, in one line", () => {
    const absent = run(join(folder, "absent"))
    expect([absent.status, absent.stdout]).toEqual([1, ""])
    expect(absent.stderr).toMatch(/absent: it is not there\n$/)
    writeFileSync(join(folder, "broken.toml"), "[[source\nmode = \n")
    const broken = run(join(folder, "broken.toml"))
    expect([broken.status, broken.stdout]).toEqual([1, ""])
    expect(broken.stderr.trimEnd().split("\n")).toHaveLength(1)
    expect(run("--from", "ntpd", "x").status).toBe(2)
  })
})
