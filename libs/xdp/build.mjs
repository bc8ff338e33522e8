/**
 * Builds the BPF program: `node libs/xdp/build.mjs` where clang is, into build/; `--commit` into object/, which is used where there is no clang.
 * Plain JavaScript, for the system's Node runs it right after an install. Skips when nothing changed. Needs no header of the system's.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

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
  const partial = `${target}.${process.pid}.partial`
  // Paths do not get into the result.
  const result = spawnSync(
    clang,
    [...FLAGS, "-isystem", include, "-I", "../clocks/native", "-c", "native/answer.bpf.c", "-o", partial],
    { cwd: here, stdio: ["ignore", "inherit", "inherit"] }
  )
  if (result.status === 0) renameSync(partial, target)
  else rmSync(partial, { force: true })
  return result.status === 0
}

const sources = () => [
  ...readdirSync(join(here, "native"))
    .filter((file) => /(?:\.bpf\.[ch]|answer\.h)$/.test(file))
    .sort()
    .map((file) => join(here, "native", file)),
  join(here, "../clocks/native/clock-page.h")
]

const fingerprint = (version) => {
  const hash = createHash("sha256").update([version, ...FLAGS].join("\0"))
  for (const file of sources()) hash.update("\0").update(readFileSync(file))
  return hash.digest("hex")
}

export const buildProgram = (folder = join(here, "build")) => {
  const version = clangVersion()
  if (process.platform !== "linux" || version === undefined) return
  const target = join(folder, NAME)
  const stamp = `${target}.sha256`
  const wanted = fingerprint(version)
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return
  mkdirSync(folder, { recursive: true })
  if (compileProgram(target)) writeFileSync(stamp, wanted)
  else process.stderr.write("meridian: clang could not build the BPF program; the one that comes along is used\n")
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--commit")) {
    mkdirSync(join(here, "object"), { recursive: true })
    if (!compileProgram(join(here, "object", NAME))) process.exitCode = 1
    else writeFileSync(join(here, "object/clang-version"), `${clangVersion()}\n`)
  } else buildProgram()
}
