/**
 * `npm run package [-- --arch arm64] [--out DIR]`: a tarball that runs after unpacking, and a Debian package. Needs what
 * `npm start` needs, and strip, tar, xz and dpkg-deb; what is missing is said. For another architecture than this machine's
 * CC names a compiler for it, and Node comes from npm.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import { freePort } from "@meridian/testkit/running-node"
import { bundlePrograms } from "./bundles.ts"
import { layOut } from "./contents.ts"
import { buildDebianPackage } from "./debian.ts"
import { writeManuals } from "./manuals.ts"

const root = join(import.meta.dirname, "../..")
const { version, optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly version: string
  readonly optionalDependencies: Readonly<Record<string, string>>
}
const { values } = parseArgs({
  options: {
    arch: { type: "string", default: process.arch },
    out: { type: "string", default: join(root, "dist") },
    /** Of xz, 0 to 9. */
    compression: { type: "string", default: "6" },
    help: { type: "boolean", default: false }
  }
})
const say = (text: string): void => void process.stderr.write(`package: ${text}\n`)
const give = (message: string): never => {
  say(message)
  process.exit(1)
}
if (values.help) {
  process.stdout.write("npm run package [-- --arch x64|arm64] [--out DIR] [--compression 0..9]\n")
  process.exit(0)
}
const { arch } = values
if (arch !== "x64" && arch !== "arm64") give(`--arch ${arch}: Meridian is packaged for x64 and arm64`)
const isNative = arch === process.arch
const compiler = process.env["CC"] ?? "cc"
const stripper = process.env["STRIP"] ?? "strip"
if (!isNative && process.env["CC"] === undefined)
  give(
    `--arch ${arch} on ${process.arch}: set CC to a compiler for it (Debian: gcc-aarch64-linux-gnu), and STRIP to its strip`
  )
for (const tool of [compiler, stripper, "tar", "xz", "dpkg-deb"])
  if (spawnSync(tool, ["--version"], { stdio: "ignore" }).error !== undefined) give(`${tool} is not on PATH`)

/** The folder of the npm package that holds Node for the architecture; fetched where it is not this machine's. */
const nodeFolder = (work: string): string => {
  const name = `node-linux-${arch}`
  const installed = join(root, "node_modules", name)
  if (existsSync(installed)) return installed
  say(`fetching ${name} from npm …`)
  const archive = execFileSync("npm", ["pack", "--silent", `${name}@${optionalDependencies[name]}`], {
    cwd: work,
    encoding: "utf8"
  })
  execFileSync("tar", ["-xzf", archive.trim()], { cwd: work })
  return join(work, "package")
}

/** A library that Node needs and a bare root does not have, beside the tarball's Node. */
const LIBRARIES = ["libstdc++.so.6", "libgcc_s.so.1", "libatomic.so.1"]

const copyLibraries = (to: string): void => {
  mkdirSync(to, { recursive: true })
  for (const name of LIBRARIES) {
    const found = execFileSync(compiler, [`-print-file-name=${name}`], { encoding: "utf8" }).trim()
    if (!found.startsWith("/")) give(`${compiler} does not know ${name}`)
    copyFileSync(found, join(to, name))
    execFileSync(stripper, ["--strip-unneeded", join(to, name)])
  }
}

/**
 * Runs a node and asks it once, then starts what it did not, so that every program lies there compiled, and what was run with the functions that it
 * ran: the node's user cannot add to the cache.
 */
