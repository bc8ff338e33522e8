/**
 * Compiles the addon: `node libs/system/build.mjs [--sanitize]`. Plain JavaScript so that the system's Node (20 or
 * newer) can run it right after an install. Needs only a C compiler; the headers come with the pinned Node.
 *
 * Skips when nothing changed. Without a compiler it says so and exits 0: Meridian then runs on its TypeScript fallback.
 * A compiler that fails exits 1 (imported by another script, it only says so). `--sanitize` builds
 * build/meridian-asan.node with AddressSanitizer and UBSan, warnings being errors. `--headers FOLDER --target FOLDER` builds
 * for another architecture's Node with the compiler that CC names, as packaging does.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { buildOnce, compileTo, fingerprint, isCalled } from "./build-once.mjs"

const here = dirname(fileURLToPath(import.meta.url))
const direct = isCalled(import.meta.url)
/** Each package of C has a folder of its own; together they are one addon. addon.h and transmit-stamp.h are for all. */
const folders = ["system", "clocks", "udp", "tls", "ciphers", "xdp"].map((name) => join(here, "..", name, "native"))
const compiler = process.env.CC || "cc"
const say = (message) => process.stderr.write(`meridian: ${message}\n`)
const FALLBACK = "running the TypeScript fallback (slower)"

/** The npm package that holds the pinned Node, its headers and its version; undefined on a system it is not made for. */
const findPinnedNode = () => {
  const name = `node-${process.platform}-${process.arch}`
  for (let folder = here; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name)
    if (existsSync(join(candidate, "include/node/node_api.h"))) return candidate
    if (dirname(folder) === folder) return undefined
  }
}

const compilerFlags = (version, sources, sanitize) => [
  "-std=gnu11",
  "-D_GNU_SOURCE",
  "-shared",
  "-fPIC",
  "-fvisibility=hidden",
  "-Wall",
  "-Wextra",
  `-DMERIDIAN_NODE_VERSION="${version}"`,
  ...(sources.some((file) => file.endsWith("/aead.c")) ? ["-DHAVE_AEAD"] : []),
  ...(sanitize
    ? [
        "-O1",
        "-g",
        "-Werror",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined"
      ]
    : ["-O2"])
]

const compile = (pinnedNode, flags, sources, target) => {
  const includes = ["system", "clocks"].flatMap((name) => ["-I", join(here, "..", name, "native")])
  const result = spawnSync(
    compiler,
    [...flags, ...includes, "-isystem", join(pinnedNode, "include/node"), "-o", target, ...sources],
    { stdio: ["ignore", "inherit", "inherit"] }
  )
  // EACCES: there is none, and a folder of PATH may not be looked into.
  if (["ENOENT", "EACCES"].includes(result.error?.code)) {
    // What compiles it later stands on the first screen.
    say(`no C compiler (${compiler}); ${FALLBACK}`)
    return false
  }
  if (result.status !== 0) {
    say(
      `${compiler} could not build the addon (exit ${result.status ?? result.signal ?? result.error?.code}); ${FALLBACK}`
    )
    if (direct) process.exitCode = 1
    return false
  }
  return true
}

/** The value of a flag of the command line, where this script is the command. */
const flag = (name) => {
  const at = direct ? process.argv.indexOf(name) : -1
  return at < 0 ? undefined : process.argv[at + 1]
}

const buildAddon = (sanitize) => {
  if (process.platform !== "linux") return say(`the addon is for Linux; ${process.platform} is ${FALLBACK}`)
  const pinnedNode = flag("--headers") ?? findPinnedNode()
  if (pinnedNode === undefined)
    return say(`no Node headers for ${process.platform}-${process.arch} in node_modules; ${FALLBACK}`)
  const files = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => /\.[ch]$/.test(file) && !/\.bpf\.[ch]$/.test(file))
      .sort()
      .map((file) => join(folder, file))
  )
  const sources = files.filter((file) => file.endsWith(".c"))
  const { version } = JSON.parse(readFileSync(join(pinnedNode, "package.json"), "utf8"))
  const flags = compilerFlags(`v${version}`, sources, sanitize)
  const wanted = fingerprint([compiler, process.arch, ...flags], files)
  const target = join(flag("--target") ?? join(here, "build"), sanitize ? "meridian-asan.node" : "meridian.node")
  buildOnce(target, wanted, (path) => compileTo(path, (partial) => compile(pinnedNode, flags, sources, partial)))
}

buildAddon(direct && process.argv.includes("--sanitize"))
