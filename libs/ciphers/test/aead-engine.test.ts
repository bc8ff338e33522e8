/** The C code under AddressSanitizer and UBSan: the engine by itself, and the lists of jobs through an addon. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { ADDON_PATH } from "@meridian/system/native"
import { BUILD_SCRIPT, SANITIZED } from "../../../infra/workspace/build-addon.ts"

const vectors = fileURLToPath(new URL("vectors/", import.meta.url))
const native = fileURLToPath(new URL("../native/", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "meridian-aead-"))
const compiler = process.env["CC"] ?? "cc"

const run = (command: string, commandArguments: readonly string[], environment: Record<string, string> = {}) =>
  spawnSync(command, commandArguments, { encoding: "utf8", env: { ...process.env, ...environment } })

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A developer's check of one claim, on machines that have the tool; the claim does not depend on the machine. */
const hasValgrind = run("valgrind", ["--version"]).status === 0

describe.runIf(hasValgrind)("under valgrind", SANITIZED, () => {
  it("no branch and no address depends on a secret, save on whether a tag verified", () => {
    const program = join(folder, "aead-constant-time")
    const sources = [join(vectors, "aead-constant-time.c"), join(native, "aes-x86.c"), join(native, "aes-armv8.c")]
    const built = run(compiler, ["-std=gnu11", "-O2", "-g", "-o", program, ...sources])
    expect(built.stderr).toBe("")
    const result = run("valgrind", ["-q", program])
    expect(result.stdout).toBe("done\n")
    const places = [...result.stderr.matchAll(/^==\d+== {4}at \w+: (\w+) /gm)].map(([, place]) => place)
    expect(places.toSorted()).toEqual(["gcm_siv_open", "siv_open"])
  })
})

describe("under AddressSanitizer and UBSan", SANITIZED, () => {
  it("the engine keeps to every vector and touches no byte beside its texts", () => {
    const harness = join(folder, "aead-harness")
    const flags = ["-std=gnu11", "-O0", "-g", "-Wall", "-Wextra", "-Werror"]
    const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    const sources = [join(vectors, "aead-harness.c"), join(native, "aes-x86.c"), join(native, "aes-armv8.c")]
    expect(run(compiler, [...flags, ...sanitizers, "-o", harness, ...sources]).stderr).toBe("")
    const files = readdirSync(vectors).filter((file) => /^aead-.*\.txt$/.test(file))
    expect(files.length).toBe(6)
    const result = run(
      harness,
      files.map((file) => join(vectors, file))
    )
    expect(result.stderr).toBe("")
    expect(result.stdout).toMatch(/^([\w-]+: \d{5,} checks passed|no engine: .*)\n$/)
  })

  it("the addon does random lists of jobs, and refuses exactly the wrong ones", () => {
    const build = run(process.execPath, [BUILD_SCRIPT, "--sanitize"])
    expect(build.stderr).toBe("")
    const libasan = run(compiler, ["-print-file-name=libasan.so"]).stdout.trim()
    const addon = ADDON_PATH.replace("meridian.node", "meridian-asan.node")
    const result = run(process.execPath, [join(vectors, "aead-exercise.ts"), addon], {
      LD_PRELOAD: libasan,
      ASAN_OPTIONS: "detect_leaks=0:abort_on_error=0"
    })
    expect(result.stderr).toBe("")
    expect(result.stdout).toMatch(/^(\d{4,} accepted, \d{4,} refused|no engine: .*)\n$/)
  })
})