const warmCache = async (tree: string, scratch: string): Promise<void> => {
  const env = { ...process.env, NODE_COMPILE_CACHE: join(tree, "cache"), NODE_COMPILE_CACHE_PORTABLE: "1" }
  const state = join(scratch, "state")
  const [port, ntsPort] = [await freePort(), await freePort()]
  const flags = ["--port", String(port), "--nts-port", String(ntsPort), "--workers", "1", "--listen", "127.0.0.1"]
  const run = (...args: readonly string[]): void =>
    void spawnSync(join(tree, "bin/meridian"), args, { stdio: "ignore", timeout: 60_000, env })
  const node = spawn(join(tree, "bin/meridian"), ["up", "--nts", ...flags, "--state", state], { stdio: "ignore", env })
  const ended = once(node, "exit")
  run("waitsync", "--state", state, "60")
  for (const command of ["status", "sources", "tracking", "keys list", "log"])
    run(...command.split(" "), "--state", state)
  run("query", `127.0.0.1:${port}`)
  // What a process loads some seconds after its start, and as it ends.
  await setTimeout(5_000)
  node.kill()
  await ended
  rmSync(state, { recursive: true, force: true })
  // Each ends by itself: without its arguments a process of the node does, and the others say what they can be told.
  const small = ["--optimize-for-size"]
  const alone = [...small, "--no-concurrent-recompilation", "--no-concurrent-sparkplug"]
  for (const flags of [small, alone, ["--no-maglev"], []])
    for (const file of globSync("{libs,services}/*/src/**/*.{js,ts}", { cwd: tree, exclude: ["**/page/**"] }))
      spawnSync(join(tree, "bin/node"), [...flags, file, "--help"], {
        stdio: "ignore",
        timeout: 10_000,
        cwd: tree,
        env
      })
}

const work = mkdtempSync(join(tmpdir(), "meridian-package-"))
try {
  const tree = join(work, `meridian-${version}`)
  say(`laying out Meridian ${version} for ${arch} …`)
  mkdirSync(join(tree, "bin"), { recursive: true })
  layOut(tree)
  await bundlePrograms(root, tree)
  const node = nodeFolder(work)
  cpSync(join(node, "bin/node"), join(tree, "bin/node"))
  execFileSync(stripper, [join(tree, "bin/node")])
  execFileSync(compiler, [
    "-Os",
    "-static",
    "-s",
    "-o",
    join(tree, "bin/meridian"),
    join(import.meta.dirname, "launcher.c")
  ])
  if (!isNative) {
    rmSync(join(tree, "libs/system/build"), { recursive: true, force: true })
    execFileSync(
      process.execPath,
      [join(root, "libs/system/build.mjs"), "--target", join(tree, "libs/system/build"), "--headers", node],
      {
        stdio: ["ignore", "inherit", "inherit"]
      }
    )
  }
  for (const name of ["ntpkeygen", "ntp-keygen"]) execFileSync("ln", ["-s", "meridian", join(tree, "bin", name)])
  if (isNative) await warmCache(tree, work)
  writeManuals(join(tree, "share"))
  cpSync(join(import.meta.dirname, "starters"), join(tree, "share/starters"), { recursive: true })
  // Of the compiled modules too, which Node makes for their maker alone: who runs the tarball is not who unpacked it.
  execFileSync("chmod", ["-R", "u=rwX,go=rX", tree])
  mkdirSync(values.out, { recursive: true })
  const compress = `-${values.compression}`
  say("writing the Debian package …")
  const deb = buildDebianPackage({
    tree,
    work,
    version,
    arch: arch === "x64" ? "amd64" : "arm64",
    out: resolve(values.out),
    compress
  })
  say("writing the tarball …")
  copyLibraries(join(tree, "lib"))
  const tarball = join(resolve(values.out), `meridian-${version}-linux-${arch}.tar.xz`)
  execFileSync("tar", [
    "--owner=0",
    "--group=0",
    "--sort=name",
    "-C",
    work,
    "-I",
    `xz ${compress} -T0`,
    "-cf",
    tarball,
    `meridian-${version}`
  ])
  const unpacked = Number(execFileSync("du", ["-sm", tree], { encoding: "utf8" }).split("\t")[0])
  for (const file of [tarball, deb])
    say(`${file}  ${(statSync(file).size / 1e6).toFixed(1)} MB, ${unpacked} MB unpacked`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
