import { execFile, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { ADDON_PATH, loadNative, loadNativeFrom } from "../src/native.ts"
import { BUILD_SCRIPT, SANITIZED } from "../../../infra/workspace/build-addon.ts"

const inFolder = <A>(use: (folder: string) => A): A => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-addon-"))
  try {
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("loadNative", () => {
  it("loads the addon built for this Node", () => {
    expect(loadNative().reason).toBeUndefined()
    expect(loadNative().addon?.nodeVersion).toBe(process.version)
  })

  it("says why there is none", () => {
    expect(loadNativeFrom("/nonexistent/meridian.node").reason).toMatch(/not built.*build\.mjs/)
    inFolder((folder) => {
      const path = join(folder, "broken.node")
      writeFileSync(path, "this is no shared object")
      expect(loadNativeFrom(path).reason).toMatch(/does not load.*build\.mjs/)
    })
  })

  it("refuses one that was built for another Node", () => {
    inFolder((folder) => {
      const path = join(folder, "other.cjs")
      writeFileSync(path, `exports.nodeVersion = "v20.0.0"`)
      expect(loadNativeFrom(path).reason).toContain(`built for Node v20.0.0, this is ${process.version}`)
    })
  })
})

describe("build.mjs", () => {
  it("says in one line that there is no compiler, exits 0 and leaves an addon that is there", () => {
    const before = readFileSync(ADDON_PATH)
    const result = spawnSync(process.execPath, [BUILD_SCRIPT], {
      encoding: "utf8",
      env: { ...process.env, CC: "no-such-compiler" }
    })
    expect(result.status).toBe(0)
    expect(result.stderr.trim().split("\n")).toHaveLength(1)
    expect(result.stderr).toContain("no C compiler (no-such-compiler)")
    expect(readFileSync(ADDON_PATH).equals(before)).toBe(true)
  })

  it("exits 1 when the compiler fails, and leaves nothing behind", () => {
    const result = spawnSync(process.execPath, [BUILD_SCRIPT], {
      encoding: "utf8",
      env: { ...process.env, CC: "false" }
    })
    expect(result.status).toBe(1)
    expect(result.stderr).toContain("could not build the addon (exit 1)")
    expect(existsSync(ADDON_PATH)).toBe(true)
  })
})

describe("the addon under AddressSanitizer and UBSan", () => {
  const run = promisify(execFile)

  it("builds without a warning and goes through the exercise without a report", SANITIZED, async () => {
    await run(process.execPath, [BUILD_SCRIPT, "--sanitize"])
    const library = async (name: string): Promise<string> =>
      (await run(process.env["CC"] ?? "cc", [`-print-file-name=${name}`])).stdout.trim()
    const exercise = fileURLToPath(new URL("exercise-addon.ts", import.meta.url))
    const addon = ADDON_PATH.replace("meridian.node", "meridian-asan.node")
    const { stdout, stderr } = await run(process.execPath, ["--expose-gc", exercise, addon], {
      env: {
        ...process.env,
        LD_PRELOAD: await library("libasan.so"),
        ASAN_OPTIONS: "detect_leaks=0:abort_on_error=0",
        UBSAN_OPTIONS: "print_stacktrace=1"
      }
    })
    expect(stderr).not.toMatch(/Sanitizer|runtime error/)
    expect(stdout.trim()).toBe("exercised")
  })
})
