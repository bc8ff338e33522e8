// Runs on the system's Node (20 or newer) before node_modules exists: plain JavaScript, no imports but node:.
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { spawnSync } from "node:child_process"
import { resolve } from "node:path"

/**
 * Has Node strip and compile every service's modules once, so that no process of the first start loads the TypeScript
 * stripper. Each program ends by itself without its arguments; what it says is of no interest.
 */
const warmCompileCache = () => {
  const env = { ...process.env, NODE_COMPILE_CACHE: resolve("node_modules/.cache/meridian") }
  const node = resolve("node_modules/.bin/node")
  const warm = (...args) => spawnSync(node, args, { stdio: "ignore", timeout: 10_000, env })
  // The cache is kept apart by compiler flags; these are what services/supervisor gives each, and bin/meridian.mjs the supervisor.
  for (const service of ["cli", "nts-ke"]) warm(`services/${service}/src/main.ts`, "--help")
  for (const command of ["status", "query", "log", "keys", "cluster", "policy", "explain"])
    warm(`services/cli/src/${command}-command.ts`)
  for (const service of ["discipline", "coordinator", "control", "autokey", "anycast", "signd/src/client"])
    warm("--optimize-for-size", `services/${service.includes("/") ? service : `${service}/src`}/main.ts`, "--help")
  warm("--optimize-for-size", "services/control/src/http/open-http.ts")
  const supervisor = ["--optimize-for-size", "--no-concurrent-recompilation", "--no-concurrent-sparkplug"]
  warm(...supervisor, "services/supervisor/src/main.ts", "--help")
  for (const late of ["node-watching", "autokey-material", "xdp-slot"])
    warm(...supervisor, `services/supervisor/src/${late}.ts`)
  // What each is told to load before its program.
  for (const flags of [[], ["--optimize-for-size"], ["--no-maglev"]]) warm(...flags, "libs/ipc/src/heartbeat.ts")
  warm(...supervisor, "services/supervisor/src/early-signals.ts")
  warm("--no-maglev", "services/worker/src/main.ts", "--help")
  warm("--no-maglev", "services/worker/src/authentication.ts")
}

// What was installed is known by the lockfile's digest, not by file times: a checkout touches those.
const mark = "node_modules/.meridian-installed"
const lock = createHash("sha256").update(readFileSync("package-lock.json")).digest("hex")
const installed = existsSync("node_modules/.bin/node") && existsSync(mark) && readFileSync(mark, "utf8").trim() === lock
if (!installed) {
  process.stderr.write("meridian: installing (npm ci), which takes about half a minute …\n")
  const result = spawnSync("npm", ["ci", "--loglevel=error", "--no-fund", "--no-audit"], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  if (result.status !== 0) process.exit(result.status ?? 1)
  warmCompileCache()
  writeFileSync(mark, `${lock}\n`)
}
// Compiles the C addon when its sources changed; without a compiler it says so and Meridian runs on its fallback.
await import("../../libs/system/build.mjs")
// The same for the BPF program, where there is clang; without it the one that comes along is used.
const { buildProgram } = await import("../../libs/xdp/build.mjs")
buildProgram()
