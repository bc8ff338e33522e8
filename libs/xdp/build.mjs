/**
 * Builds the BPF program: `node libs/xdp/build.mjs` where clang is, into build/; `--commit` into object/, which is used where there is no clang.
 * Plain JavaScript, for the system's Node runs it right after an install. Skips when nothing changed. Needs no header of the system's.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { buildOnce, compileTo, fingerprint, isCalled } from "../system/build-once.mjs"

const here = dirname(fileURLToPath(import.meta.url))
const clang = process.env.CLANG || "clang"
const NAME = "answer.bpf.o"
const FLAGS = [
  "-target",
  "bpf",
  "-mcpu=v3",
  "-O2",
  "-ffreestanding",
  "-nostdinc",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-fno-ident"
]

const headers = () => {
  const said = spawnSync(clang, ["-print-resource-dir"], { encoding: "utf8" })
  return said.status === 0 ? join(said.stdout.trim(), "include") : undefined
}

/** Of clang, as in `14.0.6`; undefined where there is none. */
export const clangVersion = () => {
  const said = spawnSync(clang, ["--version"], { encoding: "utf8" })
  return said.status === 0 ? /version (\d+(?:\.\d+)*)/.exec(said.stdout)?.[1] : undefined
}

/** Compiles to a file; says what clang says and returns false where it fails. */
export const compileProgram = (target) => {
  const include = headers()
  if (include === undefined) return false
  // Paths do not get into the result.
  return compileTo(target, (partial) => {
    const args = [...FLAGS, "-isystem", include, "-I", "../clocks/native", "-c", "native/answer.bpf.c", "-o", partial]
    return spawnSync(clang, args, { cwd: here, stdio: ["ignore", "inherit", "inherit"] }).status === 0
  })
}

const sources = () => [
  ...readdirSync(join(here, "native"))
    .filter((file) => /(?:\.bpf\.[ch]|answer\.h)$/.test(file))
    .sort()
    .map((file) => join(here, "native", file)),
  join(here, "../clocks/native/clock-page.h")
]

export const buildProgram = (folder = join(here, "build")) => {
  const version = clangVersion()
  if (process.platform !== "linux" || version === undefined) return
  if (!buildOnce(join(folder, NAME), fingerprint([version, ...FLAGS], sources()), compileProgram))
    process.stderr.write("meridian: clang could not build the BPF program; the one that comes along is used\n")
}

if (isCalled(import.meta.url)) {
  if (process.argv.includes("--commit")) {
    mkdirSync(join(here, "object"), { recursive: true })
    if (!compileProgram(join(here, "object", NAME))) process.exitCode = 1
    else writeFileSync(join(here, "object/clang-version"), `${clangVersion()}\n`)
  } else buildProgram()
}
